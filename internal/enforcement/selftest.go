package enforcement

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/kube"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// callTimeout bounds a call of the API server.
const callTimeout = 5 * time.Second

// Prober asks the API server to delete aws-auth as a dry run.
type Prober interface {
	// Delete returns the API server's error and warnings.
	Delete(ctx context.Context) (warnings []string, err error)
}

// prober has a connection of its own, so that it gets no other request's warnings.
type prober struct {
	client   typedcorev1.ConfigMapInterface
	warnings *kube.Warnings
}

// NewProber returns a Prober.
func NewProber(config *rest.Config) (Prober, error) {
	p := &prober{warnings: new(kube.Warnings)}
	config = rest.CopyConfig(config)
	config.WarningHandlerWithContext = p.warnings
	client, err := typedcorev1.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making a client for the self-test: %w", err)
	}
	p.client = client.ConfigMaps(awsauth.Namespace)
	return p, nil
}

// Delete implements [Prober].
func (p *prober) Delete(ctx context.Context) (warnings []string, err error) {
	p.warnings.Take()
	err = p.client.Delete(ctx, awsauth.Name, metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}})
	return p.warnings.Take(), err
}

// selfTest finds out who this process is, and has the leader test from time to time whether the API server asks.
func (e *Enforcement) selfTest(ctx context.Context) {
	var failing kube.Throttle
	var since time.Time // when the test failed first, and has failed since; zero: it has not
	wait := e.o.Timing.Settle
	for {
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-e.test:
			timer.Stop()
			sleep(ctx, e.o.Timing.Settle) // the API server may learn of a change later than this process
		case <-ctx.Done():
			timer.Stop()
			return
		}
		wait = e.o.Timing.SelfTest
		if err := e.identify(ctx); err != nil {
			if ctx.Err() == nil && failing.ShouldLog(e.o.Now(), err) {
				e.log.Warn("cannot find out who this process is", "err", err.Error())
			}
			continue
		}
		if !e.o.SelfTest() || !e.o.Election.IsLeader() {
			since = time.Time{}
			e.tested(nil)
			continue
		}
		failure, err := e.try(ctx)
		if ctx.Err() != nil {
			return
		}
		if failing.ShouldLog(e.o.Now(), err) {
			e.log.Warn("the self-test has no result", "err", err.Error())
		}
		switch now := e.o.Now(); {
		case err != nil:
			continue
		case failure == nil:
			since = time.Time{}
		case since.IsZero():
			since = now
			continue // a new GuardConfig reaches the replicas one after the other, and may just have become stricter here
		case now.Sub(since) < e.o.Timing.SelfTest:
			continue
		}
		e.tested(failure)
	}
}

// tested takes in the result of a test: nil, or why the API server doesn't ask.
func (e *Enforcement) tested(failure error) {
	e.mu.Lock()
	changed := (failure == nil) != (e.failure == nil)
	e.failure = failure
	e.mu.Unlock()
	if changed {
		poke(e.wake)
	}
}

func (e *Enforcement) identify(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return e.o.Identity.Find(ctx)
}

// The failures of a self-test. The API server's own error differs every time.
var (
	errAdmitted   = errors.New("the self-test: the API server admits a deletion of aws-auth that the guard would have refused")
	errUnanswered = errors.New("the self-test: the API server calls the guard and gets no answer")
)

// try makes one test. failure is why the API server doesn't ask; err, why the test has no result.
func (e *Enforcement) try(ctx context.Context) (failure, err error) {
	defer func() {
		if recover() != nil { // every replica evaluates the same object
			e.o.Recorder.Panicked(validate.InternalError)
			e.log.Error("cannot evaluate the stored aws-auth", "work", "self-test", "stack", string(debug.Stack()))
			err = errors.New("the guard failed; its log has the stack")
		}
	}()
	hook, ok := e.hook()
	if !ok {
		return nil, nil // the registration says already that it doesn't
	}
	e.mu.Lock()
	stored := kube.Object(e.stored)
	e.mu.Unlock()
	if stored == nil {
		return nil, nil // there is nothing to delete
	}
	expected := validate.Judge(validate.Change{
		Operation: validate.Delete, Old: stored, Requester: validate.Requester{Username: e.o.Identity.Name()}, Now: e.o.Now(),
	}, e.o.Policy())
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	warnings, answer := e.o.Prober.Delete(ctx)
	return interpret(&expected, hook, warnings, answer)
}

// interpret says what an answer to the self-test means, where the guard itself would have answered as expected.
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

// sleep waits, or until the context ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
