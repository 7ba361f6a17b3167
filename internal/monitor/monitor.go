// Package monitor watches the stored aws-auth. It evaluates each version, records metrics, writes Events, and appends the versions to
// the history. Package admission sees the changes that clients request; this package sees the stored versions.
//
// Every replica observes every version. Only the leader writes the history, counts bypasses and writes Events. The other replicas
// keep their observations for some minutes, in case they become the leader.
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
	// UnknownAfter is how long the watch may be interrupted until the last observed version counts as unknown.
	UnknownAfter = 10 * time.Minute
	// unreportedFor is how long a replica that doesn't lead keeps a bypass. It is longer than an election.
	unreportedFor = 2 * time.Minute
	// maxUnreported limits the number of these bypasses.
	maxUnreported = 200
)

// Recorder records metrics. Its methods may be called concurrently.
type Recorder interface {
	Stored(present, breakGlass bool)
	StoredAccess(admins, nodeRoles, protectedMissing int)
	StoredEntries(section string, n int)
	// StoredAccessUnknown removes the metrics of the effective access.
	StoredAccessUnknown()
	StoredFindings(count func(rule, severity string) int)
	StoredPrincipals(counts map[string]int)
	// AccessEntryStates records the number of access entries by state. Nil removes the metric.
	AccessEntryStates(counts map[string]int)
	// AccessEntryLost counts a read of the access entries that shows a loss: protected-principal, last-admin or node-role.
	AccessEntryLost(kind string)
	// StoredUnknown removes all metrics of the stored version.
	StoredUnknown()
	Bypassed()
	HistoryFailed()
	Panicked(rule string)
}

// Election elects the replica that leads.
type Election interface {
	IsLeader() bool
	OnWon(call func())
}

// Events writes Events about aws-auth.
type Events interface {
	Warn(reason kube.Reason, message string)
	SetUID(uid types.UID)
}

// Restorer observes every version. A [restore.Restorer] implements it.
type Restorer interface {
	Observe(o restore.Observation)
	// Wrote reports whether the Restorer has written a content in order to restore it.
	Wrote(hash string) bool
}

// Versions receives the versions for the history. A [Keeper] implements it.
type Versions interface {
	Add(v history.Version)
}

// Enforcement observes the stored object, because a webhook's objectSelector can depend on it.
type Enforcement interface {
	Stored(cm *corev1.ConfigMap)
}

// ReplacedVersions keeps the versions that were stored recently.
type ReplacedVersions interface {
	Observe(stored *awsauth.Object, now time.Time)
}

// Options configures [New]. All fields are required.
type Options struct {
	// ListerWatcher lists and watches only aws-auth.
	ListerWatcher cache.ListerWatcher
	// Past lists and watches earlier versions of aws-auth.
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
	// Principals reports whether the stored principals are looked up in IAM.
	Principals func() bool
	Recorder   Recorder
	Logger     *slog.Logger
	Timing     Timing
	Now        func() time.Time
}

// Timing holds the periods of the lookups.
type Timing struct {
	// Principals is the period in which all principals are looked up, and Principal the time between two lookups.
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
	resumed    []kube.Change[corev1.ConfigMap] // versions since the newest good one of the history, until the first change
	observed   bool                            // a version was observed
	stored     *corev1.ConfigMap
	hash       string // of stored; empty if aws-auth does not exist
	good       *corev1.ConfigMap
	unknown    bool      // the watch has been interrupted for UnknownAfter
	last       *baseline // of the last evaluation
	known      *baseline // of the last evaluation with known access entries; nil until the first one
	unreported []bypass

	panicLogsMu sync.Mutex
	panicLogs   map[string]*kube.Throttle // by the name of the task
	onlyAWSAuth kube.Throttle             // of the log line about principals without an access entry
}

// baseline is the part of an evaluation that later ones are compared with.
type baseline struct {
	missing   []string          // protected principals that lack a group or the rights of an admin
	admins    int               // admins by the stored version and by access entries
	nodeRoles map[string]string // ARNs of the node roles by both sources, by awsauth.PrincipalKey
}

