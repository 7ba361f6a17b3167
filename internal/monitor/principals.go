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
	// Facts returns what IAM knows about a principal, and whether the principal exists. If this is unknown, the error is the reason.
	Facts(ctx context.Context, principal awsauth.ARN) (access.IAMFacts, validate.Existence, error)
	// Replacement returns the ARN that replaced a missing principal, or "" if it is not known.
	Replacement(ctx context.Context, missing awsauth.ARN) string
}

const (
	// maxLookedUp limits the number of principals that the leader looks up in an hour, with one call a second. It is half of the
	// seconds of an hour, because a missing principal needs two calls. A missing role of IAM Identity Center needs three.
	maxLookedUp = 1800
	// recreated is the state of a principal that was deleted and created again with the same name.
	recreated = "recreated"
	// ssoPrefix begins the names of the roles that IAM Identity Center creates. Such a name ends with a random suffix.
	ssoPrefix = "AWSReservedSSO_"
)

// lookUp looks up the principals of the stored aws-auth and of the access entries in IAM, one after the other. It repeats this
// periodically until the context ends. It does nothing while this process is not the leader.
func (m *Monitor) lookUp(ctx context.Context) {
	var stored, entries time.Time // when the last lookups began; zero if there are no results
	var reported map[string]string
	var lookupErrors kube.Throttle
	for ctx.Err() == nil {
		kube.Sleep(ctx, min(checkEvery, m.o.Timing.Principals))
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

// isDue reports whether the next lookups are due. last is the time at which the last lookups began, or zero if there were none.
func (m *Monitor) isDue(last time.Time) bool {
	return last.IsZero() || m.o.Now().Sub(last) >= m.o.Timing.Principals
}

// round is one pass over all principals. It looks up at most maxLookedUp principals, each once.
type round struct {
	*Monitor

	answers map[string]answer // by awsauth.PrincipalKey
}

// answer is the answer of IAM about a principal. If the existence is Unknown, err is the reason.
type answer struct {
	facts     access.IAMFacts
	existence validate.Existence
	err       error
}

var errTooMany = errors.New("too many principals to look up in an hour")

// lookUp looks up a principal. A second lookup in the same round returns the same answer and makes no call. If IAM doesn't find the
// principal, lookUp makes a second call, because IAM may not find a new principal yet. It pauses after each call, to limit the rate of
// calls.
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
		kube.Sleep(ctx, r.o.Timing.Principal)
		if a.existence != validate.Missing || !r.stillLeads(ctx) {
			break
		}
	}
	r.answers[key] = a
	return a
}

// lookUpStored looks up the principals of the stored aws-auth. It records metrics, logs the principals that an operator should check,
// and stores the unique ids of the principals in the history.
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
	ids    map[string]string // unique ids by ARN
	counts map[string]int    // number of principals by state
}

// add records the result for a principal, and returns the state of the principal. id is the unique id that IAM has now.
// before is the unique id in the history. If before is not empty, add keeps it in ids. So later rounds, too, recognize
// a principal that was deleted and created again.
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

// principals returns the roles and users of the stored aws-auth, at most maxLookedUp of them.
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

// logPrincipal logs a principal that is missing or recreated, and one whose existence is unknown because of err. For a missing role of
// IAM Identity Center it also looks up the role that replaced it.
func (m *Monitor) logPrincipal(ctx context.Context, arn awsauth.ARN, state string, err error) {
	attrs := []any{"principal", arn.String()}
	switch {
	case state == string(validate.Missing) && strings.HasPrefix(arn.Name(), ssoPrefix):
		if replacement := m.o.Lookup.Replacement(ctx, arn); replacement != "" {
			m.log.Warn("a stored role of IAM Identity Center does not exist: its permission set has a role with another suffix", append(attrs, "replacement", replacement)...)
		} else {
			m.log.Warn("a stored role of IAM Identity Center does not exist: its permission set may have a role with another suffix", attrs...)
		}
		kube.Sleep(ctx, m.o.Timing.Principal) // Replacement makes a call too
	case state == string(validate.Missing):
		m.log.Warn("a stored principal does not exist in IAM", attrs...)
	case state == recreated:
		m.log.Warn("a stored principal was deleted and created again with the same name", attrs...)
	case err != nil && !errors.Is(err, context.Canceled):
		m.log.Info("cannot determine whether a stored principal exists", append(attrs, "err", err.Error())...)
	}
}

// object returns the last observed version, or nil if aws-auth does not exist.
func (m *Monitor) object() *corev1.ConfigMap {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stored
}

// hasObserved reports whether the monitor has observed a version.
func (m *Monitor) hasObserved() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.observed
}
