package monitor

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/history"
	"github.com/awsauth-guard/awsauth-guard/internal/kube"
	"github.com/awsauth-guard/awsauth-guard/internal/restore"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

const (
	// unreportedFor is how long a replica that is not the leader keeps a bypass. An election takes less time.
	unreportedFor = 2 * time.Minute
	// maxUnreported limits the number of bypasses that such a replica keeps.
	maxUnreported = 200
)

// bypass is a stored version that the guard would have refused.
type bypass struct {
	version history.Version
	rules   []string // the rules that would have refused the version
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
		v.Immutable = kube.IsImmutable(c.Object)
	}
	e := evaluation{verdict: validate.ActionDeny, rules: []string{validate.InternalError}} // the result if evaluate panics, as in a review
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

// reportEarlier reports the bypasses that this process observed before it became the leader. It leaves out bypasses older than
// unreportedFor. It also leaves out those that are in the history, because the previous leader has reported them. If it can't read the
// history, it reports all the others.
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
