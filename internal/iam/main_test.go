package iam_test

import (
	"cmp"
	"context"
	"io"
	"log"
	"log/slog"
	"maps"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/iam"
	"github.com/awsauth-guard/awsauth-guard/internal/iam/iamtest"
	"github.com/awsauth-guard/awsauth-guard/internal/logtest"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// TestMain removes the AWS configuration of this machine from the environment of the tests.
func TestMain(m *testing.M) {
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "AWS_") {
			_ = os.Unsetenv(name)
		}
	}
	_ = os.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	os.Exit(m.Run())
}

const (
	role = "arn:aws:iam::111122223333:role/team"
	// delay is the time between the first and the second call for a principal that IAM does not find. It is longer than the
	// test server needs, so that the answer to ListRoles or ListUsers arrives before the second call.
	delay = 300 * time.Millisecond
	// ample is a budget that is always long enough.
	ample = 20 * time.Second
)

// recorder is a Recorder that counts its calls.
type recorder struct {
	mu      sync.Mutex
	results map[string]int
	longest time.Duration
	hits    int
	unasked int
	broken  bool // LookedUp panics
}

func (r *recorder) Unasked(principals int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unasked += principals
}

func (r *recorder) LookedUp(result string, took time.Duration) {
	if r.broken {
		_ = []int{}[len(result)]
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.results == nil {
		r.results = make(map[string]int)
	}
	r.results[result]++
	r.longest = max(r.longest, took)
}

func (r *recorder) CacheHit() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hits++
}

func (r *recorder) counted() (results map[string]int, hits int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.results), r.hits
}

// slowest returns the longest duration since its last call.
func (r *recorder) slowest() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	longest := r.longest
	r.longest = 0
	return longest
}

// logBuffer collects the log.
type logBuffer struct{ logtest.Log }

// secrets must never appear in a log.
var secrets = []string{iamtest.AccessKey, iamtest.SecretKey, iamtest.SessionToken, "AKIA", "ASIA", "Authorization", "Signature="}

// read returns the log. It fails the test if the log contains a secret.
func (j *logBuffer) read(t *testing.T) string {
	t.Helper()
	text := j.String()
	for _, secret := range secrets {
		if strings.Contains(text, secret) {
			t.Errorf("the log has %q:\n%s", secret, text)
		}
	}
	return text
}

// world is a Client with a server that imitates AWS.
type world struct {
	*iam.Client

	aws      *iamtest.Server
	recorder recorder
	log      logBuffer
	ahead    atomic.Int64 // how far the Client's clock is ahead
	accounts map[string]iam.Account
	limits   iam.Limits
	delay    time.Duration     // between the first and the second call
	change   func(*aws.Config) // changes the configuration of the SDK
	clock    func()            // is called whenever the Client reads its clock
	endpoint string            // overrides the address of aws
}

func newWorld(t *testing.T, options ...func(*world)) *world {
	t.Helper()
	w := &world{delay: delay}
	for _, o := range options {
		o(w)
	}
	if w.aws == nil {
		w.aws = iamtest.New(t)
	}
	client, err := iam.NewFrom(t.Context(), w.options(), w.delay, w.change,
		config.WithBaseEndpoint(cmp.Or(w.endpoint, w.aws.URL)), config.WithRegion("eu-central-1"),
		config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(iamtest.AccessKey, iamtest.SecretKey, iamtest.SessionToken)))
	if err != nil {
		t.Fatal(err)
	}
	w.Client = client
	t.Cleanup(func() { w.log.read(t) })
	return w
}

func (w *world) options() iam.Options {
	return iam.Options{
		Accounts: w.accounts,
		Limits:   w.limits,
		Recorder: &w.recorder,
		Logger:   slog.New(slog.NewTextHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Now: func() time.Time {
			if w.clock != nil {
				w.clock()
			}
			return time.Now().Add(time.Duration(w.ahead.Load()))
		},
	}
}

// inProcess returns a world for a test with a fake clock (testing/synctest). Waiting takes no time, and every duration is exact. The
// server runs in the process, because a fake clock stops while a test waits for the network. The test fails if a call takes longer than
// [iam.SharedTimeout].
func inProcess(t *testing.T, options ...func(*world)) *world {
	t.Helper()
	t.Cleanup(func() { time.Sleep(iam.SharedTimeout) }) // synctest fails if a goroutine is left afterwards
	return newWorld(t, append(slices.Clone(options), func(w *world) {
		w.aws = iamtest.NewInProcess()
		w.endpoint = "http://aws.invalid"
		w.change = func(cfg *aws.Config) { cfg.HTTPClient = w.aws }
	})...)
}

// pass sets the Client's clock forward.
func (w *world) pass(d time.Duration) { w.ahead.Add(int64(d)) }

// lookup looks up one principal.
func (w *world) lookup(t *testing.T, budget time.Duration, arn string) validate.Lookup {
	t.Helper()
	known := w.lookupAll(t, budget, arn)
	answer, ok := known.Principals[arn]
	if !ok {
		t.Fatalf("no answer for %s in %v", arn, known)
	}
	return answer
}

func (w *world) lookupAll(t *testing.T, budget time.Duration, arns ...string) validate.IAM {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), budget)
	defer cancel()
	return w.Lookup(ctx, parse(t, arns...))
}

func parse(t *testing.T, arns ...string) []awsauth.ARN {
	t.Helper()
	var parsed []awsauth.ARN
	for _, text := range arns {
		arn, err := awsauth.ParseARN(text)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, arn)
	}
	return parsed
}

// counts checks how many cache hits and how many lookups with each result the recorder has counted.
func (w *world) counts(t *testing.T, hits int, want map[string]int) {
	t.Helper()
	got, gotHits := w.recorder.counted()
	if !maps.Equal(got, want) || gotHits != hits {
		t.Errorf("counted %v and %d hits, want %v and %d", got, gotHits, want, hits)
	}
}

var (
	exists  = validate.Lookup{Existence: validate.Exists}
	missing = validate.Lookup{Existence: validate.Missing}
)

func instead(arn string) validate.Lookup {
	return validate.Lookup{Existence: validate.Missing, Instead: arn}
}

func unknown(reason string) validate.Lookup {
	return validate.Lookup{Existence: validate.Unknown, Reason: reason}
}

func is(t *testing.T, got, want validate.Lookup) {
	t.Helper()
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func names(calls []iamtest.Call, parameter string) []string {
	var got []string
	for _, c := range calls {
		got = append(got, c.Form.Get(parameter))
	}
	return slices.Sorted(slices.Values(got))
}

// newTLSProxy returns the URL of a TLS server that passes requests on to s. The certificate of this TLS server is not trusted.
func newTLSProxy(t *testing.T, s *iamtest.Server) string {
	t.Helper()
	server := httptest.NewUnstartedServer(s)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}
