package monitor

import (
	"context"
	"errors"
	"maps"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/history"
	"github.com/awsauth-guard/awsauth-guard/internal/kube"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// Directory knows principals' unique ids.
type Directory interface {
	UniqueID(ctx context.Context, principal awsauth.ARN) (string, validate.Existence, error)
	// Instead names the principal that exists instead of a missing one. It is empty where that is not known.
	Instead(ctx context.Context, missing awsauth.ARN) string
}

const (
	// maxLookedUp bounds the principals that IAM is asked about: half of an hour's seconds, because one that is missing
	// takes two, or three with its permission set.
	maxLookedUp = 1800
	// recreated is a principal that is another one than before, under the same name.
	recreated = "recreated"
	// ssoPrefix begins the names of the roles that IAM Identity Center makes, each with a suffix of its own.
	ssoPrefix = "AWSReservedSSO_"
)

// lookUp has the leader ask IAM about the stored principals from time to time, one after the other.
func (m *Monitor) lookUp(ctx context.Context) {
	var last time.Time
	var failing kube.Throttle
	for ctx.Err() == nil {
		sleep(ctx, min(lookEvery, m.o.Timing.Principals))
		if !m.o.Principals() || !m.o.Election.IsLeader() {
			if !last.IsZero() {
				m.o.Recorder.StoredPrincipals(nil)
			}
			last = time.Time{}
			continue
		}
		if !last.IsZero() && m.o.Now().Sub(last) < m.o.Timing.Principals || !m.observed() {
			continue
		}
		last = m.o.Now()
		if err := m.survive("principals", func() error { return m.lookUpAll(ctx) }); failing.ShouldLog(m.o.Now(), err) {
			m.log.Warn("what IAM knows of the stored principals cannot be kept", "err", err.Error())
		}
	}
}

func (m *Monitor) lookUpAll(ctx context.Context) error {
	log, err := m.o.History.Read(ctx)
	if err != nil {
		m.o.Recorder.HistoryFailed()
		return err
	}
	seen := looked{ids: make(map[string]string), counts: make(map[string]int)}
	for _, arn := range m.principals() {
		id, existence, err := m.ask(ctx, arn)
		if !m.goesOn(ctx) {
			return nil // the next leader begins anew
		}
		state := seen.take(arn.String(), log.IAM[arn.String()], id, existence)
		m.logPrincipal(ctx, arn, state, err)
	}
	m.o.Recorder.StoredPrincipals(seen.counts)
	_, err = m.o.History.Change(ctx, func(log *history.Log) error {
		log.IAM = maps.Clone(seen.ids)
		return nil
	})
	if err != nil {
		m.o.Recorder.HistoryFailed()
	}
	return err
}

// ask asks IAM about a principal, and again where IAM has none of that name: one that was made a moment ago may not
// be known everywhere. After each call it waits, so that whatever is asked next is asked later.
func (m *Monitor) ask(ctx context.Context, arn awsauth.ARN) (id string, existence validate.Existence, err error) {
	for range 2 {
		id, existence, err = m.o.Directory.UniqueID(ctx, arn)
		sleep(ctx, m.o.Timing.Principal)
		if existence != validate.Missing || !m.goesOn(ctx) {
			break
		}
	}
	return id, existence, err
}

func (m *Monitor) goesOn(ctx context.Context) bool {
	return ctx.Err() == nil && m.o.Election.IsLeader()
}

// looked is what one round has found.
type looked struct {
	ids    map[string]string
	counts map[string]int
}

// take takes in what IAM says of a principal that had an id, if it is not the first time. That id stays
// until there is another one: who was deleted may come back.
func (l *looked) take(arn, before, id string, existence validate.Existence) (state string) {
	state = string(existence)
	switch {
	case existence == validate.Exists && id != "":
		if before != "" && before != id {
			state = recreated
			id = before // whoever wrote the entry meant the other one, until the entry is gone
		}
		l.ids[arn] = id
	case before != "":
		l.ids[arn] = before
	}
	l.counts[state]++
	return state
}

// principals are those that aws-auth lets in and that IAM can know.
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

// logPrincipal logs what somebody should look at.
func (m *Monitor) logPrincipal(ctx context.Context, arn awsauth.ARN, state string, err error) {
	attrs := []any{"principal", arn.String()}
	switch {
	case state == string(validate.Missing) && strings.HasPrefix(arn.Name(), ssoPrefix):
		if instead := m.o.Directory.Instead(ctx, arn); instead != "" {
			m.log.Warn("a stored role of IAM Identity Center does not exist: its permission set has a role with another suffix", append(attrs, "instead", instead)...)
		} else {
			m.log.Warn("a stored role of IAM Identity Center does not exist: its permission set may have a role with another suffix", attrs...)
		}
		sleep(ctx, m.o.Timing.Principal) // that was a call, too
	case state == string(validate.Missing):
		m.log.Warn("a stored principal does not exist in IAM", attrs...)
	case state == recreated:
		m.log.Warn("a stored principal is another one than before, under the same name", attrs...)
	case err != nil && !errors.Is(err, context.Canceled):
		m.log.Info("it is not known whether a stored principal exists", append(attrs, "err", err.Error())...)
	}
}

// object returns the stored version; nil is none.
func (m *Monitor) object() *corev1.ConfigMap {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stored
}

// observed reports whether the watch has shown what is stored.
func (m *Monitor) observed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.known
}

// sleep waits, or until the context ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
