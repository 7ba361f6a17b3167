package iam_test

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/internal/iam"
	"github.com/awsauth-guard/awsauth-guard/internal/iam/iamtest"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

func TestExists(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ made, asked string }{
		"role":                         {role, role},
		"role in another case":         {role, "arn:aws:iam::111122223333:role/TEAM"},
		"role with a path":             {"arn:aws:iam::111122223333:role/a/b/team", role},
		"path in the entry":            {role, "arn:aws:iam::111122223333:role/a/team"},
		"Kelvin sign":                  {"arn:aws:iam::111122223333:role/Kate", "arn:aws:iam::111122223333:role/\u212aate"},
		"long s":                       {"arn:aws:iam::111122223333:role/sam", "arn:aws:iam::111122223333:role/ſam"},
		"user":                         {"arn:aws:iam::111122223333:user/ann", "arn:aws:iam::111122223333:user/ann"},
		"user with a path":             {"arn:aws:iam::111122223333:user/a/ann", "arn:aws:iam::111122223333:user/a/ann"},
		"user and path, another case":  {"arn:aws:iam::111122223333:user/a/ann", "arn:aws:iam::111122223333:user/A/Ann"},
		"root":                         {role, "arn:aws:iam::111122223333:root"},
		"root of an account not known": {role, "arn:aws:iam::999999999999:root"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.aws.Add(c.made)
			is(t, w.lookup(t, ample, c.asked), exists)
			if n := w.aws.Count("GetRole", "GetUser", "ListRoles", "ListUsers"); n > 1 {
				t.Errorf("%d calls", n)
			}
		})
	}
}

// GetRole and GetUser may find a name only in its exact case. The Client then searches the list of all principals for a name that
// differs only in case.
func TestExactCase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.aws.ExactCase()
	w.aws.Add("arn:aws:iam::111122223333:role/x/Team", "arn:aws:iam::111122223333:user/x/Ann",
		"arn:aws:iam::111122223333:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Ops_0123456789abcdef")
	known := w.lookupAll(t, ample, role, "arn:aws:iam::111122223333:user/x/ann", "arn:aws:iam::111122223333:user/ann",
		"arn:aws:iam::111122223333:role/awsreservedsso_ops_0123456789ABCDEF")
	want := map[string]validate.Lookup{
		role:                                   exists,
		"arn:aws:iam::111122223333:user/x/ann": exists,
		"arn:aws:iam::111122223333:user/ann":   instead("arn:aws:iam::111122223333:user/x/Ann"),
		"arn:aws:iam::111122223333:role/awsreservedsso_ops_0123456789ABCDEF": exists,
	}
	if diff := cmp.Diff(want, known.Principals); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestMissing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := inProcess(t, func(w *world) { w.delay = iam.SecondCallDelay })
		start := time.Now()
		is(t, w.lookup(t, 2*time.Second, role), missing)
		took := time.Since(start)
		// GetCallerIdentity, the first call, GetCallerIdentity again, and the second call.
		if took != iam.SecondCallDelay+3*iamtest.Latency {
			t.Errorf("after %v", took)
		}
		if counted := w.recorder.slowest(); counted != took-iamtest.Latency { // without the first GetCallerIdentity
			t.Errorf("counted as %v, and it took %v", counted, took)
		}
		if n := w.aws.Count("GetRole"); n != 2 {
			t.Errorf("%d calls", n)
		}
		w.counts(t, 0, map[string]int{"missing": 1})

		// A user of this name, and a role of this name in another account, are not the principal.
		w.aws.Add("arn:aws:iam::111122223333:user/team2", "arn:aws:iam::444455556666:role/team2")
		is(t, w.lookup(t, ample, "arn:aws:iam::111122223333:role/team2"), missing)
	})
}

