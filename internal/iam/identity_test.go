package iam_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/awsauth-guard/awsauth-guard/internal/iam"
	"github.com/awsauth-guard/awsauth-guard/internal/iam/iamtest"
)

const changed = "the credentials are of another account than before"

// newMovingWorld returns a world, and a function that replaces its credentials with those of the account 444455556666.
func newMovingWorld(t *testing.T, options ...func(*world)) (w *world, move func()) {
	t.Helper()
	const otherKey = "ASIAOTHEROTHEROTHER1"
	var moved atomic.Bool
	w = newWorld(t, append(options, func(w *world) {
		w.change = func(cfg *aws.Config) {
			cfg.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				c := aws.Credentials{AccessKeyID: iamtest.AccessKey, SecretAccessKey: iamtest.SecretKey, SessionToken: iamtest.SessionToken}
				if moved.Load() {
					c.AccessKeyID = otherKey
				}
				return c, nil
			})
		}
	})...)
	w.aws.Caller(otherKey, "arn:aws:sts::444455556666:assumed-role/guard/pod")
	w.aws.Add(role, foreign)
	return w, func() { moved.Store(true) }
}

// After the credentials have moved to another account, principals of the old account are unknown instead of missing.
func TestIdentityChanges(t *testing.T) {
	t.Parallel()
	const other = "arn:aws:iam::111122223333:role/other"
	w, move := newMovingWorld(t)
	w.aws.Add(other)
	is(t, w.lookup(t, ample, role), exists)
	is(t, w.lookup(t, ample, foreign), unknown("no access to account 444455556666 is configured"))
	move()
	is(t, w.lookup(t, ample, role), exists) // from the cache
	is(t, w.lookup(t, ample, other), unknown(changed))
	if log := w.log.read(t); !strings.Contains(log, "identity=arn:aws:sts::444455556666:assumed-role/guard/pod account=444455556666 partition=aws") {
		t.Errorf("log: %s", log)
	}
	is(t, w.lookup(t, ample, other), unknown("no access to account 111122223333 is configured"))
	is(t, w.lookup(t, ample, foreign), exists)
	if n := w.aws.Count("GetCallerIdentity"); n != 2 {
		t.Errorf("%d calls of GetCallerIdentity", n)
	}
}

// After the credentials have moved to another account, a role with the same name in the new account doesn't count as
// the principal.
func TestIdentityChangesToTheSameName(t *testing.T) {
	t.Parallel()
	w, move := newMovingWorld(t)
	if _, err := w.Identity(t.Context()); err != nil {
		t.Fatal(err)
	}
	move()
	is(t, w.lookup(t, ample, role), unknown(changed))
	is(t, w.lookup(t, ample, role), unknown("no access to account 111122223333 is configured"))
}

