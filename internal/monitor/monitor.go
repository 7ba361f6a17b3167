// Package monitor watches the stored aws-auth. It evaluates each version, records metrics, writes Events, and appends the versions to
// the history. Package admission receives the changes that clients request. Package monitor receives the versions that the API server
// stored, so it also finds the changes that bypassed the webhook.
//
// Every replica observes every version. Only the leader writes the history, counts bypasses and writes Events. The other replicas
// keep the versions and bypasses for some minutes, because one of these replicas may become the leader.
package monitor

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/history"
	"github.com/awsauth-guard/awsauth-guard/internal/kube"
	"github.com/awsauth-guard/awsauth-guard/internal/restore"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

const (
	// checkEvery is the period in which the monitor checks whether the watch works.
	checkEvery = 10 * time.Second
	// UnknownAfter is how long the watch must be interrupted until the stored version counts as unknown.
	UnknownAfter = 10 * time.Minute
	// unreportedFor is how long a replica that is not the leader keeps a bypass. An election takes less time.
	unreportedFor = 2 * time.Minute
	// maxUnreported limits the number of bypasses that such a replica keeps.
	maxUnreported = 200
)

// Recorder records metrics. It must allow concurrent calls.
type Recorder interface {
	// Stored records whether aws-auth exists, and whether it has the break-glass annotation.
	Stored(present, breakGlass bool)
	// StoredAccess records the numbers of admins, of node roles, and of protected principals that lack access.
	StoredAccess(admins, nodeRoles, protectedMissing int)
	// StoredEntries records the number of entries of a section.
	StoredEntries(section string, n int)
	// StoredAccessUnknown removes the metrics of the effective access.
	StoredAccessUnknown()
	// StoredFindings records the number of findings by rule and severity. count returns this number.
	StoredFindings(count func(rule, severity string) int)
	// StoredPrincipals records the number of stored principals by their state in IAM. Nil removes the metric.
	StoredPrincipals(counts map[string]int)
	// AccessEntryStates records the number of access entries by state. Nil removes the metric.
	AccessEntryStates(counts map[string]int)
	// AccessEntryLost counts a read of the access entries after which access was lost. The kind is protected-principal, last-admin
	// or node-role.
	AccessEntryLost(kind string)
	// StoredUnknown removes all metrics of the stored version.
	StoredUnknown()
	// Bypassed counts a bypass.
	Bypassed()
	// HistoryFailed counts a failed read or write of the history.
	HistoryFailed()
	// Panicked counts a panic of a rule, or of the guard itself.
	Panicked(rule string)
}

// Election elects the leader.
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
	// SetUID sets the uid of aws-auth for later Events.
	SetUID(uid types.UID)
}

// Restorer decides on restores. A [restore.Restorer] implements it.
type Restorer interface {
	// Observe receives every version.
	Observe(o restore.Observation)
	// Wrote reports whether the Restorer wrote the content with this hash to restore it.
	Wrote(hash string) bool
}

// Versions receives the versions for the history. A [Keeper] implements it.
type Versions interface {
	Add(v history.Version)
}

// Enforcement receives the stored object, because the objectSelector of a webhook can exclude this object.
type Enforcement interface {
	Stored(cm *corev1.ConfigMap)
}

// ReplacedVersions keeps the versions that were replaced a short time ago. An admission.ReplacedVersions implements it.
type ReplacedVersions interface {
	Observe(stored *awsauth.Object, now time.Time)
}

// Options configures [New]. All fields are required.
type Options struct {
	// ListerWatcher lists and watches only aws-auth.
	ListerWatcher cache.ListerWatcher
	// Past lists and watches earlier versions of aws-auth, after a restart of the process.
	Past        ConfigMaps
	History     Store
	Versions    Versions
	Restorer    Restorer
	Enforcement Enforcement
	Replaced    ReplacedVersions
	Events      Events
	Election    Election
	Lookup      PrincipalLookup
	Policy      func() validate.Policy
	// Principals reports whether the leader looks up principals in IAM.
	Principals func() bool
	Recorder   Recorder
	Logger     *slog.Logger
	Timing     Timing
	Now        func() time.Time
}

// Timing holds the periods of the lookups.
type Timing struct {
	// Principals is the period in which the leader looks up all principals. Principal is the pause after each call to IAM.
	Principals, Principal time.Duration
}

// DefaultTiming returns the Timing for production.
func DefaultTiming() Timing { return Timing{Principals: time.Hour, Principal: time.Second} }

