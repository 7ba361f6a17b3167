package iam_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/iam"
	"github.com/awsauth-guard/awsauth-guard/internal/iam/iamtest"
)

func TestCache(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const gone = "arn:aws:iam::111122223333:role/gone"
	w.aws.Add(role)
	asked := func(want int) {
		t.Helper()
		if n := w.aws.Count("GetRole"); n != want {
			t.Errorf("%d calls, want %d", n, want)
		}
	}
	is(t, w.lookup(t, ample, role), exists)
	asked(1)
	w.pass(9 * time.Minute)
	is(t, w.lookup(t, ample, role), exists)
	is(t, w.lookup(t, ample, "arn:aws:iam::111122223333:role/a/TEAM"), exists) // the same key, which has no path and ignores case
	asked(1)
	w.counts(t, 2, map[string]int{"exists": 1})
	w.pass(time.Minute)
	w.aws.Remove(role)
	is(t, w.lookup(t, ample, role), missing)
	asked(3)

	is(t, w.lookup(t, ample, gone), missing)
	asked(5)
	w.pass(4 * time.Second)
	is(t, w.lookup(t, ample, gone), missing)
	asked(5)
	w.counts(t, 3, map[string]int{"exists": 1, "missing": 2})
	w.pass(time.Second)
	w.aws.Add(gone)
	is(t, w.lookup(t, ample, gone), exists)
	asked(6)
	w.counts(t, 3, map[string]int{"exists": 2, "missing": 2})
}

// After the answer Missing has expired, the Client needs two new calls for the same answer. The principal may have been created in
// the meantime, and IAM may not find a new principal at once.
func TestMissingPrincipalIsConfirmedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	is(t, w.lookup(t, ample, role), missing)
	w.pass(10 * time.Second)
	w.aws.Add(role)
	w.aws.Answer("ListRoles", iamtest.AccessDenied())
	w.aws.Answer("GetRole", iamtest.Error(404, "NoSuchEntity", ""), nil)
	is(t, w.lookup(t, ample, role), exists)
}

func TestCacheIsLimited(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.delay = time.Hour }) // prevents second calls
	const size = 50
	w.SetCacheSize(size)
	w.aws.Add(role)
	is(t, w.lookup(t, ample, role), exists)
	var arns []string
	for i := range 3 * size {
		arns = append(arns, fmt.Sprintf("arn:aws:iam::111122223333:role/r%d", i))
	}
	known := w.lookupAll(t, ample, arns...)
	if answers, notFounds := w.Cached(); answers > size || notFounds != size || len(known.Principals) != len(arns) {
		t.Errorf("%d and %d in the cache, %d answers", answers, notFounds, len(known.Principals))
	}
	w.pass(time.Hour) // everything has expired
	w.aws.Add("arn:aws:iam::111122223333:role/new")
	is(t, w.lookup(t, ample, "arn:aws:iam::111122223333:role/new"), exists)
	if answers, notFounds := w.Cached(); answers != 1 || notFounds != 0 {
		t.Errorf("%d and %d in the cache", answers, notFounds)
	}
	arns = arns[:0]
	for i := range 1000 {
		arns = append(arns, fmt.Sprintf("arn:aws:iam::%012d:role/r", i))
	}
	w.lookupAll(t, ample, arns...)
	if n := strings.Count(w.log.read(t), "cannot look up principals of an account"); n != 256 {
		t.Errorf("%d accounts are logged, want 256", n)
	}
	// The log limits the lines about accounts and those about other problems separately.
	w.aws.Answer("GetRole", iamtest.AccessDenied())
	w.lookup(t, ample, role)
	if log := w.log.read(t); strings.Count(log, "cannot determine whether") != 1 {
		t.Errorf("%d problems are logged", strings.Count(log, "cannot determine whether"))
	}
}

// The number of log lines about problems is limited, even if more accounts fail than the throttle remembers.
func TestLoggedProblemsAreLimited(t *testing.T) {
	t.Parallel()
	var arns []string
	w := newWorld(t, func(w *world) {
		w.accounts = make(map[string]iam.Account)
		for i := range 300 {
			id := fmt.Sprintf("2222%08d", i)
			w.accounts[id] = iam.Account{RoleARN: "arn:aws:iam::" + id + ":role/reader"}
			arns = append(arns, "arn:aws:iam::"+id+":role/r")
		}
	})
	logged := func(want int) {
		t.Helper()
		if n := strings.Count(w.log.read(t), "cannot determine whether"); n != want {
			t.Errorf("%d problems are logged, want %d", n, want)
		}
	}
	w.lookupAll(t, ample, arns...) // every call is denied
	logged(256)
	w.aws.Answer("GetRole", iamtest.AccessDenied())
	w.lookup(t, ample, role)
	logged(256)
	w.pass(5 * time.Minute)
	w.lookup(t, ample, role)
	logged(257)
	w.lookup(t, ample, role)
	logged(257)
}
