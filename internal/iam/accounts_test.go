package iam_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/internal/iam"
	"github.com/awsauth-guard/awsauth-guard/internal/iam/iamtest"
)

const (
	reader  = "arn:aws:iam::444455556666:role/path/reader"
	foreign = "arn:aws:iam::444455556666:role/team"
)

// withAccount configures the role reader for lookups in the account 444455556666, and a role for the account of the credentials.
func withAccount(w *world) {
	w.accounts = map[string]iam.Account{"444455556666": {RoleARN: reader, ExternalID: "for-you"}, "111122223333": {RoleARN: "arn:aws:iam::111122223333:role/x"}}
}

func TestOtherAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withAccount)
	w.aws.Trust(reader, "for-you")
	w.aws.Add(foreign, role, "arn:aws:iam::444455556666:user/ann")
	is(t, w.lookup(t, ample, foreign), exists)
	is(t, w.lookup(t, ample, role), exists)
	is(t, w.lookup(t, ample, "arn:aws:iam::444455556666:user/ann"), exists)
	is(t, w.lookup(t, ample, "arn:aws:iam::444455556666:role/gone"), missing)

	assumed := w.aws.Calls("AssumeRole")
	if len(assumed) != 1 { // the credentials are cached
		t.Fatalf("%d roles assumed", len(assumed))
	}
	form := assumed[0].Form
	got := []string{assumed[0].AccessKey, form.Get("RoleArn"), form.Get("ExternalId"), form.Get("RoleSessionName")}
	if diff := cmp.Diff([]string{iamtest.AccessKey, reader, "for-you", "awsauth-guard"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	calls := w.aws.Calls("GetRole")
	if !strings.HasPrefix(calls[0].AccessKey, "ASIA") || calls[1].AccessKey != iamtest.AccessKey || calls[2].AccessKey != calls[0].AccessKey {
		t.Errorf("signed by %q, %q and %q", calls[0].AccessKey, calls[1].AccessKey, calls[2].AccessKey)
	}
	w.counts(t, 0, map[string]int{"exists": 3, "missing": 1})
}

func TestOtherAccountWithoutExternalID(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.accounts = map[string]iam.Account{"444455556666": {RoleARN: reader}} })
	w.aws.Trust(reader, "")
	w.aws.Add(foreign)
	is(t, w.lookup(t, ample, foreign), exists)
	if form := w.aws.Calls("AssumeRole")[0].Form; form.Has("ExternalId") {
		t.Errorf("external id %q", form.Get("ExternalId"))
	}
}

func TestOtherAccountUnknown(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer iamtest.Answer
		want   string
	}{
		"not trusted":  {nil, "access denied"},
		"failed":       {iamtest.Failed(), "AWS failed"},
		"garbage":      {iamtest.Text(200, "garbage"), "no credentials"},
		"no such role": {iamtest.Error(404, "NoSuchEntity", "The role cannot be found"), "no credentials"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, withAccount)
			w.aws.Answer("AssumeRole", c.answer)
			is(t, w.lookup(t, ample, foreign), unknown(c.want))
			if log := w.log.read(t); !strings.Contains(log, "account=444455556666") || strings.Contains(log, "for-you") {
				t.Errorf("log: %s", log)
			}
		})
	}
	t.Run("hangs", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, withAccount)
		w.aws.Answer("AssumeRole", w.aws.Hang())
		w.aws.Add(role)
		known := w.lookupAll(t, 2*time.Second, foreign, role)
		is(t, known.Principals[foreign], unknown("no answer in time"))
		is(t, known.Principals[role], exists)
	})
}

func TestNewRefusesInvalidAccounts(t *testing.T) {
	t.Parallel()
	for _, arn := range []string{"", "reader", role, "arn:aws:iam::444455556666:user/ann"} {
		_, err := iam.New(t.Context(), iam.Options{Logger: slog.New(slog.DiscardHandler), Accounts: map[string]iam.Account{"444455556666": {RoleARN: arn}}})
		if err == nil || !strings.Contains(err.Error(), "the role for lookups in account 444455556666") {
			t.Errorf("%q: %v", arn, err)
		}
	}
}

// The log says once that an account has no configured role.
func TestAccountWithoutAccessIsLoggedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 3 {
		is(t, w.lookup(t, ample, foreign), unknown("no access to account 444455556666 is configured"))
		w.pass(time.Hour)
	}
	if log := w.log.read(t); strings.Count(log, "account=444455556666") != 1 || strings.Contains(log, "WARN") || strings.Contains(log, "ERROR") {
		t.Errorf("log: %s", log)
	}
}

