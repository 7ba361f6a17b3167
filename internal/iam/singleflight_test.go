package iam_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/awsauth-guard/awsauth-guard/internal/iam"
	"github.com/awsauth-guard/awsauth-guard/internal/iam/iamtest"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// lookUpConcurrently looks up role n times at the same time, and checks each result.
func lookUpConcurrently(t *testing.T, w *world, n int, want validate.Lookup) {
	t.Helper()
	var all sync.WaitGroup
	for range n {
		all.Go(func() { is(t, w.lookup(t, ample, role), want) })
	}
	all.Wait()
}

func TestCallsAreShared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := inProcess(t)
		w.aws.Add(role)
		lookUpConcurrently(t, w, 50, exists)
		if n := w.aws.Count("GetRole"); n != 1 {
			t.Errorf("%d calls", n)
		}
		if n := w.aws.Count("GetCallerIdentity"); n != 1 {
			t.Errorf("%d calls for the identity", n)
		}
	})
}

func TestSecondCallsAreShared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := inProcess(t)
		lookUpConcurrently(t, w, 50, missing)
		if n := w.aws.Count("GetRole"); n != 2 {
			t.Errorf("%d calls", n)
		}
	})
}

// The second call of lookup A is due while the first call of lookup B is running. B's call began earlier and does not find the
// role. The role is created after that. So A must not share B's call.
func TestSecondCallDoesNotJoinEarlierCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := inProcess(t)
		w.aws.Answer("ListRoles", iamtest.AccessDenied())
		noSuchEntity := iamtest.Error(http.StatusNotFound, "NoSuchEntity", "")
		w.aws.Answer("GetRole", noSuchEntity, func(hw http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second) // until A has joined
			noSuchEntity(hw, r)
			w.aws.Add(role)
		}, nil)
		var both sync.WaitGroup
		both.Go(func() { is(t, w.lookup(t, ample, role), exists) }) // A
		time.Sleep(w.delay / 2)
		both.Go(func() { is(t, w.lookup(t, ample, role), exists) }) // B
		both.Wait()
		if n := w.aws.Count("GetRole"); n != 3 {
			t.Errorf("%d calls", n)
		}
	})
}

// The second call begins a full delay after IAM's answer to the first call, even if the first call waited long for a slot or for
// IAM.
func TestSecondCallWaitsForDelay(t *testing.T) {
	t.Parallel()
	const short = 10 * time.Second // shorter than delay, so no lookup has time for two calls
	w := newWorld(t, func(w *world) { w.delay = 15 * time.Second })
	if _, err := w.Identity(t.Context()); err != nil {
		t.Fatal(err)
	}
	asked, answer := make(chan struct{}), make(chan struct{})
	w.aws.Answer("GetRole", func(hw http.ResponseWriter, r *http.Request) {
		close(asked)
		<-answer
		iamtest.Error(http.StatusNotFound, "NoSuchEntity", "")(hw, r)
	}, nil)
	const once = "IAM did not find it, and no time was left for a second call"
	var first sync.WaitGroup
	first.Go(func() { is(t, w.lookup(t, short, role), unknown(once)) })
	<-asked
	w.pass(time.Minute / 2)
	close(answer)
	first.Wait()
	is(t, w.lookup(t, short, role), unknown(once))
	w.pass(w.delay)
	is(t, w.lookup(t, short, role), missing)
	if n := w.aws.Count("GetRole"); n != 3 {
		t.Errorf("%d calls", n)
	}
}

// counting is an HTTP client that records the maximum number of concurrent requests. The server can't record this number, because a
// call ends later in the server than in the Client.
type counting struct {
	client    aws.HTTPClient
	now, most atomic.Int64
}

func (c *counting) Do(r *http.Request) (*http.Response, error) {
	now := c.now.Add(1)
	defer c.now.Add(-1)
	for most := c.most.Load(); now > most && !c.most.CompareAndSwap(most, now); most = c.most.Load() {
	}
	return c.client.Do(r)
}

func TestConcurrency(t *testing.T) {
	t.Parallel()
	var atOnce counting
	w := newWorld(t, func(w *world) {
		w.change = func(cfg *aws.Config) { atOnce.client, cfg.HTTPClient = cfg.HTTPClient, &atOnce }
	})
	w.aws.Answer("GetRole", w.aws.Slow(20*time.Millisecond))
	w.aws.Answer("GetUser", w.aws.Slow(20*time.Millisecond))
	var arns []string
	for i := range 100 {
		arn := fmt.Sprintf("arn:aws:iam::111122223333:role/r%d", i)
		if i%2 > 0 {
			arn = fmt.Sprintf("arn:aws:iam::111122223333:user/u%d", i)
		}
		arns = append(arns, arn)
	}
	w.aws.Add(arns[:50]...)
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			known := w.lookupAll(t, ample, arns[i*20:]...)
			for arn, answer := range known.Principals {
				want := missing
				if contains(arns[:50], arn) {
					want = exists
				}
				is(t, answer, want)
			}
		})
	}
	all.Wait()
	if n := atOnce.most.Load(); n > iam.MaxCalls || n < iam.MaxCalls/2 {
		t.Errorf("%d calls at the same time", n)
	}
}

func contains(list []string, s string) bool {
	return strings.Contains(" "+strings.Join(list, " ")+" ", " "+s+" ")
}

// A lookup of 999 cached principals and a new one makes at most two calls of GetRole.
func TestOneNewPrincipalOfThousand(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := inProcess(t)
		arns := manyRoles(999)
		w.aws.Add(arns...)
		w.lookupAll(t, ample, arns...)
		before := w.aws.Count("GetRole")
		known := w.lookupAll(t, ample, append(arns, role)...)
		if n := w.aws.Count("GetRole") - before; n > 2 {
			t.Errorf("%d calls", n)
		}
		if n := w.aws.Count("GetCallerIdentity"); n > 2 { // at the start, and before role is reported as missing
			t.Errorf("%d calls to STS", n)
		}
		is(t, known.Principals[role], missing)
		is(t, known.Principals[arns[500]], exists)
		w.counts(t, 999, map[string]int{"exists": 999, "missing": 1})
	})
}
