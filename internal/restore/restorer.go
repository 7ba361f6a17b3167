package restore

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/history"
	"github.com/awsauth-guard/awsauth-guard/internal/kube"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// Results of a restore in the metrics.
const (
	Restored = "restored"
	Limited  = "limited"
	Failed   = "failed"
)

const (
	// maxPause is the longest pause between two decisions. The Restorer must decide periodically, because no event tells it that
	// this process is no longer the leader, or that the limit per hour allows another restore.
	maxPause = 10 * time.Second
	// callTimeout limits the time of a call of the API server.
	callTimeout = 5 * time.Second
	// maxReasons limits the reports about one version. The text of an error can change with each attempt.
	maxReasons = 10
)

// ConfigMaps reads and writes the ConfigMaps of kube-system.
type ConfigMaps interface {
	List(ctx context.Context, options metav1.ListOptions) (*corev1.ConfigMapList, error)
	Create(ctx context.Context, cm *corev1.ConfigMap, options metav1.CreateOptions) (*corev1.ConfigMap, error)
	Update(ctx context.Context, cm *corev1.ConfigMap, options metav1.UpdateOptions) (*corev1.ConfigMap, error)
}

// History reads and writes the history, which has the times of earlier restores. A [history.Store] implements it.
type History interface {
	Read(ctx context.Context) (*history.Log, error)
	Change(ctx context.Context, change func(*history.Log) error) (*history.Log, error)
}

// Election elects the leader, which is the replica that restores.
type Election interface {
	// IsLeader reports whether this process is the leader, as far as it knows.
	IsLeader() bool
	// OnWon registers a function. The election calls it each time this process becomes the leader.
	OnWon(call func())
}

// Events writes Events about aws-auth.
type Events interface {
	Warn(reason kube.Reason, message string)
}

// Recorder records metrics. It must allow concurrent calls.
type Recorder interface {
	// Restored counts a restore by its result: restored, limited or failed.
	Restored(result string)
	// RestoreReady records whether this replica would restore after a loss now. While restores are off, the Restorer calls
	// RestoreOff instead.
	RestoreReady(is bool)
	// RestoreOff records that restores are off.
	RestoreOff()
	// HistoryFailed counts a failed read or write of the history.
	HistoryFailed()
}

// Options configures [New]. All fields are required.
type Options struct {
	ConfigMaps ConfigMaps
	History    History
	Election   Election
	Events     Events
	Policy     func() validate.Policy
	Settings   func() Settings
	Recorder   Recorder
	Logger     *slog.Logger
	Now        func() time.Time
}

// Observation is an observed version of aws-auth.
type Observation struct {
	Stored  *corev1.ConfigMap // nil if aws-auth doesn't exist
	Version string            // the resourceVersion of the change
	Manager string            // the field manager of the change
	Time    time.Time         // when this process observed the version
	// Good is the last good version before Stored. Comparison compares Good with Stored.
	Good       *corev1.ConfigMap
	Comparison Comparison
}

// Restorer restores the last good version while this process is the leader.
type Restorer struct {
	o      Options
	wakeup chan struct{}

	mu        sync.Mutex
	observed  bool        // Observe was called
	loss      *Loss       // nil if the stored version has no loss
	attempted time.Time   // see Input.Attempted
	restored  bool        // see Input.AttemptDone
	restores  []time.Time // times of earlier restores, by this process and by earlier leaders
	writing   string      // hash of the content that this process is restoring; empty after Wrote has returned true for it
	reason    string      // why this process would not restore after a loss now; empty if it would

	// Only Run uses the fields below.
	inTerm        bool            // this process was the leader at the last decision
	declined      string          // the version of the last report by reportDeclined
	reasons       map[string]bool // the reasons that reportDeclined has reported for this version
	historyErrors kube.Throttle   // throttles the log of errors of the history
}

// New returns a Restorer. It restores nothing until Run runs.
func New(o Options) *Restorer {
	r := &Restorer{o: o, wakeup: make(chan struct{}, 1), reason: "aws-auth has not been observed yet"}
	o.Election.OnWon(r.Wake)
	return r
}

// Wake makes Run decide again now, for example after a change of the configuration. It doesn't block.
func (r *Restorer) Wake() {
	select {
	case r.wakeup <- struct{}{}:
	default:
	}
}