// Monitor observes the stored aws-auth in one replica.
type Monitor struct {
	o     Options
	log   *slog.Logger
	watch *kube.Watch[corev1.ConfigMap]
	wake  chan struct{}

	mu         sync.Mutex
	resumed    []kube.Change[corev1.ConfigMap] // the versions that resume read; nil after the first change from the watch
	observed   bool                            // the monitor has observed a version
	stored     *corev1.ConfigMap               // the last observed version; nil if aws-auth does not exist
	hash       string                          // the hash of stored; empty if aws-auth does not exist
	good       *corev1.ConfigMap               // the last good version; see compare
	unknown    bool                            // the watch has been interrupted for UnknownAfter
	last       *baseline                       // of the last evaluation
	known      *baseline                       // of the last evaluation with known access entries; nil before the first such evaluation
	unreported []bypass                        // bypasses that this process observed while it was not the leader

	panicLogsMu sync.Mutex
	panicLogs   map[string]*kube.Throttle // by the name of the task
	onlyAWSAuth kube.Throttle             // throttles the log line about principals without an access entry
}

// baseline is the part of an evaluation with which the monitor compares the next evaluation.
type baseline struct {
	missing   []string          // protected principals that lack a group or the rights of an admin
	admins    int               // number of admins in the stored version and the access entries together
	nodeRoles map[string]string // ARNs of the node roles in the stored version and the access entries; the keys are from awsauth.PrincipalKey
}

// bypass is a stored version that the guard would have refused.
type bypass struct {
	version history.Version
	rules   []string // the rules that would have refused the version
}

// New returns a Monitor. It observes nothing until it runs.
func New(o Options) (*Monitor, error) {
	m := &Monitor{o: o, log: o.Logger, wake: make(chan struct{}, 1), last: new(baseline), panicLogs: make(map[string]*kube.Throttle)}
	var err error
	if m.watch, err = kube.NewWatch(o.ListerWatcher, "kube-system/aws-auth", m.changed, o.Logger, o.Now); err != nil {
		return nil, err
	}
	o.Election.OnWon(m.wakeUp)
	return m, nil
}

func (m *Monitor) wakeUp() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// Run watches aws-auth and looks up its principals until the context ends. It always returns nil.
func (m *Monitor) Run(ctx context.Context) error {
	m.resume(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { _ = m.watch.Run(ctx) }) // Run always returns nil
	running.Go(func() { m.lookUp(ctx) })
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			m.checkWatch()
		case <-m.wake:
			m.reportEarlier(ctx)
		case <-ctx.Done():
			return nil
		}
	}
}

// Reconfigured evaluates the stored version again, with the present configuration. The caller calls it after a change of the
// configuration.
func (m *Monitor) Reconfigured() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.observed {
		m.record("")
	}
}

// AccessEntriesRead evaluates the stored version again, and reports access that was lost by a change of access entries. The caller calls
// it after each read of the cluster's access entries.
func (m *Monitor) AccessEntriesRead() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.observed {
		m.record(kube.AccessEntryLost)
	}
}

// checkWatch updates the metrics if the stored version has become unknown, or has become known again.
func (m *Monitor) checkWatch() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.observed && m.unknown != m.isUnknown() {
		m.record("")
	}
}

// isUnknown reports whether the watch has been interrupted for UnknownAfter.
func (m *Monitor) isUnknown() bool {
	lost := m.watch.Lost()
	return !lost.IsZero() && m.o.Now().Sub(lost) >= UnknownAfter
}

// changed handles a change from the watch. The first change may be the version with which the resumed versions end. In this case changed
// observes all resumed versions in their order. Otherwise it observes only the change.
func (m *Monitor) changed(c kube.Change[corev1.ConfigMap]) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.observed && m.follows(c) {
		for _, earlier := range m.resumed {
			m.observe(earlier)
		}
	} else {
		m.observe(c)
	}
	m.resumed = nil
}

// observe handles one version: it compares the version with the last good one, passes it to the other components, adds it to the history
// and records metrics. The caller holds the lock.
func (m *Monitor) observe(c kube.Change[corev1.ConfigMap]) {
	before, first, now := m.stored, !m.observed, m.o.Now()
	hash := ""
	if c.Object != nil {
		hash = history.Hash(c.Object.Data, c.Object.BinaryData)
		m.o.Events.SetUID(c.Object.UID)
	}
	same := !first && hash == m.hash
	m.observed, m.stored, m.hash = true, c.Object, hash
	o := restore.Observation{Stored: c.Object, Version: c.Version, Manager: kube.Manager(before, c.Object), Time: now}
	_ = m.recoverPanic("compare", func() error {
		m.compare(&o, c.Gap)
		return nil
	})
	m.o.Restorer.Observe(o)
	m.o.Enforcement.Stored(c.Object)
	m.o.Replaced.Observe(kube.Object(c.Object), now)
	if !same {
		m.addVersion(c, before, &o)
	}
	var loss kube.Reason
	if !first && !same {
		loss = kube.ProtectedPrincipalLost
	}
	m.record(loss)
}

