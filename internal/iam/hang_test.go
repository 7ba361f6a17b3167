package iam_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// ours returns the goroutines that this package's code runs in or waits for, but for the test's own and
// the server's.
func ours() []string {
	stacks := make([]byte, 4<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	var found []string
	for stack := range strings.SplitSeq(string(stacks), "\n\n") {
		if (strings.Contains(stack, "/internal/iam.") || strings.Contains(stack, "github.com/aws/")) && !strings.Contains(stack, "iam_test.ours") {
			found = append(found, stack)
		}
	}
	return found
}

// settled waits until there are as many goroutines as before, but for those of connections that are kept.
// The server sees a moment later that nobody waits for its answer.
func settled(t *testing.T, before int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before+4; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

// ended waits until no goroutine is left, but not for long.
func ended(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(time.Second)
	for {
		left := ours()
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines are left, the first is\n%s", len(left), left[0])
		}
		time.Sleep(time.Millisecond)
	}
}

// TestHangs looks up 200 times while AWS does not answer. It runs alone: it counts goroutines.
func TestHangs(t *testing.T) { //nolint:paralleltest // it counts the goroutines of the process
	const budget = 10 * time.Millisecond
	for name, action := range map[string]string{"IAM": "GetRole", "STS": "GetCallerIdentity"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if action == "GetRole" {
				if _, err := w.Identity(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			w.aws.Answer(action, w.aws.Hang())
			before := runtime.NumGoroutine()
			var longest, took time.Duration
			w.recorder.slowest()
			for i := range 200 {
				arns := parse(t, fmt.Sprintf("arn:aws:iam::111122223333:role/r%d", i), role, "arn:aws:iam::111122223333:root")
				ctx, cancel := context.WithTimeout(t.Context(), budget)
				start := time.Now()
				known, late := w.timed(ctx, arns)
				took = max(took, time.Since(start))
				cancel()
				longest = max(longest, late)
				if late > slack {
					t.Errorf("lookup %d came %v after its end", i, late)
				}
				is(t, known.Principals[role], unknown("no answer in time"))
				is(t, known.Principals["arn:aws:iam::111122223333:root"], exists)
			}
			t.Logf("the last came %v after its budget of %v", longest, budget)
			w.counts(t, 0, map[string]int{"unknown": 400})
			// At least one of 400 was begun before half of its budget was over, however busy the machine is.
			if counted := w.recorder.slowest(); counted < budget/2 || counted > took {
				t.Errorf("counted as %v, with a budget of %v, and the slowest took %v", counted, budget, took)
			}
			ended(t)
			settled(t, before)
			// AWS is back, and no slot is lost.
			w.aws.Answer(action)
			is(t, w.lookup(t, ample, role), missing)
		})
	}
}

// TestHangsInTheMiddle has an answer that begins and does not end.
func TestHangsInTheMiddle(t *testing.T) { //nolint:paralleltest // it counts the goroutines of the process
	w := newWorld(t)
	if _, err := w.Identity(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.aws.Answer("GetRole", w.aws.HalfAnswer())
	for range 20 {
		is(t, w.lookup(t, 30*time.Millisecond, role), unknown("no answer in time"))
	}
	ended(t)
}

// TestManyHang has more principals than are in work at a time.
func TestManyHang(t *testing.T) { //nolint:paralleltest // it counts the goroutines of the process
	w := newWorld(t)
	w.aws.Answer("GetRole", w.aws.Hang())
	var arns []string
	for i := range 5000 {
		arns = append(arns, fmt.Sprintf("arn:aws:iam::111122223333:role/r%d", i))
	}
	known := w.lookupAll(t, 100*time.Millisecond, arns...)
	if len(known.Principals) != len(arns) {
		t.Errorf("%d answers", len(known.Principals))
	}
	for _, answer := range known.Principals {
		is(t, answer, unknown("no answer in time"))
	}
	ended(t)
}
