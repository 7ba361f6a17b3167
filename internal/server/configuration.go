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

// configuration is the GuardConfig in use. A new file takes its place if nothing is wrong with it.
type configuration struct {
	file     *config.File // nil where there is none
	recorder *metrics.Recorder
	log      *slog.Logger
	// bypassGroup is the group whose members the API server does not ask the webhook about.
	bypassGroup string

	used    []func() // are called when another configuration is in use
	inUse   atomic.Pointer[generation]
	refused atomic.Bool // the newest file is not in use
}

// generation is one of the configurations that the process has used, the first being 1.
type generation struct {
	number int
	config *config.Config
	policy validate.Policy
}

// newConfiguration reads the file, if there is one. The process does not start with a wrong one.
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

// onUse has a function called whenever another configuration is in use. It is called before the file is watched.
func (c *configuration) onUse(used func()) { c.used = append(c.used, used) }

// policy returns the policy by which reviews are evaluated.
func (c *configuration) policy() validate.Policy { return c.inUse.Load().policy }

// current is the configuration itself.
func (c *configuration) current() *config.Config { return c.inUse.Load().config }

// attrs describe the configuration in the log, without whom it protects.
func (c *configuration) attrs() []any {
	g := c.inUse.Load()
	return []any{
		"generation", g.number, "mode", string(g.config.Mode), "protected", len(g.config.Protected), "admin_groups", g.config.AdminGroups,
		"access_entries", len(g.config.AccessEntries), "override_groups", g.config.Overrides.Groups, "rules", g.config.Rules, "iam_mode", string(g.config.IAM.Mode),
		"self_test", g.config.SelfTest.Enabled, "restore", g.config.Restore.Enabled, "restore_max_per_hour", g.config.Restore.MaxPerHour,
	}
}

// watch takes over what the file holds until the context ends.
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

// String is the configuration as /readyz?verbose shows it; the log says what is wrong with a file.
func (c *configuration) String() string {
	text := "configuration: generation " + strconv.Itoa(c.inUse.Load().number) + " in use"
	if c.refused.Load() {
		text += "; the newest file is refused, see the log"
	}
	return text
}