func TestPrincipalCreatedBetweenCallsExists(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.aws.Answer("GetRole", iamtest.Error(http.StatusNotFound, "NoSuchEntity", ""), nil)
	w.aws.Answer("ListRoles", iamtest.AccessDenied())
	w.aws.Add(role)
	is(t, w.lookup(t, ample, role), exists)
	w.counts(t, 0, map[string]int{"exists": 1})
	if n := w.aws.Count("GetRole"); n != 2 {
		t.Errorf("%d calls", n)
	}
}

// A role exists if the list has it, even if GetRole does not find it yet.
func TestListedPrincipalExists(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.aws.Answer("GetRole", iamtest.Error(http.StatusNotFound, "NoSuchEntity", ""))
	w.aws.Add(role)
	is(t, w.lookup(t, ample, role), exists)
}

func TestShortBudgetAllowsOneCall(t *testing.T) {
	t.Parallel()
	const (
		once    = "IAM did not find it, and no time was left for a second call"
		delay   = 10 * time.Second
		tooLong = 5 * time.Second
	)
	synctest.Test(t, func(t *testing.T) {
		w := inProcess(t, func(w *world) { w.delay = delay })
		start := time.Now()
		is(t, w.lookup(t, tooLong, role), unknown(once))
		if took := time.Since(start); took != 2*iamtest.Latency {
			t.Errorf("without time for a second call, the lookup took %v", took)
		}
		is(t, w.lookup(t, tooLong, role), unknown(once)) // too early for the second call
		w.pass(delay)
		is(t, w.lookup(t, tooLong, role), missing) // the second call, by another review
		if n := w.aws.Count("GetRole"); n != 3 {
			t.Errorf("%d calls", n)
		}
		w.counts(t, 0, map[string]int{"missing": 1, "unknown": 2})

		// A principal that was missing long ago may exist now.
		w.pass(2 * time.Minute)
		is(t, w.lookup(t, tooLong, role), unknown(once))
		w.pass(delay)
		w.aws.Add(role)
		is(t, w.lookup(t, tooLong, role), exists)
	})
}

func TestSecondCallHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := inProcess(t)
		w.aws.Answer("GetRole", nil, w.aws.Hang())
		is(t, w.lookup(t, 2*time.Second, role), unknown("no answer in time"))
		if n := w.aws.Count("GetRole"); n != 2 {
			t.Errorf("%d calls", n)
		}
	})
}

func TestUserUnderAnotherPath(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.aws.Add("arn:aws:iam::111122223333:user/Team/ann")
	is(t, w.lookup(t, ample, "arn:aws:iam::111122223333:user/ann"), instead("arn:aws:iam::111122223333:user/Team/ann"))
	if n := w.aws.Count("ListUsers"); n != 0 {
		t.Errorf("%d lists", n)
	}
	// The user's path changes between the calls.
	w.aws.Add("arn:aws:iam::111122223333:user/old/bob")
	w.aws.Answer("GetUser", nil, func(hw http.ResponseWriter, r *http.Request) {
		w.aws.Remove("arn:aws:iam::111122223333:user/old/bob")
		w.aws.Add("arn:aws:iam::111122223333:user/bob")
		w.aws.Slow(0)(hw, r)
	})
	is(t, w.lookup(t, ample, "arn:aws:iam::111122223333:user/bob"), exists)
}

