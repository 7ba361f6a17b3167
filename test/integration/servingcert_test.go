package integration_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/awsauth-guard/awsauth-guard/internal/election"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/servingcert"
	"github.com/awsauth-guard/awsauth-guard/test/controlplane"
)

// hasty returns the default times, except that a rotation takes seconds.
func hasty() servingcert.Timing {
	t := servingcert.DefaultTiming()
	t.SwitchAfter, t.RetireAfter, t.Resync = 3*time.Second, 4*time.Second, 200*time.Millisecond
	return t
}

// hastyElection returns times that are about a fifth of those that the core components of Kubernetes use.
func hastyElection() election.Timing {
	return election.Timing{LeaseDuration: 3 * time.Second, RenewDeadline: 2 * time.Second, RetryPeriod: 500 * time.Millisecond}
}

// until waits until check returns no error. within is the time that this takes on an idle machine. until fails the
// test after 45 s, or after within if that is longer.
func until(t *testing.T, what string, within time.Duration, check func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), max(within, 45*time.Second)) // a busy machine takes longer than within
	defer cancel()
	if err := controlplane.Poll(ctx, check); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// Two replicas start at the same time, with an empty Secret and the default times. They are not ready until a webhook
// configuration exists. Then both become ready, and the API server calls their webhooks.
func TestCertificateFirstStart(t *testing.T) {
	store(t, base())
	s := newSelfManaged(t, servingcert.Timing{})
	replicas := []*replica{s.start(t), s.start(t)}
	for _, r := range replicas {
		until(t, "without a webhook configuration, the replica logs that the API server does not trust its certificate", time.Minute, func(context.Context) error {
			if len(r.lines("the serving certificate is not trusted")) == 0 {
				return errors.New("it does not")
			}
			return nil
		})
		if r.ready.Load() {
			t.Error("a replica is ready without a webhook configuration")
		}
	}
	begun := time.Now()
	s.register(t)
	for _, r := range replicas {
		r.wantReady(t, 5*time.Second)
	}
	ready := time.Since(begun)
	c := as(t, editor)
	until(t, "the API server accepts the certificate", 5*time.Second, func(ctx context.Context) error { return update(ctx, c, base()) })
	t.Logf("ready %s after the webhook configuration, asked by the API server after %s", ready.Round(time.Millisecond), time.Since(begun).Round(time.Millisecond))

	wantRefused(t, update(t.Context(), c, roles(admin)), "node-role-removed")
	user := rest.ImpersonationConfig{UserName: "eks:observed"}
	if err := update(t.Context(), as(t, user), roles(admin)); err != nil {
		t.Errorf("EKS is refused: %v", err)
	}
	wantObserved(t, user, "node-role-removed")
}

// If the webhook configuration exists before the replicas start, both become ready.
func TestCertificateStart(t *testing.T) {
	store(t, base())
	s := newSelfManaged(t, servingcert.Timing{})
	s.register(t)
	begun := time.Now()
	replicas := []*replica{s.start(t), s.start(t)}
	for _, r := range replicas {
		r.wantReady(t, 5*time.Second)
	}
	t.Logf("two replicas ready after %s", time.Since(begun).Round(time.Millisecond))
}