// Observe records an observed version. A loss begins with the first version that lacks access of the last good version. The loss ends
// with a version that has all of this access again, and with a version whose loss is intended.
func (r *Restorer) Observe(o Observation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.Wake()
	r.observed = true
	if len(o.Comparison.Lost) == 0 {
		r.loss = nil
		return
	}
	changed := r.loss == nil || r.loss.Version != o.Version
	if r.loss == nil || r.loss.Good != o.Good {
		r.loss = &Loss{Since: o.Time, Enforced: r.o.Settings().Enabled && r.o.Policy().Mode != validate.WarnMode}
	}
	r.loss.Good, r.loss.Stored, r.loss.Version, r.loss.Manager, r.loss.Changed = o.Good, o.Stored, o.Version, o.Manager, o.Time
	if changed {
		r.attempted, r.restored = time.Time{}, false
	}
}

// Wrote reports whether this process wrote the content with this hash to restore it. It returns true only once for each restore.
func (r *Restorer) Wrote(hash string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.writing == "" || r.writing != hash {
		return false
	}
	r.writing = ""
	return true
}

// String describes for /readyz?verbose whether this process would restore after a loss now.
func (r *Restorer) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.reason == "" {
		return "restore: ready"
	}
	return "restore: not ready: " + r.reason
}

// Run decides periodically and after each call of Wake, and restores if necessary, until the context ends.
func (r *Restorer) Run(ctx context.Context) error {
	for {
		timer := time.NewTimer(r.step(ctx))
		select {
		case <-timer.C:
		case <-r.wakeup:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
		timer.Stop()
	}
}

// step makes a decision, carries it out, and returns the time until the next decision.
func (r *Restorer) step(ctx context.Context) time.Duration {
	if leader := r.o.Election.IsLeader(); leader != r.inTerm && r.o.Settings().Enabled {
		r.inTerm = leader
		if leader {
			r.readRestores(ctx)
		}
	}
	s := r.input()
	d := Decide(s)
	switch d.Action {
	case Wait:
		r.recordReady(s)
		return d.After
	case Decline:
		result := ""
		if d.Limited {
			result = Limited
		}
		r.reportDeclined(s.Loss, d.Reason, result)
	case Restore:
		r.restore(ctx, s, d)
		s = r.input()
	case Nothing:
	}
	r.recordReady(s)
	return maxPause
}

func (r *Restorer) input() Input {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := Input{
		Now: r.o.Now(), Settings: r.o.Settings(), Policy: r.o.Policy(), Leader: r.o.Election.IsLeader(),
		Restores: slices.Clone(r.restores), Attempted: r.attempted, AttemptDone: r.restored,
	}
	if r.loss != nil {
		loss := *r.loss
		s.Loss = &loss
	}
	return s
}

// recordReady records whether this process would restore after a loss now, for the metric and for String.
func (r *Restorer) recordReady(s Input) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reason = NotReady(s, r.observed)
	if !s.Settings.Enabled {
		r.o.Recorder.RestoreOff()
		return
	}
	r.o.Recorder.RestoreReady(r.reason == "")
}

// readRestores reads the times at which earlier leaders restored, and adds them to r.restores. If it can't read them, only the restores
// by this process count towards the limit.
func (r *Restorer) readRestores(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	log, err := r.o.History.Read(ctx)
	if r.historyErrors.ShouldLog(r.o.Now(), err) {
		r.o.Logger.Warn("cannot read earlier restores", "err", err.Error())
	}
	if err != nil {
		r.o.Recorder.HistoryFailed()
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, at := range log.Restores {
		if !slices.ContainsFunc(r.restores, at.Equal) {
			r.restores = append(r.restores, at)
		}
	}
}

// reportDeclined reports why the Restorer did not restore the last good version after a loss. It reports each reason once for a version,
// and at most maxReasons reasons. If result is not empty, it is the result for the metric.
func (r *Restorer) reportDeclined(l *Loss, reason, result string) {
	if l.Version != r.declined {
		r.declined, r.reasons = l.Version, make(map[string]bool)
	}
	if r.reasons[reason] || len(r.reasons) == maxReasons {
		return
	}
	r.reasons[reason] = true
	if result != "" {
		r.o.Recorder.Restored(result)
	}
	r.o.Logger.Error("not restoring aws-auth", "reason", reason, "resource_version", l.Version, "manager", l.Manager)
	r.o.Events.Warn(kube.NotRestored, "not restoring the last good aws-auth: "+reason)
}
