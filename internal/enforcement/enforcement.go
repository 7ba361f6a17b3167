// Package enforcement finds out whether the API server asks the guard about every change of aws-auth: by the webhook's
// registration, and by a dry run that must be refused.
package enforcement

import (
	"context"
	"crypto/tls"
	"log/slog"
	"sync"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/kube"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// Recorder records the state. Its methods are called concurrently.
type Recorder interface {
	Enforced(is bool)
	// EnforcedUnknown forgets it.
	EnforcedUnknown()
	Panicked(rule string)
}

// Election tells which replica is the leader.
type Election interface {
	IsLeader() bool
	OnWon(call func())
}

// Events writes Events on aws-auth.
type Events interface {
	Warn(reason kube.Reason, message string)
	Normal(reason kube.Reason, message string)
}

// Identity is the user that this process is to the API server; a [kube.Identity].
type Identity interface {
	Name() string
	Find(ctx context.Context) error
}

// Options are what [New] needs.
type Options struct {
	// Webhook is where the API server asks, and Certificate what is served there.
	Webhook     Webhook
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Configuration is the ValidatingWebhookConfiguration that names the webhook.
	Configuration *Configuration
	// SelfTest reports whether the leader tries to delete aws-auth as a dry run.
	SelfTest func() bool
	Prober   Prober
	Identity Identity
	Policy   func() validate.Policy
	Election Election
	Events   Events
	Recorder Recorder
	Logger   *slog.Logger
	Timing   Timing
	Now      func() time.Time
}

// Timing is how long things last.
type Timing struct {
	// Look is how often the certificate is compared with the caBundle.
	Look time.Duration
	// Grace is how long after the start nothing is reported: Helm creates the webhook configuration last.
	Grace time.Duration
	// SelfTest is how often the self-test is made, and Settle how long after a change of the configuration.
	SelfTest, Settle time.Duration
	// UnknownAfter is how long the configuration may not be readable before what it was counts as unknown.
	UnknownAfter time.Duration
}

// DefaultTiming is the Timing of a webhook in use.
func DefaultTiming() Timing {
	return Timing{Look: 10 * time.Second, Grace: 20 * time.Second, SelfTest: 30 * time.Second, Settle: 3 * time.Second, UnknownAfter: 10 * time.Minute}
}

// Enforcement knows whether the API server asks this process.
type Enforcement struct {
	o       Options
	log     *slog.Logger
	started time.Time
	wake    chan struct{} // for the comparison
	test    chan struct{} // for the self-test

	mu       sync.Mutex
	stored   *corev1.ConfigMap
	failure  error // why the self-test says that the API server doesn't ask; nil: it doesn't say so
	reason   error // why the API server may not ask; nil: it asks
	known    bool  // reason was found out
	reported bool  // a reason was logged
	told     bool  // an Event told of a reason
}

// New returns an Enforcement, which knows nothing before it runs.
func New(o Options) *Enforcement {
	e := &Enforcement{o: o, log: o.Logger, started: o.Now(), wake: o.Configuration.changed, test: make(chan struct{}, 1)}
	o.Election.OnWon(e.Wake)
	return e
}

// Wake compares and tests again, after a change of the configuration or of the leader.
func (e *Enforcement) Wake() {
	poke(e.wake)
	poke(e.test)
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Stored takes in the stored aws-auth; nil is that there is none.
func (e *Enforcement) Stored(cm *corev1.ConfigMap) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stored = cm
	poke(e.wake)
}

// Run compares and tests until the context ends.
func (e *Enforcement) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { e.selfTest(ctx) })
	tick := time.NewTicker(e.o.Timing.Look)
	defer tick.Stop()
	version := ""
	for {
		select {
		case <-tick.C:
		case <-e.wake:
		case <-ctx.Done():
			return nil
		}
		if v := e.o.Configuration.version(); v != version {
			version = v
			poke(e.test)
		}
		e.look(ctx)
	}
}

// view returns all that decides now. The lock is held.
func (e *Enforcement) view(config *admissionregistrationv1.ValidatingWebhookConfiguration) view {
	cert, err := e.o.Certificate(nil)
	if err != nil {
		cert = nil // there is none yet
	}
	v := view{webhook: e.o.Webhook, config: config, cert: cert, now: e.o.Now()}
	if e.stored != nil {
		v.present, v.labels = true, e.stored.Labels
	}
	return v
}

// hook returns the name of the webhook that calls this process, as far as the registration tells.
func (e *Enforcement) hook() (name string, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	config, _, _ := e.o.Configuration.get()
	v := e.view(config)
	hook, err := v.find()
	if err != nil {
		return "", false
	}
	return hook.Name, true
}

// look finds out whether the API server asks, and reports a change.
func (e *Enforcement) look(ctx context.Context) {
	e.mu.Lock()
	defer e.mu.Unlock()
	config, seen, lost := e.o.Configuration.get()
	now := e.o.Now()
	switch {
	case !lost.IsZero() && now.Sub(lost) >= e.o.Timing.UnknownAfter:
		if e.known {
			e.log.Log(ctx, slog.LevelError, "cannot read the webhook configuration: it is not known whether the guard is enforced", "since", lost)
		}
		e.known, e.reported = false, false
		e.o.Recorder.EnforcedUnknown()
		return
	case !seen:
		return
	}
	v := e.view(config)
	_, err := v.find()
	if err == nil {
		err = e.failure
	}
	changed := !e.known || (err == nil) != (e.reason == nil) || err != nil && err.Error() != e.reason.Error()
	e.reason, e.known = err, true
	e.o.Recorder.Enforced(err == nil)
	if err != nil && !e.reported && now.Sub(e.started) < e.o.Timing.Grace {
		return // it has just started, and may be installed just now
	}
	if changed || err != nil && !e.reported {
		if err == nil {
			e.log.Info("the guard is enforced: the API server asks about every change of aws-auth")
		} else {
			e.log.Log(ctx, slog.LevelError, "the guard is not enforced", "reason", err.Error())
		}
	}
	again := e.reported && err == nil
	e.reported = err != nil
	e.tell(err, changed, again)
}

// tell writes Events. The leader alone does so, also about what it found before it became the leader. Again reports that
// the guard was reported as not enforced, and is enforced now.
func (e *Enforcement) tell(err error, changed, again bool) {
	if !e.o.Election.IsLeader() {
		e.told = false
		return
	}
	switch {
	case err != nil && (changed || !e.told):
		e.o.Events.Warn(kube.NotEnforced, "the API server may not ask the guard about changes of aws-auth: "+err.Error())
	case again || err == nil && e.told:
		e.o.Events.Normal(kube.Enforced, "the API server asks the guard about every change of aws-auth again")
	}
	e.told = err != nil
}

// String is the line of /readyz?verbose.
func (e *Enforcement) String() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case !e.known:
		return "guard: it is not known whether the API server asks"
	case e.reason != nil:
		return "guard: not enforced: " + e.reason.Error()
	}
	return "guard: enforced"
}