// compare compares a version with the last good version, and stores the result in o. If the version takes no access away, it becomes the
// last good version. The same is true if the guard treats the loss as intended.
//
// gap means that the monitor may have missed versions before this one. Such a version always becomes the last good version.
func (m *Monitor) compare(o *restore.Observation, gap bool) {
	if o.Good = m.good; gap {
		o.Good = nil
	}
	o.Comparison = restore.Compare(o.Good, o.Stored, o.Manager, m.o.Policy(), o.Time)
	if o.Comparison.Intended != "" {
		m.log.Warn("a change of aws-auth took access away, and the guard treats this as intended", "reason", o.Comparison.Intended, "lost", o.Comparison.Lost, "resource_version", o.Version)
		o.Comparison.Lost = nil
	}
	if len(o.Comparison.Lost) == 0 {
		m.good = o.Stored
	}
}

// addVersion adds a version with a new content to the history. If the version is a bypass, the leader reports it, and
// another replica stores it in m.unreported.
func (m *Monitor) addVersion(c kube.Change[corev1.ConfigMap], before *corev1.ConfigMap, o *restore.Observation) {
	v := history.Version{
		Time: o.Time, ResourceVersion: c.Version, Hash: m.hash, Deleted: c.Object == nil, Manager: o.Manager,
		Lost: o.Comparison.Lost, Origin: history.Found,
	}
	if c.Object != nil {
		v.Data, v.BinaryData = maps.Clone(c.Object.Data), maps.Clone(c.Object.BinaryData)
		v.Immutable = c.Object.Immutable != nil && *c.Object.Immutable
	}
	e := evaluation{verdict: validate.ActionDeny, rules: []string{validate.InternalError}} // a panic of evaluate leaves this result; a review treats a panic in the same way
	_ = m.recoverPanic("version", func() error {
		policy := m.o.Policy()
		v.Cluster = policy.Cluster
		e = evaluate(kube.Object(c.Object), policy)
		return nil
	})
	v.Verdict, v.Rules, v.Summary = e.verdict, e.rules, e.summary
	var refused []string
	if !c.Gap {
		_ = m.recoverPanic("change", func() error {
			v.Origin, refused = m.origin(before, o)
			return nil
		})
	}
	m.o.Versions.Add(v)
	if v.Origin != history.Bypassed {
		return
	}
	b := bypass{v, refused}
	b.version.Data, b.version.BinaryData = nil, nil
	if m.o.Election.IsLeader() {
		m.report(&b)
		return
	}
	m.unreported = append(m.unreported, b)
	m.unreported = m.unreported[max(0, len(m.unreported)-maxUnreported):]
}

// origin returns how a change came to be stored. If the guard would have refused the change, the origin is [history.Bypassed], and refused
// are the rules that deny it.
func (m *Monitor) origin(before *corev1.ConfigMap, o *restore.Observation) (origin history.Origin, refused []string) {
	policy := m.o.Policy()
	policy.IAMMode = validate.Off
	change := restore.ChangeOf(kube.Object(before), kube.Object(o.Stored), o.Time)
	switch {
	case m.o.Restorer.Wrote(m.hash):
		return history.Restored, nil
	case restore.BreaksGlass(change, policy):
		return history.Overridden, nil
	case kube.IsEKSManager(o.Manager):
		return history.Changed, nil
	}
	if refused = validate.Evaluate(change, policy).Denied(); len(refused) > 0 {
		return history.Bypassed, refused
	}
	return history.Changed, nil
}

// report counts a bypass, logs it and writes an Event.
func (m *Monitor) report(b *bypass) {
	m.o.Recorder.Bypassed()
	v := &b.version
	m.log.Warn("a stored change of aws-auth bypassed the guard", "resource_version", v.ResourceVersion, "manager", v.Manager, "rules", b.rules)
	manager := v.Manager
	if manager == "" {
		manager = "an unknown client"
	}
	m.o.Events.Warn(kube.Bypassed, "a stored change by "+manager+" bypassed the guard, which would have refused it: "+strings.Join(b.rules, ", "))
}

