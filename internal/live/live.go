// Package live watches the aws-auth that is stored. Admission sees what somebody wants to write; this
// package sees what is: it judges the stored document, finds out whether the API server asks the guard at
// all, remembers versions, and finds changes that came around the webhooks. Where the configuration says so,
// it puts back what such a change has taken away.
//
// Every replica watches and tells the others what it has admitted, in one shared record. One of them, the
// leader, joins the versions that it sees to those admissions, by the hashes of the contents before and
// after, and writes the history. The others remember what they have seen, so that the next leader lacks
// nothing. What is stored is never polled, and no review waits for anything here.
package live

import (
	"context"
	"crypto/tls"
	"log/slog"
	"strings"
	"sync"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/history"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// awsAuth is the name of the one object, in the namespace kube-system.
const awsAuth = "aws-auth"

// maxRequester bounds a user's name in an Event, in bytes.
const maxRequester = 200

// Settings are what the operator has configured.
type Settings struct {
	// SelfTest: the leader tries whether a deletion of aws-auth is refused.
	SelfTest bool
	// Restore: what is lost on a way around the webhooks is put back, so many times an hour at most.
	Restore    bool
	MaxPerHour int
	// Principals: the leader asks IAM about the stored principals.
	Principals bool
}

// Recorder counts. Its methods are called concurrently.
type Recorder interface {
	Stored(present, breakGlass bool, admins, protectedMissing int)
	StoredEntries(section string, n int)
	StoredFindings(count func(rule, severity string) int)
	StoredPrincipals(counts map[string]int)
	Enforced(is bool)
	// EnforcedUnknown forgets it.
	EnforcedUnknown()
	LastAdmitted(at time.Time)
	Leads(is bool)
	Bypassed()
	HistoryFailed()
	Restored(result string)
	// StoredUnknown forgets what is stored.
	StoredUnknown()
	Panicked(rule string)
}

// Election tells which replica is the leader.
type Election interface {
	IsLeader() bool
	OnWon(call func())
}

// History is the log of versions; a [history.Store].
type History interface {
	Read(ctx context.Context) (*history.Log, error)
	Change(ctx context.Context, change func(*history.Log) error) (*history.Log, error)
}

// Writer changes aws-auth.
type Writer interface {
	Create(ctx context.Context, cm *corev1.ConfigMap, options metav1.CreateOptions) (*corev1.ConfigMap, error)
	Update(ctx context.Context, cm *corev1.ConfigMap, options metav1.UpdateOptions) (*corev1.ConfigMap, error)
}

// Prober asks the API server to delete aws-auth as a dry run.
type Prober interface {
	// Identity is the user that this process is to the API server.
	Identity(ctx context.Context) (string, error)
	// Delete returns the API server's error, and what it has warned of.
	Delete(ctx context.Context) (warnings []string, err error)
}

// Directory knows principals' unique ids.
type Directory interface {
	UniqueID(ctx context.Context, principal awsauth.ARN) (string, validate.Existence, error)
	// Instead names what is there instead of a missing principal, and is empty where that is not known.
	Instead(ctx context.Context, missing awsauth.ARN) string
}

// Options are what [New] needs; only Directory, ConfigurationLost, Timing and Now may be left out.
type Options struct {
	// Replica is the name of this process among the replicas: that of its pod.
	Replica string
	// ConfigMaps are those of kube-system.
	ConfigMaps ConfigMaps
	Writer     Writer
	Prober     Prober
	History    History
	Record     Record
	Events     Events
	Election   Election
	Directory  Directory
	// Webhook is where the API server asks, and Certificate what is served there.
	Webhook     Webhook
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// ConfigurationLost is since when the ValidatingWebhookConfiguration cannot be read; zero: it can.
	ConfigurationLost func() time.Time
	Policy            func() validate.Policy
	Settings          func() Settings
	Recorder          Recorder
	Logger            *slog.Logger
	Timing            Timing
	Now               func() time.Time
}

// Timing is how long things last.
type Timing struct {
	// Flush is the least time between two writes, in which admissions are collected, and Doubt how long the word
	// is that there was none: nobody waits for it before the last of Reads.
	Flush, Doubt time.Duration
	// Renew is how often a replica writes although there is nothing new, and Forget when one is forgotten
	// that does not.
	Renew, Forget time.Duration
	// Reads is when the leader reads the record after it has seen a version that it has not admitted
	// itself. The last one is when it is certain that nobody has: the API server waits up to 30 s for a webhook.
	Reads []time.Duration
	// Patience is how long the leader waits, after it is certain, for the word of every replica.
	Patience time.Duration
	// Grace is how long after an interruption what the watch shows may have been stored during it.
	Grace time.Duration
	// Look is how often the certificate is compared with the caBundle.
	Look time.Duration
	// SelfTest is how often the self-test is made, and Settle how long after a change of the configuration.
	SelfTest, Settle time.Duration
	// Principals is how often IAM is asked about everybody, and Principal how long between two of them.
	Principals, Principal time.Duration
}

// DefaultTiming is the Timing of a webhook in use.
func DefaultTiming() Timing {
	return Timing{
		Flush: 250 * time.Millisecond, Doubt: 2 * time.Second, Renew: 10 * time.Minute, Forget: 25 * time.Minute,
		Reads:    []time.Duration{time.Second, 3 * time.Second, 8 * time.Second, 15 * time.Second, 30 * time.Second},
		Patience: time.Minute, Grace: 15 * time.Second, Look: 10 * time.Second,
		SelfTest: 30 * time.Second, Settle: 3 * time.Second,
		Principals: time.Hour, Principal: time.Second,
	}
}

func (t *Timing) certain() time.Duration { return t.Reads[len(t.Reads)-1] }

// Live is one replica's view of what is stored.
type Live struct {
	o      Options
	log    *slog.Logger
	now    func() time.Time
	scribe *scribe
	guard  *guard
	wake   chan struct{} // for the leader's work
	test   chan struct{} // for the self-test

	identity identity
	faults   faults

	mu     sync.Mutex
	ledger ledger
	steady time.Time // since when the watch is unbroken
	blind  bool      // what is stored has not been seen for long
	before *picture  // of what was stored last

	leader leader
}

// New returns a Live, which knows nothing before it runs.
func New(o Options) *Live {
	if o.Timing.Reads == nil {
		o.Timing = DefaultTiming()
	}
	if o.Now == nil {
		o.Now = time.Now //nolint:forbidigo // the real clock, where no other is given
	}
	l := &Live{o: o, log: o.Logger, now: o.Now, wake: make(chan struct{}, 1), test: make(chan struct{}, 1), faults: faults{told: make(map[string]*told)}}
	l.scribe = newScribe(&o, o.Recorder.HistoryFailed)
	l.guard = &guard{
		webhook: o.Webhook, certificate: o.Certificate, log: o.Logger, now: o.Now,
		recorder: o.Recorder, events: o.Events, leads: o.Election.IsLeader, lost: o.ConfigurationLost,
	}
	if l.guard.lost == nil {
		l.guard.lost = func() time.Time { return time.Time{} }
	}
	o.Election.OnWon(func() { poke(l.wake); poke(l.test) })
	return l
}

// Run works until the context ends, and then writes down what this replica has admitted.
func (l *Live) Run(ctx context.Context) error {
	w := &watcher{
		client: l.o.ConfigMaps, name: awsAuth, grace: l.o.Timing.Grace, log: l.log, now: l.now,
		seen: func(e event) { l.seen(ctx, e) }, steady: l.unbroken, sees: l.sees,
	}
	var running sync.WaitGroup
	running.Go(func() { w.run(ctx) })
	running.Go(func() { l.scribe.run(ctx) })
	running.Go(func() { l.lead(ctx) })
	running.Go(func() { l.watchGuard(ctx) })
	running.Go(func() { l.selfTest(ctx) })
	running.Go(func() { l.lookUp(ctx) })
	running.Wait()
	l.scribe.leave(ctx)
	return nil
}

// Configured takes in the ValidatingWebhookConfiguration as it is now, nil where there is none.
func (l *Live) Configured(config *admissionregistrationv1.ValidatingWebhookConfiguration) {
	if l.guard.configured(config) {
		l.guard.look(context.Background(), l.stored())
		poke(l.test)
	}
}

// Reconfigured judges what is stored again, by another configuration.
func (l *Live) Reconfigured() {
	l.picture(false)
	poke(l.wake)
	poke(l.test)
}

// String says, for everybody who may ask, whether the guard is on.
func (l *Live) String() string { return l.guard.String() }

// unbroken takes in since when nothing has come between this process and the API server.
func (l *Live) unbroken(since time.Time) {
	l.mu.Lock()
	l.steady = since
	l.mu.Unlock()
	l.scribe.watching(since)
}

// seen takes in what the watch shows.
func (l *Live) seen(ctx context.Context, e event) {
	l.mu.Lock()
	s := l.ledger.see(e, l.now())
	if s != nil {
		s.late = l.steady.IsZero() || !l.steady.Before(s.at)
	}
	l.mu.Unlock()
	if e.object != nil {
		l.o.Events.Concerns(e.object.UID)
	}
	l.picture(s != nil)
	l.guard.look(ctx, e.object)
	if s != nil {
		l.scribe.saw(s)
		poke(l.wake)
	}
}

func (l *Live) stored() *corev1.ConfigMap {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ledger.latest.object
}

// watchGuard compares the certificate with the caBundle, also where neither event has come.
func (l *Live) watchGuard(ctx context.Context) {
	tick := time.NewTicker(l.o.Timing.Look)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			l.guard.look(ctx, l.stored())
		}
	}
}

// Admitted takes in a change that a webhook has let pass; see admission.Journal. It never waits.
func (l *Live) Admitted(a history.Admission, overrides []string) {
	if len(overrides) > 0 && a.How == history.Overridden {
		l.o.Events.Warn(Overridden, shorten(a.Requester, maxRequester)+" has overruled the guard by "+strings.Join(overrides, ", "))
	}
	if a.Old == a.New {
		return
	}
	l.o.Recorder.LastAdmitted(a.Time)
	l.scribe.admitted(a)
}

// Refused takes in a change that a webhook has refused. It never waits.
func (l *Live) Refused(a history.Admission, rules []string) {
	l.o.Events.Warn(Rejected, "a change by "+shorten(a.Requester, maxRequester)+" is refused: "+strings.Join(rules, ", "))
	if a.Old != a.New {
		a.How = refused
		l.scribe.refusal(a)
	}
}
