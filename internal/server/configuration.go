package server

import (
	"context"
	"log/slog"
	"strconv"
	"sync/atomic"

	"github.com/awsauth-guard/awsauth-guard/internal/config"
	"github.com/awsauth-guard/awsauth-guard/internal/metrics"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// configuration holds the GuardConfig in use. A changed file replaces the GuardConfig only if it is valid.
type configuration struct {
	file     *config.File // nil without a file
	recorder *metrics.Recorder
	log      *slog.Logger
	// bypassGroup is the group for whose members the API server doesn't call the enforcing webhook.
	bypassGroup string

	used    []func() // called after each change of the configuration in use
	inUse   atomic.Pointer[generation]
	refused atomic.Bool // the newest file is invalid and not in use
}

// generation is a configuration that the process uses or has used. The first has number 1.
type generation struct {
	number int
	config *config.Config
	policy validate.Policy
}

// newConfiguration reads the file and uses its configuration. If path is empty, it uses the default configuration. An invalid
// file is an error, so the process doesn't start.
func newConfiguration(path, bypassGroup string, recorder *metrics.Recorder, log *slog.Logger) (*configuration, error) {
	c := &configuration{recorder: recorder, log: log, bypassGroup: bypassGroup}
	cfg := config.Default()
	if path != "" {
		c.file = &config.File{Path: path}
		var err error
		if cfg, err = c.file.Load(); err != nil {
			return nil, err
		}
	}
	c.use(1, cfg)
	return c, nil
}

func (c *configuration) use(number int, cfg *config.Config) {
	policy := cfg.Policy()
	policy.BypassGroup = c.bypassGroup
	c.inUse.Store(&generation{number, cfg, policy})
	c.refused.Store(false)
	c.recorder.ConfigInUse(number)
}

// onUse registers a function that watch calls after each change of the configuration in use. The caller must call onUse before
// watch starts.
func (c *configuration) onUse(used func()) { c.used = append(c.used, used) }

// policy returns the policy for evaluating reviews.
func (c *configuration) policy() validate.Policy { return c.inUse.Load().policy }

// current returns the configuration in use.
func (c *configuration) current() *config.Config { return c.inUse.Load().config }

// reportUnusedRight logs an error if overrides.subjectAccessReview is on. The caller calls it in a process without
// --state, because such a process can't ask the API server for rights. The process still serves reviews, because the
// members of overrides.groups and the principals in overrides.principals can break the glass.
func (c *configuration) reportUnusedRight() {
	if c.current().Overrides.SubjectAccessReview {
		c.log.Error("overrides.subjectAccessReview needs --state: without it the guard cannot ask the API server who has the RBAC verb break-glass, and refuses break-glass to requesters who have only this verb")
	}
}

// attrs returns the log attributes of the configuration. They contain the number of protected principals instead of the ARNs.
func (c *configuration) attrs() []any {
	g := c.inUse.Load()
	return []any{
		"generation", g.number, "mode", string(g.config.Mode), "protected", len(g.config.Protected), "admin_groups", g.config.AdminGroups,
		"access_entries", len(g.config.AccessEntries), "override_groups", g.config.Overrides.Groups, "override_principals", g.config.Overrides.Principals, "override_by_right", g.config.Overrides.SubjectAccessReview, "rules", g.config.Rules, "iam_mode", string(g.config.IAM.Mode), "eks", g.config.EKS.Enabled,
		"self_test", g.config.SelfTest.Enabled, "restore", g.config.Restore.Enabled, "restore_max_per_hour", g.config.Restore.MaxPerHour,
	}
}

// watch reloads the file after each change until the context ends.
func (c *configuration) watch(ctx context.Context) error {
	if c.file == nil {
		<-ctx.Done()
		return nil
	}
	c.file.Watch(ctx, c.changed)
	return nil
}

func (c *configuration) changed(cfg *config.Config, err error) {
	number := c.inUse.Load().number
	if err != nil {
		c.refused.Store(true)
		c.recorder.ConfigRefused()
		for _, err := range split(err) {
			c.log.Error("the new configuration is refused", "err", err.Error(), "generation", number)
		}
		return
	}
	c.use(number+1, cfg)
	for _, used := range c.used {
		used()
	}
	c.log.Info("the configuration is reloaded", c.attrs()...)
}

// String describes the configuration for /readyz?verbose. The description does not contain the errors of an invalid file; the
// log does.
func (c *configuration) String() string {
	text := "configuration: generation " + strconv.Itoa(c.inUse.Load().number) + " in use"
	if c.refused.Load() {
		text += "; the newest file is refused, see the log"
	}
	return text
}