func TestFacts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withAccount)
	w.aws.Trust(reader, "for-you")
	w.aws.Add(role, foreign, "arn:aws:iam::111122223333:user/x/ann")
	for arn, want := range map[string]string{
		role:                                           "AROA exists <nil>",
		foreign:                                        "AROA exists <nil>",
		"arn:aws:iam::111122223333:user/x/ann":         "AIDA exists <nil>",
		"arn:aws:iam::111122223333:user/ann":           " missing <nil>",
		"arn:aws:iam::111122223333:role/gone":          " missing <nil>",
		"arn:aws:iam::777788889999:role/team":          " unknown no access to account 777788889999 is configured",
		"arn:aws-cn:iam::111122223333:role/team":       " unknown another partition",
		"arn:aws:iam::111122223333:root":               " unknown only roles and users have a unique id",
		"arn:aws:sts::111122223333:federated-user/ann": " unknown only roles and users have a unique id",
	} {
		before := w.aws.Count("GetRole", "GetUser")
		if got := facts(t, w, arn); got != want {
			t.Errorf("%s: got %q, want %q", arn, got, want)
		}
		if n := w.aws.Count("GetRole", "GetUser") - before; n > 1 {
			t.Errorf("%s: %d calls", arn, n)
		}
	}
	created := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
	for _, arn := range []string{role, "arn:aws:iam::111122223333:user/x/ann"} {
		w.aws.Create(arn, created)
		if got, _, err := w.Facts(t.Context(), parse(t, arn)[0]); err != nil || !got.Created.Equal(created) {
			t.Errorf("%s was created at %s, want %s: %v", arn, got.Created, created, err)
		}
	}
	w.aws.Answer("GetRole", iamtest.AccessDenied())
	if got := facts(t, w, role); got != " unknown access denied (AccessDenied)" {
		t.Errorf("got %q", got)
	}
}

func TestReplacement(t *testing.T) {
	t.Parallel()
	const (
		sso     = "arn:aws:iam::111122223333:role/aws-reserved/sso.amazonaws.com/eu-west-1/AWSReservedSSO_"
		present = "arn:aws:iam::111122223333:role/AWSReservedSSO_Admin_aaaaaaaaaaaaaaaa"
	)
	w := newWorld(t)
	w.aws.Add(sso+"Admin_aaaaaaaaaaaaaaaa", sso+"Dev_aaaaaaaaaaaaaaaa", sso+"Dev_bbbbbbbbbbbbbbbb")
	is := func(arn, want string) {
		t.Helper()
		if got := w.Replacement(t.Context(), parse(t, arn)[0]); got != want {
			t.Errorf("the replacement of %s is %q, want %q", arn, got, want)
		}
	}
	is("arn:aws:iam::111122223333:role/AWSReservedSSO_Admin_0123456789abcdef", present)
	is("arn:aws:iam::111122223333:role/AWSReservedSSO_Dev_0123456789abcdef", "") // two candidates
	is("arn:aws:iam::111122223333:role/AWSReservedSSO_Ops_0123456789abcdef", "")
	is("arn:aws:iam::444455556666:role/AWSReservedSSO_Admin_0123456789abcdef", "")
	is("arn:aws-cn:iam::111122223333:role/AWSReservedSSO_Admin_0123456789abcdef", "")
	if n := w.aws.Count("GetRole"); n != 0 {
		t.Errorf("%d calls of GetRole", n)
	}
	w.aws.Answer("ListRoles", iamtest.AccessDenied())
	is("arn:aws:iam::111122223333:role/AWSReservedSSO_Admin_0123456789abcdef", "")
	w.aws.Answer("GetCallerIdentity", iamtest.Failed())
	is("arn:aws:iam::111122223333:role/AWSReservedSSO_Admin_0123456789abcdef", "")
}

// A list that ends early may lack a second role of the permission set. So its only role is no replacement.
func TestIncompleteListNamesNoReplacement(t *testing.T) {
	t.Parallel()
	const sso = "arn:aws:iam::111122223333:role/aws-reserved/sso.amazonaws.com/eu-west-1/AWSReservedSSO_Dev_"
	missing := parse(t, "arn:aws:iam::111122223333:role/AWSReservedSSO_Dev_0123456789abcdef")[0]
	w := newWorld(t)
	w.aws.Add(sso+"aaaaaaaaaaaaaaaa", sso+"bbbbbbbbbbbbbbbb")
	w.aws.PageSize(1)
	w.aws.Answer("ListRoles", nil, iamtest.AccessDenied())
	if got := w.Replacement(t.Context(), missing); got != "" {
		t.Errorf("the first of two pages names %q as the replacement", got)
	}
	w.aws.Remove(sso + "bbbbbbbbbbbbbbbb")
	w.aws.Answer("ListRoles")
	if got, want := w.Replacement(t.Context(), missing), "arn:aws:iam::111122223333:role/AWSReservedSSO_Dev_aaaaaaaaaaaaaaaa"; got != want {
		t.Errorf("a complete list names %q as the replacement, want %q", got, want)
	}
}

// facts returns the result of Client.Facts as text: the first four characters of the unique id, which show its kind, whether
// the principal exists, and the error.
func facts(t *testing.T, w *world, arn string) string {
	t.Helper()
	got, existence, err := w.Facts(t.Context(), parse(t, arn)[0])
	return fmt.Sprintf("%s %s %v", got.UniqueID[:min(4, len(got.UniqueID))], existence, err)
}
