package iam_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/awsauth-guard/awsauth-guard/internal/iam/iamtest"
)

// Every failure gives Unknown, never Missing.
func TestEveryFailureIsUnknown(t *testing.T) {
	t.Parallel()
	noSuchEntity := iamtest.Error(http.StatusNotFound, "NoSuchEntity", "")
	for name, c := range map[string]struct {
		answers []iamtest.Answer
		want    string
		log     string
	}{
		"denied":                  {[]iamtest.Answer{iamtest.AccessDenied()}, "access denied", "code=AccessDenied request_id=11112222-"},
		"denied at the second":    {[]iamtest.Answer{noSuchEntity, iamtest.AccessDenied()}, "access denied", "code=AccessDenied"},
		"throttled":               {[]iamtest.Answer{iamtest.Throttled()}, "throttled", "code=Throttling"},
		"throttled at the second": {[]iamtest.Answer{noSuchEntity, iamtest.Throttled()}, "throttled", "code=Throttling"},
		"throttled by a proxy":    {[]iamtest.Answer{iamtest.Text(http.StatusTooManyRequests, "slow down")}, "throttled", ""},
		"failed":                  {[]iamtest.Answer{iamtest.Failed()}, "AWS failed", "code=ServiceFailure"},
		"failed, no XML":          {[]iamtest.Answer{iamtest.Text(http.StatusBadGateway, "<html>bad gateway")}, "AWS failed", ""},
		"NoSuchEntity of a 403":   {[]iamtest.Answer{iamtest.Error(http.StatusForbidden, "NoSuchEntity", "")}, "AWS refused the request", "code=NoSuchEntity"},
		"NoSuchEntity of a 500":   {[]iamtest.Answer{iamtest.Error(http.StatusInternalServerError, "NoSuchEntity", "")}, "AWS failed", "code=NoSuchEntity"},
		"NoSuchEntity of a 503":   {[]iamtest.Answer{iamtest.Error(http.StatusServiceUnavailable, "NoSuchEntity", "")}, "AWS failed", "code=NoSuchEntity"},
		"NoSuchEntity of a 200":   {[]iamtest.Answer{iamtest.Error(http.StatusOK, "NoSuchEntity", "")}, "AWS returned an invalid response", ""},
		"NoSuchEntity, no XML":    {[]iamtest.Answer{iamtest.Text(http.StatusNotFound, "<html>NoSuchEntity</html>")}, "AWS refused the request", ""},
		"expired":                 {[]iamtest.Answer{iamtest.Expired()}, "the credentials are expired or not valid", "code=ExpiredToken"},
		"unknown key":             {[]iamtest.Answer{iamtest.Error(http.StatusForbidden, "InvalidClientTokenId", "")}, "the credentials are expired or not valid", ""},
		"other error":             {[]iamtest.Answer{iamtest.Error(http.StatusBadRequest, "ValidationError", iamtest.SecretKey)}, "AWS refused the request", "code=ValidationError"},
		"garbage":                 {[]iamtest.Answer{iamtest.Text(http.StatusOK, "\x00garbage <<<")}, "AWS returned an invalid response", ""},
		"cut off":                 {[]iamtest.Answer{iamtest.Text(http.StatusOK, "<GetRoleResponse><GetRoleResult><Role><Arn>arn:aws:iam::111122223333:role/te")}, "AWS returned an invalid response", ""},
		"empty":                   {[]iamtest.Answer{iamtest.Text(http.StatusOK, "")}, "AWS returned an invalid response", ""},
		"login page":              {[]iamtest.Answer{iamtest.Text(http.StatusOK, "<html><body>log in</body></html>")}, "AWS returned an invalid response", ""},
		"nothing in it":           {[]iamtest.Answer{iamtest.Text(http.StatusOK, "<GetRoleResponse><GetRoleResult/></GetRoleResponse>")}, "AWS returned an invalid response", ""},
		"another role":            {[]iamtest.Answer{roleNamed("arn:aws:iam::111122223333:role/other")}, "AWS returned an invalid response", ""},
		"another account":         {[]iamtest.Answer{roleNamed("arn:aws:iam::444455556666:role/team")}, "AWS returned an invalid response", ""},
		"a user":                  {[]iamtest.Answer{roleNamed("arn:aws:iam::111122223333:user/team")}, "AWS returned an invalid response", ""},
		"closed":                  {[]iamtest.Answer{func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }}, "AWS cannot be reached: HOST", "host=127.0.0.1:"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.aws.Add(role)
			w.aws.Answer("GetRole", c.answers...)
			w.aws.Answer("ListRoles", iamtest.AccessDenied())
			is(t, w.lookup(t, ample, role), unknown(strings.Replace(c.want, "HOST", strings.TrimPrefix(w.aws.URL, "http://"), 1)))
			w.counts(t, 0, map[string]int{"unknown": 1})
			reason, _, _ := strings.Cut(c.want, ":")
			if log := w.log.read(t); !strings.Contains(log, `reason="`+reason) && !strings.Contains(log, "reason="+reason) || !strings.Contains(log, c.log) {
				t.Errorf("log: %s", log)
			}
			// The result is not cached, and logged once.
			before := w.aws.Count("GetRole")
			w.lookup(t, ample, role)
			if w.aws.Count("GetRole") == before || strings.Count(w.log.read(t), "cannot determine whether") != 1 {
				t.Errorf("calls: %d and %d, log: %s", before, w.aws.Count("GetRole"), w.log.read(t))
			}
			w.aws.Answer("GetRole")
			is(t, w.lookup(t, ample, role), exists)
		})
	}
}