// bypass is a stored version that the webhook did not review. This process observed it while another replica was the leader.
type bypass struct {
	version history.Version
	rules   []string
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

// Run watches until the context ends.
func (m *Monitor) Run(ctx context.Context) error {
	m.resume(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { _ = m.watch.Run(ctx) }) // always nil
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

// Reconfigured evaluates the stored version again, with the present configuration.
func (m *Monitor) Reconfigured() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.observed {
		m.record("")
	}
}

// AccessEntriesRead evaluates the stored version again, after the cluster's access entries were read.
func (m *Monitor) AccessEntriesRead() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.observed {
		m.record(kube.AccessEntryLost)
	}
}

// checkWatch updates the metrics when the stored version becomes unknown, or known again.
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

// changed handles a change from the watch. If it is the first change, and shows the same version as the last resumed one, changed observes
// all resumed versions in their order. Otherwise it observes only the change.
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

// observe handles one version. The caller holds the lock.
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

// compare compares a version with the last good version. Then it makes the version the last good one, unless the version has an unintended
// loss. A version after a gap always becomes the last good one, because the versions in the gap are not known.
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

// addVersion adds a version with a new content to the history, and reports a bypass.
func (m *Monitor) addVersion(c kube.Change[corev1.ConfigMap], before *corev1.ConfigMap, o *restore.Observation) {
	v := history.Version{
		Time: o.Time, ResourceVersion: c.Version, Hash: m.hash, Deleted: c.Object == nil, Manager: o.Manager,
		Lost: o.Comparison.Lost, Origin: history.Found,
	}
	if c.Object != nil {
		v.Data, v.BinaryData = maps.Clone(c.Object.Data), maps.Clone(c.Object.BinaryData)
		v.Immutable = c.Object.Immutable != nil && *c.Object.Immutable
	}
	e := evaluation{verdict: validate.ActionDeny, rules: []string{validate.InternalError}} // stays if evaluate panics; a review gets the same verdict
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

// origin returns how a change came to be stored. A change that the guard would have refused has bypassed it.
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

// reportEarlier reports the bypasses that the previous leader did not record. It is called when this process becomes the leader.
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
		log = new(history.Log) // reporting a bypass twice is better than never
		m.o.Recorder.HistoryFailed()
	}
	for i := range list {
		if !log.Has(&list[i].version) {
			m.report(&list[i])
		}
	}
}

// record evaluates the stored version and records metrics. loss is the reason of the Event if access was lost since the last call; it is
// empty if no loss is to be reported. The caller holds the lock.
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

// recordMetrics records metrics and Events of an evaluation. While the access entries are unknown, access is unknown too: a
// principal that has only an access entry would count as lost.
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
		before = m.known // only two evaluations with known access entries can show that the access entries changed
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

// maxLogged limits the principals that a log line names.
const maxLogged = 20

// logOnlyAWSAuth logs which principals have no access entry and would lose their access in mode API. The leader logs them when they
// change, and otherwise once an hour.
func (m *Monitor) logOnlyAWSAuth(arns []string) {
	var condition error
	if len(arns) > 0 && m.o.Election.IsLeader() {
		condition = errors.New(strings.Join(arns, " "))
	}
	if m.onlyAWSAuth.ShouldLog(m.o.Now(), condition) {
		m.log.Info("principals without an access entry would lose their access in the authentication mode API", "count", len(arns), "principals", arns[:min(len(arns), maxLogged)])
	}
}

// losesProtected reports whether a protected principal lacks some of its groups after, and didn't before.
func (b *baseline) losesProtected(after *baseline) bool {
	return slices.ContainsFunc(after.missing, func(arn string) bool { return !slices.Contains(b.missing, arn) })
}

// lacking returns a text which says that n protected principals lack some of their groups, or the rights of an admin that the
// configuration declares for them.
func lacking(n int) string {
	return counted(n, "protected principal does", "protected principals do") + " not get all declared groups or admin rights"
}

// hasBreakGlass reports whether an object has the break-glass annotation.
func hasBreakGlass(cm *corev1.ConfigMap) bool {
	return cm != nil && strings.TrimSpace(cm.Annotations[validate.BreakGlassAnnotation]) != ""
}