// reportEarlier reports the bypasses that this process observed before it became the leader. It leaves out those that are in the history,
// because the previous leader has reported them.
func (m *Monitor) reportEarlier(ctx context.Context) {
	m.mu.Lock()
	list := m.unreported
	m.unreported = nil
	m.mu.Unlock()
	now := m.o.Now()
	list = slices.DeleteFunc(list, func(b bypass) bool { return now.Sub(b.version.Time) > unreportedFor })
	if len(list) == 0 || !m.o.Election.IsLeader() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	log, err := m.o.History.Read(ctx)
	if err != nil {
		log = new(history.Log) // report all of them: it is better to report a bypass twice than not at all
		m.o.Recorder.HistoryFailed()
	}
	for i := range list {
		if !log.Has(&list[i].version) {
			m.report(&list[i])
		}
	}
}

// record evaluates the stored version and records metrics. If access was lost since the last call, record writes an Event with the reason
// loss. If loss is empty, it writes no Event. The caller holds the lock.
func (m *Monitor) record(loss kube.Reason) {
	if m.unknown = m.isUnknown(); m.unknown {
		m.o.Recorder.StoredUnknown()
		return
	}
	if err := m.recoverPanic("metrics", func() error {
		policy := m.o.Policy()
		m.recordMetrics(evaluate(kube.Object(m.stored), policy), &policy, loss)
		return nil
	}); err != nil {
		m.o.Recorder.StoredUnknown()
	}
}

// recordMetrics records the metrics of an evaluation and writes Events. loss is as in record. While the access entries
// are unknown, recordMetrics removes the metrics of access, because they would show a loss for each principal that has
// only an access entry.
func (m *Monitor) recordMetrics(e evaluation, policy *validate.Policy, loss kube.Reason) {
	r := m.o.Recorder
	r.Stored(m.stored != nil, hasBreakGlass(m.stored))
	r.StoredFindings(e.count)
	if e.summary.Unknown || policy.ClusterUnknown != "" {
		r.StoredAccessUnknown()
		return
	}
	admins := e.summary.Admins + e.otherAdmins
	r.StoredAccess(admins, len(e.nodeRoles), e.summary.ProtectedMissing)
	r.StoredEntries(string(awsauth.MapRoles), e.summary.Roles)
	r.StoredEntries(string(awsauth.MapUsers), e.summary.Users)
	r.StoredEntries(string(awsauth.MapAccounts), e.summary.Accounts)
	m.logOnlyAWSAuth(e.onlyAWSAuth)
	before := m.last
	if loss == kube.AccessEntryLost {
		before = m.known // compare two evaluations with known access entries
	}
	if m.last = (&baseline{e.missing, admins, e.nodeRoles}); policy.Cluster != nil {
		m.known = m.last
	}
	switch {
	case loss == "" || before == nil || !m.o.Election.IsLeader():
	case loss == kube.AccessEntryLost:
		m.reportEntryLosses(before, m.last)
	case before.losesProtected(m.last):
		m.o.Events.Warn(loss, lacking(len(e.missing))+" from the stored aws-auth")
	}
}

// maxLogged limits the number of principals that a log line names.
const maxLogged = 20

// logOnlyAWSAuth logs the principals that have no access entry. They would lose their access in the authentication mode API. Only the
// leader logs them: when they change, and otherwise once an hour.
func (m *Monitor) logOnlyAWSAuth(arns []string) {
	var condition error
	if len(arns) > 0 && m.o.Election.IsLeader() {
		condition = errors.New(strings.Join(arns, " "))
	}
	if m.onlyAWSAuth.ShouldLog(m.o.Now(), condition) {
		m.log.Info("principals without an access entry would lose their access in the authentication mode API", "count", len(arns), "principals", arns[:min(len(arns), maxLogged)])
	}
}

// losesProtected reports whether a protected principal lacks a group or the rights of an admin in after, but lacked nothing in b.
func (b *baseline) losesProtected(after *baseline) bool {
	return slices.ContainsFunc(after.missing, func(arn string) bool { return !slices.Contains(b.missing, arn) })
}

// lacking returns the beginning of a sentence. It says that n protected principals don't get all groups or admin rights that the
// configuration declares for them.
func lacking(n int) string {
	return counted(n, "protected principal does", "protected principals do") + " not get all declared groups or admin rights"
}

// hasBreakGlass reports whether an object has the break-glass annotation.
func hasBreakGlass(cm *corev1.ConfigMap) bool {
	return cm != nil && strings.TrimSpace(cm.Annotations[validate.BreakGlassAnnotation]) != ""
}
