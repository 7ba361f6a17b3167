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

// callTimeout limits the time of a call of the API server.
const callTimeout = 5 * time.Second

// Prober sends the API server a dry run that deletes aws-auth.
type Prober interface {
	// Delete sends the dry run, and returns the warnings and the error of the API server.
	Delete(ctx context.Context) (warnings []string, err error)
}

// prober implements [Prober]. It has its own client, so that it doesn't collect the warnings of other requests.
type prober struct {
	client   typedcorev1.ConfigMapInterface
	warnings *kube.Warnings
}

// NewProber returns a Prober that uses this client configuration.
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

// selfTest finds out the username of this process. While this process is the leader and the self-test is on, it also tests
// periodically whether the API server calls the guard. A failure counts only if the tests have failed for Timing.SelfTest.
// selfTest returns when the context ends.
func (e *Enforcement) selfTest(ctx context.Context) {
	var logThrottle kube.Throttle
	var since time.Time // when the first of several failed tests in a row ended; zero if the last test passed
	wait := e.o.Timing.Settle
	for {
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-e.test:
			timer.Stop()
			kube.Sleep(ctx, e.o.Timing.Settle) // the API server may learn of a change later than this process
		case <-ctx.Done():
			timer.Stop()
			return
		}
		wait = e.o.Timing.SelfTest
		if err := e.identify(ctx); err != nil {
			if ctx.Err() == nil && logThrottle.ShouldLog(e.o.Now(), err) {
				e.log.Warn("cannot determine the user name of this process", "err", err.Error())
			}
			continue
		}
		if !e.o.SelfTest() || !e.o.Election.IsLeader() {
			since = time.Time{}
			e.setResult(nil)
			continue
		}
		selfTestErr, err := e.testOnce(ctx)
		if ctx.Err() != nil {
			return
		}
		if logThrottle.ShouldLog(e.o.Now(), err) {
			e.log.Warn("the self-test has no result", "err", err.Error())
		}
		switch now := e.o.Now(); {
		case err != nil:
			continue
		case selfTestErr == nil:
			since = time.Time{}
		case since.IsZero():
			since = now
			continue // another replica may answer with an older GuardConfig for some seconds
		case now.Sub(since) < e.o.Timing.SelfTest:
			continue
		}
		e.setResult(selfTestErr)
	}
}

// setResult stores the result of a self-test: nil, or the reason why the API server doesn't call the guard. If the result has
// changed, setResult triggers a check.
func (e *Enforcement) setResult(selfTestErr error) {
	e.mu.Lock()
	changed := (selfTestErr == nil) != (e.selfTestErr == nil)
	e.selfTestErr = selfTestErr
	e.mu.Unlock()
	if changed {
		wakeUp(e.wake)
	}
}

func (e *Enforcement) identify(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return e.o.Identity.Find(ctx)
}

// The failures of a self-test. They don't contain the error of the API server, because its text differs every time.
var (
	errAdmitted   = errors.New("self-test: the API server admits a deletion of aws-auth that the guard would have refused")
	errUnanswered = errors.New("self-test: the API server calls the guard and gets no answer")
)

// testOnce runs one self-test. selfTestErr is the reason why the API server doesn't call the guard. It is nil if the API
// server calls the guard, or if a test is not possible because aws-auth or the webhook is missing. err is the reason why the
// test has no result.
func (e *Enforcement) testOnce(ctx context.Context) (selfTestErr, err error) {
	defer func() {
		if recover() != nil { // every replica may become the leader and test the same object, so a panic could end all replicas
			e.o.Recorder.Panicked(validate.InternalError)
			e.log.Error("cannot evaluate the stored aws-auth", "work", "self-test", "stack", string(debug.Stack()))
			err = errors.New("the guard failed; its log has the stack")
		}
	}()
	webhookName, ok := e.webhookName()
	if !ok {
		return nil, nil // the check of the registration has failed already
	}
	e.mu.Lock()
	stored := kube.Object(e.stored)
	e.mu.Unlock()
	if stored == nil {
		return nil, nil // aws-auth does not exist
	}
	expected := validate.Evaluate(validate.Change{
		Operation: validate.Delete, Old: stored, Requester: validate.Requester{Username: e.o.Identity.Name()}, Now: e.o.Now(),
	}, e.o.Policy())
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	warnings, answer := e.o.Prober.Delete(ctx)
	return interpret(&expected, webhookName, warnings, answer)
}

// interpret returns the results of [Enforcement.testOnce] for a dry run. warnings and answer are the API server's warnings
// and error. expected is the verdict of the guard about the deletion.
func interpret(expected *validate.Verdict, webhookName string, warnings []string, answer error) (selfTestErr, err error) {
	switch {
	case apierrors.IsNotFound(answer):
		return nil, nil // aws-auth was just deleted
	case answer != nil && strings.Contains(answer.Error(), fmt.Sprintf("admission webhook %q denied the request", webhookName)):
		return nil, nil
	case answer != nil && strings.Contains(answer.Error(), fmt.Sprintf("failed calling webhook %q", webhookName)):
		return errUnanswered, nil
	case answer != nil:
		return nil, fmt.Errorf("deleting aws-auth as a dry run: %w", answer)
	case expected.Action == validate.ActionAllow:
		return nil, nil // the guard would allow the deletion without a warning
	case expected.Action == validate.ActionWarn && warned(warnings, expected.Rules()):
		return nil, nil
	}
	return errAdmitted, nil
}

// warned reports whether a warning names one of the rules.
func warned(warnings, rules []string) bool {
	return slices.ContainsFunc(warnings, func(text string) bool {
		return slices.ContainsFunc(rules, func(rule string) bool { return strings.Contains(text, "["+rule+"]") })
	})
}