func roleNamed(arn string) iamtest.Answer {
	return iamtest.Text(http.StatusOK, "<GetRoleResponse><GetRoleResult><Role><Arn>"+arn+"</Arn></Role></GetRoleResult></GetRoleResponse>")
}

// The SDK repeats a call after a transient failure, so the Client gets the answer.
func TestTransientFailuresAreRetried(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]iamtest.Answer{
		"throttled": iamtest.Throttled(),
		"failed":    iamtest.Failed(),
		"closed":    func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.aws.Add(role)
			w.aws.Answer("GetRole", append(slices.Repeat([]iamtest.Answer{first}, 2), nil)...)
			is(t, w.lookup(t, ample, role), exists)
			if n := w.aws.Count("GetRole"); n != 3 {
				t.Errorf("%d calls", n)
			}
			w.counts(t, 0, map[string]int{"exists": 1})
		})
	}
}

// A lookup works even if the clock of AWS differs by an hour, because the SDK then signs with the time in the answer of
// AWS.
func TestClockSkew(t *testing.T) {
	t.Parallel()
	for _, ahead := range []time.Duration{-time.Hour, time.Hour} {
		w := newWorld(t)
		w.aws.Add(role)
		w.aws.Ahead(ahead)
		is(t, w.lookup(t, ample, role), exists)
		is(t, w.lookup(t, ample, "arn:aws:iam::111122223333:role/gone"), missing)
	}
	w := newWorld(t)
	w.aws.Answer("GetRole", iamtest.Error(http.StatusForbidden, "SignatureDoesNotMatch", "Signature expired"))
	is(t, w.lookup(t, ample, role), unknown("the credentials are expired or not valid"))
}

func TestRefusedConnection(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it is closed at once
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(w *world) { w.endpoint = "http://" + listener.Addr().String() })
	is(t, w.lookup(t, ample, role), unknown("AWS cannot be reached: "+listener.Addr().String()))
	if log := w.log.read(t); !strings.Contains(log, "connection refused") {
		t.Errorf("log: %s", log)
	}
	if _, err := w.Identity(t.Context()); err == nil || err.Error() != fmt.Sprintf("AWS cannot be reached: %s: dial tcp %[1]s: connect: connection refused", listener.Addr()) {
		t.Errorf("got %v", err)
	}
	w.counts(t, 0, map[string]int{"unknown": 1})
}

func TestUnknownCertificate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.endpoint = newTLSProxy(t, w.aws) })
	is(t, w.lookup(t, ample, role), unknown("AWS cannot be reached: "+strings.TrimPrefix(w.endpoint, "https://")))
	if log := w.log.read(t); !strings.Contains(log, "certificate signed by unknown authority") {
		t.Errorf("log: %s", log)
	}
}

