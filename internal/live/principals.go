package live

import (
	"context"
	"errors"
	"maps"
	"strings"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/history"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

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
func (l *Live) lookUp(ctx context.Context) {
	var last time.Time
	var failing told
	for ctx.Err() == nil {
		sleep(ctx, min(idle, l.o.Timing.Principals))
		if l.o.Directory == nil || !l.o.Settings().Principals || !l.o.Election.IsLeader() {
			if !last.IsZero() {
				l.o.Recorder.StoredPrincipals(nil)
			}
			last = time.Time{}
			continue
		}
		if !last.IsZero() && l.now().Sub(last) < l.o.Timing.Principals || !l.knows() {
			continue
		}
		last = l.now()
		if err := l.survive("principals", func() error { return l.lookUpAll(ctx) }); failing.tell(l.now(), err) {
			l.log.Warn("what IAM knows of the stored principals cannot be kept", "err", err.Error())
		}
	}
}

func (l *Live) lookUpAll(ctx context.Context) error {
	log, err := l.o.History.Read(ctx)
	if err != nil {
		l.o.Recorder.HistoryFailed()
		return err
	}
	seen := looked{ids: make(map[string]string), counts: make(map[string]int)}
	for _, arn := range l.principals() {
		id, existence, err := l.ask(ctx, arn)
		if !l.goesOn(ctx) {
			return nil // the next leader begins anew
		}
		state := seen.take(arn.String(), log.IAM[arn.String()], id, existence)
		l.tellPrincipal(ctx, arn, state, err)
	}
	l.o.Recorder.StoredPrincipals(seen.counts)
	_, err = l.o.History.Change(ctx, func(log *history.Log) error {
		log.IAM = maps.Clone(seen.ids)
		return nil
	})
	if err != nil {
		l.o.Recorder.HistoryFailed()
	}
	return err
}

// ask asks IAM about a principal, and again where IAM has none of that name: one that was made a moment ago may not
// be known everywhere. After each call it waits, so that whatever is asked next is asked later.
func (l *Live) ask(ctx context.Context, arn awsauth.ARN) (id string, existence validate.Existence, err error) {
	for range 2 {
		id, existence, err = l.o.Directory.UniqueID(ctx, arn)
		sleep(ctx, l.o.Timing.Principal)
		if existence != validate.Missing || !l.goesOn(ctx) {
			break
		}
	}
	return id, existence, err
}

func (l *Live) goesOn(ctx context.Context) bool { return ctx.Err() == nil && l.o.Election.IsLeader() }

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
func (l *Live) principals() (list []awsauth.ARN) {
	o := objectOf(l.stored())
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

// tellPrincipal logs what somebody should look at.
func (l *Live) tellPrincipal(ctx context.Context, arn awsauth.ARN, state string, err error) {
	attrs := []any{"principal", arn.String()}
	switch {
	case state == string(validate.Missing) && strings.HasPrefix(arn.Name(), ssoPrefix):
		if instead := l.o.Directory.Instead(ctx, arn); instead != "" {
			l.log.Warn("a stored role of IAM Identity Center does not exist: its permission set has a role with another suffix", append(attrs, "instead", instead)...)
		} else {
			l.log.Warn("a stored role of IAM Identity Center does not exist: its permission set may have a role with another suffix", attrs...)
		}
		sleep(ctx, l.o.Timing.Principal) // that was a call, too
	case state == string(validate.Missing):
		l.log.Warn("a stored principal does not exist in IAM", attrs...)
	case state == recreated:
		l.log.Warn("a stored principal is another one than before, under the same name", attrs...)
	case err != nil && !errors.Is(err, context.Canceled):
		l.log.Info("it is not known whether a stored principal exists", append(attrs, "err", err.Error())...)
	}
}