func TestPermissionSet(t *testing.T) {
	t.Parallel()
	const (
		sso  = "arn:aws:iam::111122223333:role/aws-reserved/sso.amazonaws.com/"
		gone = "arn:aws:iam::111122223333:role/AWSReservedSSO_Admin_0123456789abcdef"
	)
	for name, c := range map[string]struct {
		made []string
		want string
	}{
		"one":             {[]string{sso + "AWSReservedSSO_Admin_aaaaaaaaaaaaaaaa"}, "arn:aws:iam::111122223333:role/AWSReservedSSO_Admin_aaaaaaaaaaaaaaaa"},
		"with its region": {[]string{sso + "eu-west-1/AWSReservedSSO_Admin_aaaaaaaaaaaaaaaa"}, "arn:aws:iam::111122223333:role/AWSReservedSSO_Admin_aaaaaaaaaaaaaaaa"},
		"two":             {[]string{sso + "AWSReservedSSO_Admin_aaaaaaaaaaaaaaaa", sso + "AWSReservedSSO_Admin_bbbbbbbbbbbbbbbb"}, ""},
		"other sets": {[]string{
			sso + "AWSReservedSSO_Administrator_aaaaaaaaaaaaaaaa", sso + "AWSReservedSSO_Admin_x_aaaaaaaaaaaaaaaa",
			sso + "AWSReservedSSO_Admin_aaaa", "arn:aws:iam::111122223333:role/AWSReservedSSO_Admin_cccccccccccccccc",
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.aws.Add(c.made...)
			is(t, w.lookup(t, ample, gone), instead(c.want))
			if got := names(w.aws.Calls("ListRoles"), "PathPrefix"); len(got) != 1 || got[0] != "/aws-reserved/sso.amazonaws.com/" {
				t.Errorf("lists %q", got)
			}
		})
	}
	t.Run("denied", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.aws.Add(sso + "AWSReservedSSO_Admin_aaaaaaaaaaaaaaaa")
		w.aws.Answer("ListRoles", iamtest.AccessDenied())
		is(t, w.lookup(t, ample, gone), missing)
	})
	t.Run("hung", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := inProcess(t)
			w.aws.Answer("ListRoles", w.aws.Hang())
			start := time.Now()
			is(t, w.lookup(t, ample, gone), missing)
			if took := time.Since(start); took != delay+3*iamtest.Latency {
				t.Errorf("took %v", took)
			}
		})
	})
}

func TestListIsLimited(t *testing.T) {
	t.Parallel()
	for more, want := range []validate.Lookup{exists, missing} {
		t.Run(string(want.Existence), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(w *world) { w.delay = 5 * time.Second })
			w.aws.ExactCase()
			w.aws.PageSize(2)
			for i := range 2*iam.MaxPages - 1 + more {
				w.aws.Add(fmt.Sprintf("arn:aws:iam::111122223333:role/a%d", i))
			}
			w.aws.Remove("arn:aws:iam::111122223333:role/awsauth-guard")
			w.aws.Add("arn:aws:iam::111122223333:role/tEAM")
			is(t, w.lookup(t, ample, role), want)
			if n := w.aws.Count("ListRoles"); n != iam.MaxPages {
				t.Errorf("%d pages", n)
			}
		})
	}
}

// The Client has no answer for principals of STS. For a principal of another partition or of an account without a configured role
// it answers Unknown, and calls only GetCallerIdentity.
func TestPrincipalsAnsweredWithoutCall(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	known := w.lookupAll(t, ample, "arn:aws:sts::111122223333:assumed-role/team/x", "arn:aws:sts::111122223333:federated-user/ann")
	if diff := cmp.Diff(validate.IAM{Principals: map[string]validate.Lookup{}}, known); diff != "" || w.aws.Count("GetCallerIdentity") != 0 {
		t.Errorf("-want +got:\n%s", diff)
	}
	known = w.lookupAll(t, ample, "arn:aws-cn:iam::111122223333:role/team", "arn:aws:iam::444455556666:role/team", "arn:aws:iam::444455556666:user/ann")
	want := validate.IAM{Partition: "aws", Principals: map[string]validate.Lookup{
		"arn:aws-cn:iam::111122223333:role/team": unknown("another partition"),
		"arn:aws:iam::444455556666:role/team":    unknown("no access to account 444455556666 is configured"),
		"arn:aws:iam::444455556666:user/ann":     unknown("no access to account 444455556666 is configured"),
	}}
	if diff := cmp.Diff(want, known); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if n := w.aws.Count("GetRole", "GetUser", "AssumeRole"); n != 0 {
		t.Errorf("%d calls", n)
	}
	w.counts(t, 0, map[string]int{})
	if known := w.lookupAll(t, ample); known.Partition != "aws" {
		t.Errorf("got %+v", known)
	}
}