func TestNoCredentials(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) {
		w.change = func(cfg *aws.Config) {
			cfg.Credentials = aws.NewCredentialsCache(aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
				return aws.Credentials{}, errors.New("nothing in " + iamtest.SecretKey)
			}))
		}
	})
	known := w.lookupAll(t, ample, role, "arn:aws:iam::111122223333:root")
	is(t, known.Principals[role], unknown("no credentials"))
	is(t, known.Principals["arn:aws:iam::111122223333:root"], exists)
	w.counts(t, 0, map[string]int{"unknown": 1})
}

// A panic of the SDK gives Unknown.
func TestPanic(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.change = func(cfg *aws.Config) { cfg.HTTPClient = panicking{} } })
	for range 20 { // more than there are slots
		is(t, w.lookup(t, ample, role), unknown(failed))
	}
	if log := w.log.read(t); !strings.Contains(log, `err="panic of string"`) || !strings.Contains(log, "unknown_test.go") {
		t.Errorf("log: %s", log)
	}
}

const failed = "the guard failed during the lookup"

type panicking struct{}

func (panicking) Do(*http.Request) (*http.Response, error) { panic(iamtest.SecretKey) }

// The Client recovers a panic in its own goroutines, outside the SDK.
func TestPanicOutsideTheSDK(t *testing.T) {
	t.Parallel()
	t.Run("in a shared call", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, func(w *world) { w.clock = func() { panicIn(".(*Client).get(") } })
		w.aws.Add(role)
		lookUpConcurrently(t, w, 10, unknown(failed))
		if log := w.log.read(t); strings.Count(log, "\n") != 1 || !strings.Contains(log, "index out of range") || !strings.Contains(log, "(*Client).get") || !strings.Contains(log, "account=111122223333") {
			t.Errorf("log: %s", log)
		}
		w.LogIdentity(cancelled(t))
	})
	t.Run("in GetCallerIdentity", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, func(w *world) { w.clock = func() { panicIn(".(*Client).getCallerIdentity(") } })
		is(t, w.lookup(t, ample, role), unknown(failed))
	})
	t.Run("in a worker", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.recorder.broken = true
		w.aws.Add(role)
		known := w.lookupAll(t, ample, role, "arn:aws:iam::111122223333:role/gone", "arn:aws:iam::111122223333:root")
		is(t, known.Principals[role], unknown(failed))
		is(t, known.Principals["arn:aws:iam::111122223333:role/gone"], unknown(failed))
		is(t, known.Principals["arn:aws:iam::111122223333:root"], exists)
		if log := w.log.read(t); !strings.Contains(log, "index out of range") {
			t.Errorf("log: %s", log)
		}
	})
}

// panicIn panics while a function with this name is on the stack.
func panicIn(function string) {
	if strings.Contains(string(debug.Stack()), function) {
		_ = []int{}[len(function)]
	}
}

func cancelled(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// If STS fails, every principal is Unknown.
func TestIdentityUnknown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.aws.Add(role)
	w.aws.Answer("GetCallerIdentity", iamtest.Failed())
	known := w.lookupAll(t, ample, role, "arn:aws-cn:iam::111122223333:role/team")
	is(t, known.Principals[role], unknown("AWS failed"))
	is(t, known.Principals["arn:aws-cn:iam::111122223333:role/team"], unknown("AWS failed"))
	if known.Partition != "" || w.aws.Count("GetRole") != 0 {
		t.Errorf("got %+v", known)
	}
	w.counts(t, 0, map[string]int{"unknown": 2})
	w.aws.Answer("GetCallerIdentity", iamtest.Text(http.StatusOK, "<GetCallerIdentityResponse><GetCallerIdentityResult/></GetCallerIdentityResponse>"))
	is(t, w.lookup(t, ample, role), unknown("AWS returned an invalid response"))
	w.aws.Answer("GetCallerIdentity", w.aws.Hang())
	is(t, w.lookup(t, 50*time.Millisecond, role), unknown("no answer in time"))
	w.aws.Answer("GetCallerIdentity")
	is(t, w.lookup(t, ample, role), exists)
	is(t, w.lookup(t, ample, "arn:aws:iam::111122223333:user/ann"), missing)
	before := w.aws.Count("GetCallerIdentity")
	is(t, w.lookup(t, ample, role), exists)
	if n := w.aws.Count("GetCallerIdentity"); n != before {
		t.Errorf("asked %d times, %d before", n, before)
	}
}