func TestMissingIsNotReportedAfterAccountChange(t *testing.T) {
	t.Parallel()
	w, move := newMovingWorld(t, func(w *world) {
		w.accounts = map[string]iam.Account{"111122223333": {RoleARN: "arn:aws:iam::111122223333:role/reader"}}
	})
	w.aws.Trust("arn:aws:iam::111122223333:role/reader", "")
	if _, err := w.Identity(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.pass(5 * time.Minute)
	is(t, w.lookup(t, ample, role), exists)
	move()
	w.pass(5 * time.Minute)
	is(t, w.lookup(t, ample, foreign), exists)
	before := w.aws.Count("GetRole")
	is(t, w.lookup(t, ample, role), exists) // a new call: the change of account has cleared the cache
	if n := w.aws.Count("GetRole"); n != before+1 {
		t.Errorf("%d calls, %d before", n, before)
	}
	is(t, w.lookup(t, ample, "arn:aws:iam::111122223333:role/gone"), missing)
}

// After the credentials have moved to another account, principals of the old account are unknown even if the time
// budget is too short for two calls.
func TestIdentityChangesBetweenReviews(t *testing.T) {
	t.Parallel()
	w, move := newMovingWorld(t, func(w *world) { w.delay = 10 * time.Second })
	const short = 5 * time.Second
	if _, err := w.Identity(t.Context()); err != nil {
		t.Fatal(err)
	}
	move()
	w.aws.Remove(foreign)
	is(t, w.lookup(t, short, role), unknown("IAM did not find it, and no time was left for a second call"))
	w.pass(10 * time.Second)
	is(t, w.lookup(t, short, role), unknown(changed))
}

func TestFactsOfAnotherAccount(t *testing.T) {
	t.Parallel()
	w, move := newMovingWorld(t)
	if got := facts(t, w, role); got != "AROA exists <nil>" {
		t.Errorf("got %q", got)
	}
	move()
	w.aws.Remove(foreign)
	if got := facts(t, w, role); got != " unknown "+changed {
		t.Errorf("got %q", got)
	}
}

// If STS fails after a first success, an existing principal still exists, and a missing one is unknown.
func TestIdentityCannotBeConfirmed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer func(*iamtest.Server) iamtest.Answer
		want   string
	}{
		"fails": {func(*iamtest.Server) iamtest.Answer { return iamtest.Failed() }, "AWS failed"},
		"hangs": {(*iamtest.Server).Hang, "no answer in time"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.aws.Add(role)
			if _, err := w.Identity(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.aws.Answer("GetCallerIdentity", c.answer(w.aws))
			is(t, w.lookup(t, 3*time.Second, "arn:aws:iam::111122223333:role/gone"), unknown(c.want))
			w.pass(10 * time.Minute)
			is(t, w.lookup(t, 5*time.Second, role), exists)
			before := w.aws.Count("GetCallerIdentity")
			w.pass(30 * time.Second) // within identityRetry
			is(t, w.lookup(t, ample, role), exists)
			if n := w.aws.Count("GetCallerIdentity"); n != before {
				t.Errorf("asked %d times, %d before", n, before)
			}
			w.aws.Answer("GetCallerIdentity")
			w.pass(30 * time.Second)
			is(t, w.lookup(t, ample, role), exists)
			if n := w.aws.Count("GetCallerIdentity"); n != before+1 {
				t.Errorf("asked %d times, %d before", n, before)
			}
			is(t, w.lookup(t, ample, "arn:aws:iam::111122223333:role/gone"), missing)
		})
	}
}

// Before the Client reports a principal as missing, it confirms the account by GetCallerIdentity. Principals that are looked up at the same
// time share these calls: 60 missing principals need at most 30 calls.
func TestConfirmationsAreShared(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.aws.Answer("ListRoles", iamtest.AccessDenied())
	w.aws.Answer("GetCallerIdentity", nil, w.aws.Slow(delay))
	var arns []string
	for i := range 60 {
		arns = append(arns, fmt.Sprintf("arn:aws:iam::111122223333:role/r%d", i))
	}
	for _, answer := range w.lookupAll(t, ample, arns...).Principals {
		is(t, answer, missing)
	}
	if n := w.aws.Count("GetCallerIdentity"); n > 30 {
		t.Errorf("%d calls of GetCallerIdentity", n)
	}
}

// Identity accepts an answer of STS if its ARN has an account and a known partition. For any other answer the error quotes the ARN.
func TestIdentityNeedsAccountAndPartition(t *testing.T) {
	t.Parallel()
	for arn, want := range map[string]string{
		"arn:aws:sts::111122223333:user/moto":     "{arn:aws:sts::111122223333:user/moto 111122223333 aws} <nil>",
		"arn:aws-cn:iam::111122223333:root":       "{arn:aws-cn:iam::111122223333:root 111122223333 aws-cn} <nil>",
		"arn:aws:sts::111122223333:anything:else": "{arn:aws:sts::111122223333:anything:else 111122223333 aws} <nil>",
		"":                             `{  } AWS returned an invalid response: GetCallerIdentity names "", which is not an ARN`,
		"arn:mars:sts::111122223333:u": `{  } AWS returned an invalid response: GetCallerIdentity names "arn:mars:sts::111122223333:u", which has an unknown partition`,
		"arn:aws:sts::1234:user/a":     `{  } AWS returned an invalid response: GetCallerIdentity names "arn:aws:sts::1234:user/a", whose account is not 12 digits`,
	} {
		t.Run(arn, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.aws.Answer("GetCallerIdentity", iamtest.Text(http.StatusOK, "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>"+
				arn+"</Arn></GetCallerIdentityResult></GetCallerIdentityResponse>"))
			self, err := w.Identity(t.Context())
			if got := fmt.Sprint(self, " ", err); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}
