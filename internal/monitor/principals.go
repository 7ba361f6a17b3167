package monitor

import (
	"context"
	"errors"
	"maps"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/history"
	"github.com/awsauth-guard/awsauth-guard/internal/kube"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// PrincipalLookup looks up principals in IAM.
type PrincipalLookup interface {
	Facts(ctx context.Context, principal awsauth.ARN) (access.IAMFacts, validate.Existence, error)
	// Replacement returns the ARN that replaced a missing principal, or "" if it is not known.
	Replacement(ctx context.Context, missing awsauth.ARN) string
}

const (
	// maxLookedUp limits the principals that are looked up in an hour. It is half of an hour's seconds, because a missing
	// principal needs two calls, or three with its permission set.
	maxLookedUp = 1800
	// recreated is the state of a principal that was deleted and created again with the same name.
	recreated = "recreated"
	// ssoPrefix begins the names of the roles that IAM Identity Center creates. Each name has its own suffix.
	ssoPrefix = "AWSReservedSSO_"
)

// lookUp makes the leader look up the stored principals and those of the access entries in IAM, periodically and one after the other.
func (m *Monitor) lookUp(ctx context.Context) {
	var stored, entries time.Time // when the last lookups began; zero if their results don't count
	var reported map[string]string
	var lookupErrors kube.Throttle
	for ctx.Err() == nil {
		sleep(ctx, min(checkEvery, m.o.Timing.Principals))
		leads := m.o.Principals() && m.o.Election.IsLeader()
		if !leads && !stored.IsZero() {
			m.o.Recorder.StoredPrincipals(nil)
			stored = time.Time{}
		}
		cluster := m.o.Policy().Cluster
		if (!leads || cluster == nil) && !entries.IsZero() {
			m.o.Recorder.AccessEntryStates(nil)
			entries = time.Time{}
		}
		if !leads {
			reported = nil
			continue
		}
		r := &round{Monitor: m, answers: make(map[string]answer)}
		if m.isDue(stored) && m.hasObserved() {
			stored = m.o.Now()
			if err := m.recoverPanic("principals", func() error { return r.lookUpStored(ctx) }); lookupErrors.ShouldLog(m.o.Now(), err) {
				m.log.Warn("cannot store the IAM ids of the stored principals", "err", err.Error())
			}
		}
		if cluster != nil && m.isDue(entries) {
			entries = m.o.Now()
			_ = m.recoverPanic("access entries", func() error {
				reported = r.lookUpEntries(ctx, cluster.AccessEntries, reported)
				return nil
			})
		}
	}
}

// isDue reports whether lookups must be repeated. last is when they last began.
func (m *Monitor) isDue(last time.Time) bool {
	return last.IsZero() || m.o.Now().Sub(last) >= m.o.Timing.Principals
}

// round looks up each principal once, and at most maxLookedUp of them.
type round struct {
	*Monitor

	answers map[string]answer // by awsauth.PrincipalKey
}

// answer is the answer of IAM about a principal. The error is the reason for Unknown.
type answer struct {
	facts     access.IAMFacts
	existence validate.Existence
	err       error
}

var errTooMany = errors.New("too many principals to look up in an hour")

// lookUp looks up a principal, once in a round. If IAM doesn't find the principal, lookUp makes a second call, because IAM may not find
// a new principal yet. It pauses after each call, to limit the rate of calls.
func (r *round) lookUp(ctx context.Context, arn awsauth.ARN) (a answer) {
	key := awsauth.PrincipalKey(arn.String())
	if a, ok := r.answers[key]; ok {
		return a
	}
	if len(r.answers) >= maxLookedUp {
		return answer{existence: validate.Unknown, err: errTooMany}
	}
	for range 2 {
		a.facts, a.existence, a.err = r.o.Lookup.Facts(ctx, arn)
		sleep(ctx, r.o.Timing.Principal)
		if a.existence != validate.Missing || !r.stillLeads(ctx) {
			break
		}
	}
	r.answers[key] = a
	return a
}

// lookUpStored looks up the stored principals, and stores their unique ids in the history.
func (r *round) lookUpStored(ctx context.Context) error {
	log, err := r.o.History.Read(ctx)
	if err != nil {
		r.o.Recorder.HistoryFailed()
		return err
	}
	seen := storedIDs{ids: make(map[string]string), counts: make(map[string]int)}
	for _, arn := range r.principals() {
		a := r.lookUp(ctx, arn)
		if !r.stillLeads(ctx) {
			return nil // the next leader starts again
		}
		state := seen.add(arn.String(), log.IAM[arn.String()], a.facts.UniqueID, a.existence)
		r.logPrincipal(ctx, arn, state, a.err)
	}
	r.o.Recorder.StoredPrincipals(seen.counts)
	_, err = r.o.History.Change(ctx, func(log *history.Log) error {
		log.IAM = maps.Clone(seen.ids)
		return nil
	})
	if err != nil {
		r.o.Recorder.HistoryFailed()
	}
	return err
}

func (m *Monitor) stillLeads(ctx context.Context) bool {
	return ctx.Err() == nil && m.o.Election.IsLeader()
}

// storedIDs holds the results for the stored principals in one round.
type storedIDs struct {
	ids    map[string]string
	counts map[string]int
}

// add records the result for a principal, and returns its state. before is its unique id in the history, or "". add keeps before as long
// as the stored aws-auth has the principal, so that a principal which is deleted and created again is recognized.
func (l *storedIDs) add(arn, before, id string, existence validate.Existence) (state string) {
	state = string(existence)
	switch {
	case existence == validate.Exists && id != "":
		if before != "" && before != id {
			state = recreated
			id = before // keep the id of the principal for which the entry was written
		}
		l.ids[arn] = id
	case before != "":
		l.ids[arn] = before
	}
	l.counts[state]++
	return state
}

// principals returns the principals of the stored aws-auth that IAM can look up.
func (m *Monitor) principals() (list []awsauth.ARN) {
	o := kube.Object(m.object())
	if o == nil {
		return nil
	}
	for _, p := range o.Load().Principals() {
		arn, err := awsauth.ParseARN(p.ARN)
		if err != nil || arn.Service != "iam" || arn.Resource == "root" {
			continue
		}
		if list = append(list, arn); len(list) == maxLookedUp {
			break
		}
	}
	return list
}

// logPrincipal logs a result that an operator should check.
func (m *Monitor) logPrincipal(ctx context.Context, arn awsauth.ARN, state string, err error) {
	attrs := []any{"principal", arn.String()}
	switch {
	case state == string(validate.Missing) && strings.HasPrefix(arn.Name(), ssoPrefix):
		if replacement := m.o.Lookup.Replacement(ctx, arn); replacement != "" {
			m.log.Warn("a stored role of IAM Identity Center does not exist: its permission set has a role with another suffix", append(attrs, "replacement", replacement)...)
		} else {
			m.log.Warn("a stored role of IAM Identity Center does not exist: its permission set may have a role with another suffix", attrs...)
		}
		sleep(ctx, m.o.Timing.Principal) // Replacement makes a call too
	case state == string(validate.Missing):
		m.log.Warn("a stored principal does not exist in IAM", attrs...)
	case state == recreated:
		m.log.Warn("a stored principal was deleted and created again with the same name", attrs...)
	case err != nil && !errors.Is(err, context.Canceled):
		m.log.Info("cannot determine whether a stored principal exists", append(attrs, "err", err.Error())...)
	}
}

// object returns the stored object, or nil if there is none.
func (m *Monitor) object() *corev1.ConfigMap {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stored
}

// hasObserved reports whether a version was observed.
func (m *Monitor) hasObserved() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.observed
}

// sleep returns after d, or when the context ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
