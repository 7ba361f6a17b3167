package live

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// identity is the user that this process is to the API server.
type identity struct{ user atomic.Pointer[string] }

func (i *identity) name() string {
	if user := i.user.Load(); user != nil {
		return *user
	}
	return ""
}

// Self is the user that this process is to the API server; empty where it is not known yet. A deletion
// that it asks for as a dry run is its own test.
func (l *Live) Self() string { return l.identity.name() }

// selfTest tries from time to time whether the API server asks.
func (l *Live) selfTest(ctx context.Context) {
	var failing told
	var since time.Time // when it failed first, and has failed since; zero: it has not
	wait := l.o.Timing.Settle
	for {
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-l.test:
			timer.Stop()
			sleep(ctx, l.o.Timing.Settle) // the API server learns of a change later than this process may
		case <-ctx.Done():
			timer.Stop()
			return
		}
		wait = l.o.Timing.SelfTest
		if err := l.identify(ctx); err != nil {
			if failing.tell(l.now(), err) {
				l.log.Warn("this process does not know who it is", "err", err.Error())
			}
			continue
		}
		if !l.o.Settings().SelfTest || !l.o.Election.IsLeader() {
			since = time.Time{}
			l.guard.tested(nil)
			continue
		}
		var disproved error
		err := l.survive("self-test", func() (err error) {
			disproved, err = l.try(ctx)
			return err
		})
		if ctx.Err() != nil {
			return
		}
		if failing.tell(l.now(), err) {
			l.log.Warn("the self-test says nothing", "err", err.Error())
		}
		switch now := l.now(); {
		case err != nil:
			continue
		case disproved == nil:
			since = time.Time{}
		case since.IsZero():
			since = now
			continue // replicas learn of a new configuration one after the other: it may just have become stricter here
		case now.Sub(since) < l.o.Timing.SelfTest:
			continue
		}
		l.guard.tested(disproved)
		l.guard.look(ctx, l.stored())
	}
}

// identify asks who this process is, until it is known.
func (l *Live) identify(ctx context.Context) error {
	if l.identity.name() != "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	user, err := l.o.Prober.Identity(ctx)
	if err != nil {
		return err
	}
	l.identity.user.Store(&user)
	return nil
}

// What the self-test disproves by. The API server's own error is another one every time.
var (
	errAdmitted   = errors.New("the self-test: the API server admits a deletion of aws-auth that the guard would have refused")
	errUnanswered = errors.New("the self-test: the API server calls the guard and gets no answer")
)

// try makes one test. disproved is why the API server does not ask; err, why the test says nothing.
func (l *Live) try(ctx context.Context) (disproved, err error) {
	hook, ok := l.guard.hook()
	if !ok {
		return nil, nil // it is known already that it does not
	}
	stored := objectOf(l.stored())
	if stored == nil {
		return nil, nil // there is nothing to delete
	}
	expected := validate.Judge(validate.Change{
		Operation: validate.Delete, Old: stored, Requester: validate.Requester{Username: l.identity.name()}, Now: l.now(),
	}, l.o.Policy())
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	warnings, answer := l.o.Prober.Delete(ctx)
	return interpret(&expected, hook, warnings, answer)
}

// interpret says what an answer to the self-test means, where the guard's own would have been as expected.
func interpret(expected *validate.Verdict, hook string, warnings []string, answer error) (disproved, err error) {
	switch {
	case apierrors.IsNotFound(answer):
		return nil, nil // it has just gone
	case answer != nil && strings.Contains(answer.Error(), fmt.Sprintf("admission webhook %q denied the request", hook)):
		return nil, nil
	case answer != nil && strings.Contains(answer.Error(), fmt.Sprintf("failed calling webhook %q", hook)):
		return errUnanswered, nil
	case answer != nil:
		return nil, fmt.Errorf("deleting aws-auth as a dry run: %w", answer)
	case expected.Action == validate.Allow:
		return nil, nil // the guard would have said nothing
	case expected.Action == validate.WarnOnly && warned(warnings, expected.Rules()):
		return nil, nil
	}
	return errAdmitted, nil
}

// warned reports whether one of the warnings names one of the rules.
func warned(warnings, rules []string) bool {
	return slices.ContainsFunc(warnings, func(text string) bool {
		return slices.ContainsFunc(rules, func(rule string) bool { return strings.Contains(text, "["+rule+"]") })
	})
}
