// Package enforcement checks whether the API server calls the guard for every change of aws-auth. It does so in two ways: it
// checks the registration, which is the ValidatingWebhookConfiguration, and it sends a dry run that the guard must refuse.
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

// Recorder records metrics. It must allow concurrent calls.
type Recorder interface {
	// Enforced records whether the API server calls the guard for every change.
	Enforced(is bool)
	// EnforcedUnknown removes the metric of Enforced.
	EnforcedUnknown()
	// Panicked counts a panic.
	Panicked(rule string)
}

// Election elects the leader, which is the replica that runs the self-test and writes Events.
type Election interface {
	// IsLeader reports whether this process is the leader, as far as it knows.
	IsLeader() bool
	// OnWon registers a function. The election calls it each time this process becomes the leader.
	OnWon(call func())
}

// Events writes Events about aws-auth.
type Events interface {
	// Warn writes an Event of type Warning.
	Warn(reason kube.Reason, message string)
	// Normal writes an Event of type Normal.
	Normal(reason kube.Reason, message string)
}

// Identity is the username of this process at the API server. A [kube.Identity] implements it.
type Identity interface {
	// Name returns the username, or "" while it is unknown.
	Name() string
	// Find asks the API server for the username.
	Find(ctx context.Context) error
}

// Options configures [New]. All fields are required.
type Options struct {
	// Webhook describes this process's webhook, and Certificate returns its serving certificate.
	Webhook     Webhook
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Configuration holds the ValidatingWebhookConfiguration that has the webhook.
	Configuration *Configuration
	// SelfTest reports whether the leader runs the self-test.
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
	// Check is the period in which the registration is checked even if it has not changed, because the certificate may change
	// or expire.
	Check time.Duration
	// Grace is the time after the start of the process in which it logs no problem and writes no Event about one. Helm creates
	// the webhook configuration after the pods.
	Grace time.Duration
	// SelfTest is the period of the self-test. After a change of the webhook configuration, the self-test waits for Settle,
	// because the API server may learn of the change later than this process.
	SelfTest, Settle time.Duration
	// UnknownAfter is how long the watch of the configuration must fail until the result counts as unknown.
	UnknownAfter time.Duration
}

// DefaultTiming returns the Timing for production.
func DefaultTiming() Timing {
	return Timing{Check: 10 * time.Second, Grace: 20 * time.Second, SelfTest: 30 * time.Second, Settle: 3 * time.Second, UnknownAfter: 10 * time.Minute}
}

// Enforcement checks whether the API server calls this process for every change of aws-auth, and holds the result.
type Enforcement struct {
	o       Options
	log     *slog.Logger
	started time.Time
	wake    chan struct{} // triggers a check of the registration
	test    chan struct{} // triggers a self-test

	mu           sync.Mutex
	stored       *corev1.ConfigMap // the stored aws-auth; nil if it doesn't exist
	selfTestErr  error             // why the last self-test failed; nil if it did not fail
	reason       error             // why the API server may not call the guard for every change; nil if it calls the guard for every change
	known        bool              // reason is the result of a check
	reported     bool              // the process has logged that the guard is not enforced, and has not logged a recovery since
	eventWritten bool              // the process has written an Event that the guard is not enforced, and none about a recovery since
}

// New returns an Enforcement. It checks nothing until [Enforcement.Run] runs.
func New(o Options) *Enforcement {
	e := &Enforcement{o: o, log: o.Logger, started: o.Now(), wake: o.Configuration.changed, test: make(chan struct{}, 1)}
	o.Election.OnWon(e.Wake)
	return e
}

// Wake triggers a check and a self-test. The caller calls it after a change of the GuardConfig. The election calls it when
// this process becomes the leader.
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

// Stored sets the stored aws-auth, or nil if aws-auth doesn't exist. It triggers a check.
func (e *Enforcement) Stored(cm *corev1.ConfigMap) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stored = cm
	wakeUp(e.wake)
}

// Run checks the registration and runs the self-test until the context ends.
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

// check returns the input for a check of the registration. The caller holds the lock.
func (e *Enforcement) check(config *admissionregistrationv1.ValidatingWebhookConfiguration) check {
	cert, err := e.o.Certificate(nil)
	if err != nil {
		cert = nil // there is no serving certificate yet
	}
	v := check{webhook: e.o.Webhook, config: config, cert: cert, now: e.o.Now()}
	if e.stored != nil {
		v.present, v.labels = true, e.stored.Labels
	}
	return v
}

// webhookName returns the name of the webhook by which the API server calls this process for every change. It returns false
// if the check of the registration fails.
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

// update checks the registration. The result is the reason why the guard isn't enforced, or nil. If the registration is right,
// the result is that of the last self-test. If the watch of the webhook configuration has failed for too long, the result is
// unknown, and update removes the metric. Otherwise update records the result in the metric. If the result has changed, update
// also logs it and writes an Event.
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
		return // Helm may not have created the configuration yet
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

// writeEvent writes an Event if the result has changed. A new leader also writes an Event about a problem that it found
// before it became the leader. Only the leader writes Events.
//
// err is the reason why the guard isn't enforced, or nil. changed reports whether the result differs from the last one.
// recovered reports whether this process logged a problem before and the guard is enforced now.
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

// String describes the result for /readyz?verbose.
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