// The API server loses no review while a rotation replaces the CA, even if the leader is cut off from the API server meanwhile.
// It also loses no review while another client writes an expired CA, another valid CA or garbage into the Secret.
func TestCertificateRotation(t *testing.T) {
	store(t, base())
	s := newSelfManaged(t, hasty())
	s.register(t)
	for range 2 {
		r := s.start(t)
		r.wantReady(t, 10*time.Second)
	}
	c := as(t, editor)
	until(t, "the API server calls the replicas", 5*time.Second, func(ctx context.Context) error { return update(ctx, c, base()) })

	t.Run("forced", func(t *testing.T) {
		old := s.state(t).Current.Cert
		lost := s.load(t, c)
		s.annotate(t, "one")
		s.rotated(t, old)
		lost.none(t)
	})
	parent := t
	t.Run("the leader is cut off in between", func(t *testing.T) {
		old := s.state(t).Current.Cert
		lost := s.load(t, c)
		s.annotate(t, "two")
		until(t, "the Secret has the next CA", 10*time.Second, func(context.Context) error { return errorIf(s.state(t).Next == nil, "it does not") })
		s.leader(t).sever()
		s.start(parent) // this replica also serves in the later subtests
		s.rotated(t, old)
		lost.none(t)
	})
	t.Run("the Secret is garbage", func(t *testing.T) {
		old := s.state(t).Current.Cert
		lost := s.load(t, c)
		s.setData(t, map[string][]byte{"ca.crt": []byte("x"), "ca.key": []byte("y"), "next.crt": s.secret(t).Data["ca.crt"]})
		s.rotated(t, old)
		lost.none(t)
	})
	t.Run("the CA has expired", func(t *testing.T) {
		old := s.state(t).Current.Cert
		expired, err := servingcert.NewAuthority(time.Now().Add(-48*time.Hour), 24*time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		data, err := servingcert.EncodeState(servingcert.State{Current: expired}, nil)
		if err != nil {
			t.Fatal(err)
		}
		lost := s.load(t, c)
		s.setData(t, data)
		s.rotated(t, old)
		lost.none(t)
	})
	t.Run("another valid CA is written", func(t *testing.T) {
		old := s.state(t).Current.Cert
		other, err := servingcert.NewAuthority(time.Now(), 365*24*time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		data, err := servingcert.EncodeState(servingcert.State{Current: other}, nil)
		if err != nil {
			t.Fatal(err)
		}
		lost := s.load(t, c)
		s.setData(t, data)
		s.rotated(t, old)
		lost.none(t)
		if !s.state(t).Current.Cert.Equal(other.Cert) {
			t.Error("the leader has replaced the other CA")
		}
	})
}

// With the default times, the leader repairs a changed caBundle at once, because it watches the webhook
// configuration.
func TestCABundleIsRestored(t *testing.T) {
	store(t, base())
	s := newSelfManaged(t, servingcert.Timing{})
	s.register(t)
	r := s.start(t)
	r.wantReady(t, 5*time.Second)
	want := s.bundles(t)
	foreign, err := servingcert.NewAuthority(time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	foreignPEM := servingcert.EncodeCertificates(foreign.Cert)
	// The leader also reads the configuration every 30 s, without the watch. A repair within half of this time proves
	// that the watch works, even on a busy machine.
	const watched = 15 * time.Second
	restored := func(t *testing.T) {
		t.Helper()
		begun := time.Now()
		until(t, "the caBundles are restored", 5*time.Second, func(context.Context) error {
			for _, got := range s.bundles(t) {
				if !bytes.Equal(got, want[0]) {
					return fmt.Errorf("a caBundle has %d bytes", len(got))
				}
			}
			return nil
		})
		took := time.Since(begun)
		t.Logf("after %s", took.Round(time.Millisecond))
		if took >= watched {
			t.Errorf("it took %s, want less than %s: the leader has not learned of the change by its watch", took, watched)
		}
		r.wantReady(t, 5*time.Second)
	}
	for name, change := range map[string]func([]byte) []byte{
		"wiped":     func([]byte) []byte { return nil },
		"replaced":  func([]byte) []byte { return foreignPEM },
		"increased": func(b []byte) []byte { return append(bytes.Clone(b), foreignPEM...) },
	} {
		t.Run(name, func(t *testing.T) {
			s.setBundles(t, change)
			restored(t)
		})
	}
	t.Run("the configuration is deleted and made again", func(t *testing.T) {
		s.unregister(t)
		until(t, "the replica is not ready", 5*time.Second, func(context.Context) error { return errorIf(r.ready.Load(), "it is") })
		s.register(t)
		restored(t)
	})
}

// An administrator who uses another source of certificates removes the annotation and sets another caBundle. The leader, which
// still runs, leaves this caBundle unchanged. After the annotation is set again, the leader writes its own caBundle again.
func TestForeignCABundleIsKept(t *testing.T) {
	store(t, base())
	s := newSelfManaged(t, hasty())
	s.register(t)
	r := s.start(t)
	r.wantReady(t, 10*time.Second)
	foreign, err := servingcert.NewAuthority(time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	theirs := servingcert.EncodeCertificates(foreign.Cert)
	ours := s.annotateConfig(t, nil, theirs)
	until(t, "the leader logs that it cannot maintain the certificate", 10*time.Second, func(context.Context) error {
		return errorIf(len(r.lines("cannot maintain the serving certificate")) == 0, "it does not")
	})
	until(t, "the replica is not ready", 5*time.Second, func(context.Context) error { return errorIf(r.ready.Load(), "it is") })
	for _, got := range s.bundles(t) {
		if !bytes.Equal(got, theirs) {
			t.Error("the caBundle is overwritten")
		}
	}
	s.annotateConfig(t, ours, theirs)
	r.wantReady(t, 5*time.Second)
}

// A replica that can't reach the API server stays ready and serves reviews. It also renews its certificate.
func TestCertificateWithoutAPIServer(t *testing.T) {
	store(t, base())
	timing := hasty()
	timing.LeafRenewAfter = 2 * time.Second
	s := newSelfManaged(t, timing)
	s.register(t)
	r := s.start(t)
	r.wantReady(t, 10*time.Second)
	r.api.cut()
	before, err := r.leaf(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := as(t, editor)
	until(t, "it renews its certificate", 10*time.Second, func(ctx context.Context) error {
		leaf, err := r.leaf(ctx)
		if err == nil && leaf.Equal(before) {
			err = errors.New("it serves the same certificate")
		}
		return errors.Join(err, errorIf(!r.ready.Load(), "it is not ready"))
	})
	if err := update(t.Context(), c, base()); err != nil {
		t.Error(err)
	}
}

// editor is the user for whom the API server calls the enforcing webhook of these tests. For users whose name begins with
// eks:observed, it calls the observing webhook. For all others, it calls neither.
var editor = rest.ImpersonationConfig{UserName: "editor"}

// errorIf returns an error with the text if the condition is true, and nil otherwise.
func errorIf(condition bool, text string) error {
	if condition {
		return errors.New(text)
	}
	return nil
}

// load edits aws-auth without a pause, and collects the errors. An error is a lost review.
type load struct {
	stop func()
	mu   sync.Mutex
	done int
	errs []error
}

// load starts to edit aws-auth. It also starts to call the webhook like an API server that sees each change of the
// caBundle late.
func (s *selfManaged) load(t *testing.T, c *client) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	l := &load{stop: func() { cancel(); running.Wait() }}
	t.Cleanup(l.stop)
	do := func(what string, try func() error) {
		running.Go(func() {
			for ctx.Err() == nil {
				err := try()
				if ctx.Err() != nil {
					return
				}
				l.mu.Lock()
				l.done++
				if err != nil {
					l.errs = append(l.errs, fmt.Errorf("%s at %s: %w", what, time.Now().Format(time.StampMilli), err))
				}
				l.mu.Unlock()
			}
		})
	}
	variants := []data{base(), roles(admin + node + ci)}
	n := 0
	do("an edit", func() error {
		n++
		return update(ctx, c, variants[n%2])
	})
	late := &lateServer{s: s, lag: s.timing.SwitchAfter * 8 / 10}
	do("a late API server", func() error { return late.ask(ctx) })
	return l
}

// none stops the load. It fails the test if a review was lost, or if there were fewer than 20 reviews.
func (l *load) none(t *testing.T) {
	t.Helper()
	l.stop()
	t.Logf("%d reviews, %d lost", l.done, len(l.errs))
	for i, err := range l.errs {
		if i == 5 {
			break
		}
		t.Errorf("lost: %v", err)
	}
	if l.done < 20 {
		t.Errorf("only %d reviews", l.done)
	}
}

// wantObserved waits for the audit event of a user's write. It checks the verdict and the rules of the observing
// webhook.
func wantObserved(t *testing.T, user rest.ImpersonationConfig, rules string) {
	t.Helper()
	until(t, "the audit event", 10*time.Second, func(context.Context) error {
		annotations, err := audited(user.UserName)
		if err == nil && (annotations["observe.awsauth-guard.io/would-deny"] != rules || annotations["observe.awsauth-guard.io/verdict"] != "warn") {
			err = fmt.Errorf("the annotations are %v", annotations)
		}
		return err
	})
}

// TestDeletedSecretIsCreated: after a client deletes the Secret, the replica creates it again with the same CA. For this, the
// permission to create a Secret of this name is enough. A replica that starts later becomes ready with the new Secret.
func TestDeletedSecretIsCreated(t *testing.T) {
	store(t, base())
	s := newSelfManaged(t, hasty())
	s.register(t)
	s.start(t).wantReady(t, 10*time.Second)
	until(t, "the CA is stored", 10*time.Second, func(context.Context) error { return errorIf(s.state(t).Current == nil, "it is not") })
	before := s.state(t).Current.Cert
	if err := s.client.CoreV1().Secrets(s.namespace).Delete(t.Context(), guard, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	until(t, "the Secret is there again", 10*time.Second, func(ctx context.Context) error {
		_, err := s.client.CoreV1().Secrets(s.namespace).Get(ctx, guard, metav1.GetOptions{})
		return err
	})
	if after := s.state(t).Current; after == nil || !after.Cert.Equal(before) {
		t.Error("the new Secret has another CA")
	}
	s.start(t).wantReady(t, 10*time.Second)
}
