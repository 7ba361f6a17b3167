// Package monitor watches the stored aws-auth: it evaluates each version, records metrics and Events, and appends the
// versions to the history. Admission sees what a client wants to store; this package sees what is stored.
//
// Every replica observes every version. The leader alone writes the history, counts bypasses and writes Events; another
// replica keeps what it has observed for some minutes, so that the next leader lacks nothing.
package monitor

import (
	"context"
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
	// lookEvery is how often the monitor checks whether the watch still works.
	lookEvery = 10 * time.Second
	// UnknownAfter is how long the watch may be interrupted before what it showed last counts as unknown.
	UnknownAfter = 10 * time.Minute
	// unreportedFor is how long a bypass that was observed without a leader waits for one: longer than an election.
	unreportedFor = 2 * time.Minute
	// maxUnreported bounds them.
	maxUnreported = 200
)

// Recorder counts. Its methods are called concurrently.
type Recorder interface {
	Stored(present, breakGlass bool)
	StoredAccess(admins, protectedMissing int)
	StoredEntries(section string, n int)
	// StoredAccessUnknown forgets who has access by what is stored.
	StoredAccessUnknown()
	StoredFindings(count func(rule, severity string) int)
	StoredPrincipals(counts map[string]int)
	// StoredUnknown forgets what is stored.
	StoredUnknown()
	Bypassed()
	HistoryFailed()
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
	SetUID(uid types.UID)
}

// Restorer is told of every version; a [restore.Restorer].
type Restorer interface {
	Observe(o restore.Observation)
	// Wrote reports whether the Restorer has written a content.
	Wrote(hash string) bool
}

// Versions takes in what is to be appended to the history; a [Keeper].
type Versions interface {
	Add(v history.Version)
}

// Enforcement is told of what is stored, because a webhook's objectSelector depends on it.
type Enforcement interface {
	Stored(cm *corev1.ConfigMap)
}

// ReplacedVersions remembers the versions that were stored a short time ago.
type ReplacedVersions interface {
	Observe(stored *awsauth.Object, now time.Time)
}

// Options are what [New] needs.
type Options struct {
	// ListerWatcher shows aws-auth alone.
	ListerWatcher cache.ListerWatcher
	// Past shows earlier versions of aws-auth.
	Past        ConfigMaps
	History     Store
	Versions    Versions
	Restorer    Restorer
	Enforcement Enforcement
	Replaced    ReplacedVersions
	Events      Events
	Election    Election
	Directory   Directory
	Policy      func() validate.Policy
	// Principals reports whether IAM is asked about the stored principals.
	Principals func() bool
	Recorder   Recorder
	Logger     *slog.Logger
	Timing     Timing
	Now        func() time.Time
}

// Timing is how long things last.
type Timing struct {
	// Principals is how often IAM is asked about every principal, and Principal the time between two of them.
	Principals, Principal time.Duration
}

// DefaultTiming is the Timing of a webhook in use.
func DefaultTiming() Timing { return Timing{Principals: time.Hour, Principal: time.Second} }

// Monitor is one replica's view of the stored aws-auth.
type Monitor struct {
	o     Options
	log   *slog.Logger
	watch *kube.Watch[corev1.ConfigMap]
	wake  chan struct{}

	mu         sync.Mutex
	resumed    []kube.Change[corev1.ConfigMap] // versions since the newest good one of the history, before the first change
	known      bool                            // a version was observed
	stored     *corev1.ConfigMap
	hash       string // of stored; empty: there is none
	good       *corev1.ConfigMap
	unknown    bool     // what is stored has not been shown for long
	missing    []string // the protected principals that the stored version lacks
	unreported []bypass

	faultsMu sync.Mutex
	faults   map[string]*kube.Throttle // by the name of the work
}

// bypass is a bypass that was observed while this process was not the leader.
type bypass struct {
	version history.Version
	rules   []string
}

// New returns a Monitor, which knows nothing before it runs.
func New(o Options) (*Monitor, error) {
	m := &Monitor{o: o, log: o.Logger, wake: make(chan struct{}, 1), faults: make(map[string]*kube.Throttle)}
	var err error
	if m.watch, err = kube.NewWatch(o.ListerWatcher, "kube-system/aws-auth", m.changed, o.Logger, o.Now); err != nil {
		return nil, err
	}
	o.Election.OnWon(m.poke)
	return m, nil
}

func (m *Monitor) poke() {
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
	running.Go(func() { _ = m.watch.Run(ctx) }) // has no error
	running.Go(func() { m.lookUp(ctx) })
	tick := time.NewTicker(lookEvery)
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

// Reconfigured evaluates the stored version again, by the configuration that is in use now.
func (m *Monitor) Reconfigured() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known {
		m.record(false)
	}
}

// checkWatch records anew when the stored version becomes unknown, or is known again.
func (m *Monitor) checkWatch() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known && m.unknown != m.isUnknown() {
		m.record(false)
	}
}

// isUnknown reports whether the watch has been interrupted for long.
func (m *Monitor) isUnknown() bool {
	lost := m.watch.Lost()
	return !lost.IsZero() && m.o.Now().Sub(lost) >= UnknownAfter
}

// changed takes in what the watch shows.
func (m *Monitor) changed(c kube.Change[corev1.ConfigMap]) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.known && m.follows(c) {
		for _, earlier := range m.resumed {
			m.observe(earlier)
		}
	} else {
		m.observe(c)
	}
	m.resumed = nil
}

