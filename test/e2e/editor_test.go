//go:build e2e

package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
)

// good returns an aws-auth on which the guard has no findings.
func good() *corev1.ConfigMap {
	return &corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Name: "aws-auth", Namespace: metav1.NamespaceSystem},
		Data: map[string]string{"mapRoles": `- rolearn: arn:aws:iam::111122223333:role/nodes
  username: system:node:{{EC2PrivateDNSName}}
  groups: [system:bootstrappers, system:nodes]
- rolearn: arn:aws:iam::111122223333:role/Admin
  username: admin
  groups: [system:masters]
`},
	}
}

// unreadable is a patch after which the authenticator loads no entry, because a tab indents a line. The text still
// has the protected ARN, so the backstop does not refuse the patch.
const unreadable = `{"data":{"mapRoles":"- rolearn: arn:aws:iam::111122223333:role/Admin\n\tusername: admin\n"}}`

// refusal is a part of the guard's refusal of unreadable. The backstop's refusals don't have it.
const refusal = "[yaml-syntax]"

// admitted is the error of isRefused if the API server admits the change.
const admitted = "an unreadable aws-auth is admitted"

func awsAuth() typedcorev1.ConfigMapInterface {
	return admin.CoreV1().ConfigMaps(metav1.NamespaceSystem)
}

// isRefused tries to write an unreadable aws-auth in a dry run. It returns an error unless the guard refuses the change.
func isRefused(ctx context.Context) error {
	_, err := awsAuth().Patch(ctx, "aws-auth", types.MergePatchType, []byte(unreadable), metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}})
	switch {
	case err == nil:
		return errors.New(admitted)
	case strings.Contains(err.Error(), refusal):
		return nil
	}
	return err
}

// annotate sets an annotation of an aws-auth, which the guard must admit. client and n make each annotation different.
func annotate(ctx context.Context, namespace string, client, n int) error {
	annotation := fmt.Sprintf(`{"metadata":{"annotations":{"e2e.test/client-%d":"%d"}}}`, client, n)
	_, err := admin.CoreV1().ConfigMaps(namespace).Patch(ctx, "aws-auth", types.MergePatchType, []byte(annotation), metav1.PatchOptions{})
	return err
}

// editor has clients that edit aws-auth repeatedly. An edit with an unexpected result counts as a lost review.
type editor struct {
	t       *testing.T
	once    func(ctx context.Context, client, n int) error
	started time.Time
	cancel  context.CancelFunc
	done    sync.WaitGroup

	mu    sync.Mutex
	edits int
	lost  []loss
}

// loss is a lost review.
type loss struct {
	began, ended time.Time
	err          error
}

// window returns the time between the beginnings of the first and of the last lost review.
func window(lost []loss) time.Duration {
	var first, last time.Time
	for _, l := range lost {
		if first.IsZero() || l.began.Before(first) {
			first = l.began
		}
		if l.began.After(last) {
			last = l.began
		}
	}
	return last.Sub(first)
}

// edit starts four clients that together make a hundred edits a second. Each client makes a change that the API
// server must admit, then one that the guard must refuse, and so on. finish stops the clients.
func edit(t *testing.T) *editor {
	t.Helper()
	return editBy(t, 4, 40*time.Millisecond, func(ctx context.Context, client, n int) error {
		if n%2 == 0 {
			return annotate(ctx, metav1.NamespaceSystem, client, n)
		}
		return isRefused(ctx)
	})
}

// editBy starts the clients. In each interval, each client calls the function once, with the client's number and the call's number.
func editBy(t *testing.T, clients int, every time.Duration, once func(ctx context.Context, client, n int) error) *editor {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	e := &editor{t: t, once: once, cancel: cancel, started: time.Now()}
	for client := range clients {
		e.done.Go(func() { e.loop(ctx, client, every) })
	}
	t.Cleanup(e.end)
	return e
}

func (e *editor) loop(ctx context.Context, client int, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for n := 0; ; n++ {
		began := time.Now()
		e.count(ctx, began, e.once(ctx, client, n))
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (e *editor) count(ctx context.Context, began time.Time, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case err == nil:
		e.edits++
	case ctx.Err() == nil: // the clients still run, so this is a lost review
		e.edits++
		e.lost = append(e.lost, loss{began, time.Now(), err})
	}
}

// end stops the clients, and waits until they have stopped.
func (e *editor) end() {
	e.cancel()
	e.done.Wait()
}

// more waits until the clients have made n more edits.
func (e *editor) more(n int) {
	e.t.Helper()
	have := func() int {
		e.mu.Lock()
		defer e.mu.Unlock()
		return e.edits
	}
	want := have() + n
	eventually(e.t, late, "the clients make more edits", func(context.Context) error {
		if have() < want {
			return fmt.Errorf("%d edits of %d", have(), want)
		}
		return nil
	})
}

// settle waits until no review has been lost for two seconds.
func (e *editor) settle() {
	e.t.Helper()
	eventually(e.t, late, "no review is lost any more", func(context.Context) error {
		e.mu.Lock()
		defer e.mu.Unlock()
		if n := len(e.lost); n > 0 && time.Since(e.lost[n-1].ended) < 2*time.Second {
			return e.lost[n-1].err
		}
		return nil
	})
}

// finish waits for a hundred more edits and stops the clients. It prints the number of lost reviews, and returns the
// lost reviews.
func (e *editor) finish(what string) []loss {
	e.t.Helper()
	e.more(100)
	e.end()
	figure("%-34s %5d edits in %5.1f s, %d lost", what, e.edits, time.Since(e.started).Seconds(), len(e.lost))
	for i, l := range e.lost {
		if i == 5 {
			e.t.Logf("%d more", len(e.lost)-i)
			break
		}
		e.t.Logf("lost %.3f s after the first edit, after %.3f s: %v", l.began.Sub(e.started).Seconds(), l.ended.Sub(l.began).Seconds(), l.err)
	}
	return e.lost
}

// finishWithout stops the clients. It fails the test if a review was lost.
func (e *editor) finishWithout(what string) {
	e.t.Helper()
	if lost := e.finish(what); len(lost) > 0 {
		e.t.Errorf("%s: %d reviews were lost", what, len(lost))
	}
}
