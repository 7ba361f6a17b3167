// Package enforcement checks whether the API server calls the guard for every change of aws-auth. It checks the webhook's
// registration, and it sends a dry run that the guard must refuse.
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
	// EnforcedUnknown removes the metric.
	EnforcedUnknown()
	Panicked(rule string)
}

// Election elects the replica that runs the self-test and writes Events.
type Election interface {
	IsLeader() bool
	OnWon(call func())
}

// Events writes Events about aws-auth.
type Events interface {
	Warn(reason kube.Reason, message string)
	Normal(reason kube.Reason, message string)
}

// Identity is the user name of this process at the API server. A [kube.Identity] implements it.
type Identity interface {
	Name() string
	Find(ctx context.Context) error
}

// Options configures [New]. All fields are required.
type Options struct {
	// Webhook describes this process's webhook, and Certificate returns its serving certificate.
	Webhook     Webhook
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Configuration is the ValidatingWebhookConfiguration with the webhook.
	Configuration *Configuration
	// SelfTest reports whether the leader sends dry runs that delete aws-auth.
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

// Timing holds the periods of the checks.
type Timing struct {
	// Check is the period in which the certificate is verified against the caBundle.
	Check time.Duration
	// Grace is how long after its start the process reports no problem, because Helm creates the webhook configuration after
	// everything else.
	Grace time.Duration
	// SelfTest is the period of the self-test. After a change of the webhook configuration, the self-test waits for Settle,
	// because the API server may see the change later than this process.
	SelfTest, Settle time.Duration
	// UnknownAfter is how long the configuration may be unreadable until the result counts as unknown.
	UnknownAfter time.Duration
}

// DefaultTiming returns the Timing for production.
func DefaultTiming() Timing {
	return Timing{Check: 10 * time.Second, Grace: 20 * time.Second, SelfTest: 30 * time.Second, Settle: 3 * time.Second, UnknownAfter: 10 * time.Minute}
}

// Enforcement knows whether the API server calls this process.
type Enforcement struct {
	o       Options
	log     *slog.Logger
	started time.Time
	wake    chan struct{} // triggers a check of the registration
	test    chan struct{} // triggers a self-test

	mu           sync.Mutex
	stored       *corev1.ConfigMap
	selfTestErr  error // result of the self-test; nil: it did not fail
	reason       error // why the API server may not call the guard; nil: it does
	known        bool  // reason is valid
	reported     bool  // a reason was logged
	eventWritten bool  // an Event with a reason was written
}

// New returns an Enforcement. It has no result until [Enforcement.Run] runs.
func New(o Options) *Enforcement {
	e := &Enforcement{o: o, log: o.Logger, started: o.Now(), wake: o.Configuration.changed, test: make(chan struct{}, 1)}
	o.Election.OnWon(e.Wake)
	return e
}

// Wake triggers a check and a self-test, after a change of the configuration or of the leader.
func (e *Enforcement) Wake() {
	wakeUp(e.wake)
	wakeUp(e.test)
}

func wakeUp(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Stored sets the stored aws-auth, or nil if it doesn't exist.
func (e *Enforcement) Stored(cm *corev1.ConfigMap) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stored = cm
	wakeUp(e.wake)
}

// Run checks and tests until the context ends.
func (e *Enforcement) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { e.selfTest(ctx) })
	tick := time.NewTicker(e.o.Timing.Check)
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
			wakeUp(e.test)
		}
		e.update(ctx)
	}
}

// check returns the input for checking the registration. The caller holds the lock.
func (e *Enforcement) check(config *admissionregistrationv1.ValidatingWebhookConfiguration) check {
	cert, err := e.o.Certificate(nil)
	if err != nil {
		cert = nil // no certificate is served yet
	}
	v := check{webhook: e.o.Webhook, config: config, cert: cert, now: e.o.Now()}
	if e.stored != nil {
		v.present, v.labels = true, e.stored.Labels
	}
	return v
}

// webhookName returns the name of the webhook that calls this process, according to the registration.
func (e *Enforcement) webhookName() (name string, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	config, _, _ := e.o.Configuration.get()
	v := e.check(config)
	hook, err := v.matchingWebhook()
	if err != nil {
		return "", false
	}
	return hook.Name, true
}

// update checks whether the API server calls the guard, and reports a change of the result.
func (e *Enforcement) update(ctx context.Context) {
	e.mu.Lock()
	defer e.mu.Unlock()
	config, seen, lost := e.o.Configuration.get()
	now := e.o.Now()
	switch {
	case !lost.IsZero() && now.Sub(lost) >= e.o.Timing.UnknownAfter:
		if e.known {
			e.log.Log(ctx, slog.LevelError, "cannot read the webhook configuration, so it is unknown whether the guard is enforced", "since", lost)
		}
		e.known, e.reported = false, false
		e.o.Recorder.EnforcedUnknown()
		return
	case !seen:
		return
	}
	v := e.check(config)
	_, err := v.matchingWebhook()
	if err == nil {
		err = e.selfTestErr
	}
	changed := !e.known || (err == nil) != (e.reason == nil) || err != nil && err.Error() != e.reason.Error()
	e.reason, e.known = err, true
	e.o.Recorder.Enforced(err == nil)
	if err != nil && !e.reported && now.Sub(e.started) < e.o.Timing.Grace {
		return // Helm may be installing the configuration now
	}
	if changed || err != nil && !e.reported {
		if err == nil {
			e.log.Info("the guard is enforced: the API server calls it for every change of aws-auth")
		} else {
			e.log.Log(ctx, slog.LevelError, "the guard is not enforced", "reason", err.Error())
		}
	}
	recovered := e.reported && err == nil
	e.reported = err != nil
	e.writeEvent(err, changed, recovered)
}

// writeEvent writes an Event if this process is the leader and the result has changed. A new leader writes an Event also if
// the guard was not enforced before its term. err is why the guard isn't enforced, or nil. recovered means that the guard was
// reported as not enforced, and is enforced now.
func (e *Enforcement) writeEvent(err error, changed, recovered bool) {
	if !e.o.Election.IsLeader() {
		e.eventWritten = false
		return
	}
	switch {
	case err != nil && (changed || !e.eventWritten):
		e.o.Events.Warn(kube.NotEnforced, "the API server may not call the guard for changes of aws-auth: "+err.Error())
	case recovered || err == nil && e.eventWritten:
		e.o.Events.Normal(kube.Enforced, "the API server calls the guard for every change of aws-auth again")
	}
	e.eventWritten = err != nil
}

// String returns the line for /readyz?verbose.
func (e *Enforcement) String() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case !e.known:
		return "guard: unknown whether the API server calls it"
	case e.reason != nil:
		return "guard: not enforced: " + e.reason.Error()
	}
	return "guard: enforced"
}