// observe takes in one version. The lock is held.
func (m *Monitor) observe(c kube.Change[corev1.ConfigMap]) {
	before, first, now := m.stored, !m.known, m.o.Now()
	hash := ""
	if c.Object != nil {
		hash = history.Hash(c.Object.Data, c.Object.BinaryData)
		m.o.Events.SetUID(c.Object.UID)
	}
	same := !first && hash == m.hash
	m.known, m.stored, m.hash = true, c.Object, hash
	o := restore.Observation{Stored: c.Object, Version: c.Version, Manager: kube.Manager(before, c.Object), Time: now}
	_ = m.survive("compare", func() error {
		m.compare(&o, c.Gap)
		return nil
	})
	m.o.Restorer.Observe(o)
	m.o.Enforcement.Stored(c.Object)
	m.o.Replaced.Observe(kube.Object(c.Object), now)
	if !same {
		m.enter(c, before, &o)
	}
	m.record(!first && !same)
}

// compare compares a version with the last good one, which it becomes itself unless something is lost unintended. A
// version after a gap becomes the last good one: others may have come before it.
func (m *Monitor) compare(o *restore.Observation, gap bool) {
	if o.Good = m.good; gap {
		o.Good = nil
	}
	o.Comparison = restore.Compare(o.Good, o.Stored, o.Manager, m.o.Policy(), o.Time)
	if o.Comparison.Intended != "" {
		m.log.Warn("a loss in aws-auth counts as intended", "reason", o.Comparison.Intended, "lost", o.Comparison.Lost, "resource_version", o.Version)
		o.Comparison.Lost = nil
	}
	if len(o.Comparison.Lost) == 0 {
		m.good = o.Stored
	}
}

// enter adds a version with another content to the history, and reports a bypass.
func (m *Monitor) enter(c kube.Change[corev1.ConfigMap], before *corev1.ConfigMap, o *restore.Observation) {
	v := history.Version{
		Time: o.Time, ResourceVersion: c.Version, Hash: m.hash, Deleted: c.Object == nil, Manager: o.Manager,
		Lost: o.Comparison.Lost, Origin: history.Found,
	}
	if c.Object != nil {
		v.Data, v.BinaryData = maps.Clone(c.Object.Data), maps.Clone(c.Object.BinaryData)
		v.Immutable = c.Object.Immutable != nil && *c.Object.Immutable
	}
	e := evaluation{verdict: validate.Refuse, rules: []string{validate.InternalError}} // as a review would say
	_ = m.survive("version", func() error {
		e = evaluate(kube.Object(c.Object), m.o.Policy())
		return nil
	})
	v.Verdict, v.Rules, v.Summary = e.verdict, e.rules, e.summary
	var refused []string
	if !c.Gap {
		_ = m.survive("change", func() error {
			v.Origin, refused = m.how(before, o)
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

// how says how a change came to be stored. A change that the guard would have refused has bypassed it.
func (m *Monitor) how(before *corev1.ConfigMap, o *restore.Observation) (how history.Origin, refused []string) {
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
	if refused = validate.Judge(change, policy).Denied(); len(refused) > 0 {
		return history.Bypassed, refused
	}
	return history.Changed, nil
}

// report counts a bypass and tells the cluster.
func (m *Monitor) report(b *bypass) {
	m.o.Recorder.Bypassed()
	v := &b.version
	m.log.Warn("a stored change of aws-auth bypassed the guard", "resource_version", v.ResourceVersion, "manager", v.Manager, "rules", b.rules)
	manager := v.Manager
	if manager == "" {
		manager = "an unknown client"
	}
	m.o.Events.Warn(kube.Bypassed, "a change by "+manager+" is stored that the guard would have refused: "+strings.Join(b.rules, ", "))
}

// reportEarlier reports the bypasses that no leader has, after this process has become the leader.
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
		log = new(history.Log) // a bypass that is reported twice is better than none
		m.o.Recorder.HistoryFailed()
	}
	for i := range list {
		if !log.Has(&list[i].version) {
			m.report(&list[i])
		}
	}
}

// record evaluates the stored version and records metrics. Changed reports that it has another content than the version
// before. The lock is held.
func (m *Monitor) record(changed bool) {
	if m.unknown = m.isUnknown(); m.unknown {
		m.o.Recorder.StoredUnknown()
		return
	}
	if err := m.survive("metrics", func() error {
		m.recordMetrics(evaluate(kube.Object(m.stored), m.o.Policy()), changed)
		return nil
	}); err != nil {
		m.o.Recorder.StoredUnknown()
	}
}

func (m *Monitor) recordMetrics(e evaluation, changed bool) {
	r := m.o.Recorder
	r.Stored(m.stored != nil, hasBreakGlass(m.stored))
	r.StoredFindings(e.count)
	if e.summary.Unknown {
		r.StoredAccessUnknown()
		return
	}
	r.StoredAccess(e.summary.Admins+e.otherAdmins, e.summary.ProtectedMissing)
	r.StoredEntries(string(awsauth.MapRoles), e.summary.Roles)
	r.StoredEntries(string(awsauth.MapUsers), e.summary.Users)
	r.StoredEntries(string(awsauth.MapAccounts), e.summary.Accounts)
	lost := slices.ContainsFunc(e.missing, func(arn string) bool { return !slices.Contains(m.missing, arn) })
	if changed && lost && m.o.Election.IsLeader() {
		m.o.Events.Warn(kube.ProtectedPrincipalLost, counted(e.summary.ProtectedMissing, "protected principal does", "protected principals do")+" not get all their groups from the stored aws-auth")
	}
	m.missing = e.missing
}

// hasBreakGlass reports whether an object carries the break-glass annotation.
func hasBreakGlass(cm *corev1.ConfigMap) bool {
	return cm != nil && strings.TrimSpace(cm.Annotations[validate.BreakGlassAnnotation]) != ""
}
