package iam_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/iam"
)

// If AWS does not answer, each of 200 lookups ends at the end of its time budget.
func TestLookupEndsWithItsBudget(t *testing.T) {
	t.Parallel()
	const budget = 10 * time.Millisecond
	for name, action := range map[string]string{"IAM": "GetRole", "STS": "GetCallerIdentity"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := inProcess(t)
				if action == "GetRole" {
					if _, err := w.Identity(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				w.aws.Answer(action, w.aws.Hang())
				for i := range 200 {
					start := time.Now()
					known := w.lookupAll(t, budget, fmt.Sprintf("arn:aws:iam::111122223333:role/r%d", i), role, "arn:aws:iam::111122223333:root")
					if took := time.Since(start); took != budget {
						t.Errorf("lookup %d took %v", i, took)
					}
					is(t, known.Principals[role], unknown("no answer in time"))
					is(t, known.Principals["arn:aws:iam::111122223333:root"], exists)
				}
				w.counts(t, 0, map[string]int{"unknown": 400})
				if counted := w.recorder.slowest(); counted != budget {
					t.Errorf("counted as %v", counted)
				}
				// AWS answers again. The slots of the hanging calls are free after SharedTimeout.
				w.aws.Answer(action)
				time.Sleep(iam.SharedTimeout)
				is(t, w.lookup(t, ample, role), missing)
			})
		})
	}
}

// If an answer begins but does not end, the lookup ends at the end of its time budget.
func TestLookupEndsDuringHalfAnAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := inProcess(t)
		w.aws.Answer("GetRole", w.aws.HalfAnswer())
		for range 20 {
			is(t, w.lookup(t, 30*time.Millisecond, role), unknown("no answer in time"))
		}
	})
}

// A lookup of more than maxWaiting principals ends at the end of its time budget while AWS does not answer.
func TestManyLookupsEndWithTheirBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := inProcess(t)
		w.aws.Answer("GetRole", w.aws.Hang())
		known := w.lookupAll(t, 100*time.Millisecond, manyRoles(5000)...)
		if len(known.Principals) != 5000 {
			t.Errorf("%d answers", len(known.Principals))
		}
		for _, answer := range known.Principals {
			is(t, answer, unknown("no answer in time"))
		}
	})
}

// If the context of a caller ends during a call, the next caller starts a new call.
func TestHangingCallIsNotJoined(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := inProcess(t)
		w.aws.Add(role)
		w.aws.Answer("GetRole", w.aws.Hang(), nil)
		is(t, w.lookup(t, time.Second, role), unknown("no answer in time"))
		is(t, w.lookup(t, time.Second, role), exists)
	})
}

// If the context of a caller ends, a shared call continues for the other callers.
func TestGivingUpDoesNotCancelOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := inProcess(t)
		w.aws.Add(role)
		if _, err := w.Identity(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.aws.Answer("GetRole", w.aws.Slow(2*time.Second))
		go func() { is(t, w.lookup(t, time.Second, role), unknown("no answer in time")) }()
		synctest.Wait()
		is(t, w.lookup(t, ample, role), exists)
		if n := w.aws.Count("GetRole"); n != 1 {
			t.Errorf("%d calls", n)
		}
	})
}

func manyRoles(n int) (arns []string) {
	for i := range n {
		arns = append(arns, fmt.Sprintf("arn:aws:iam::111122223333:role/r%d", i))
	}
	return arns
}
