// Package iamtest is a stand-in for IAM's and STS's query protocol: there is no real IAM to be had in
// a test. It answers the calls that the guard makes as AWS documents them, and can be told to fail.
package iamtest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// The credentials that the server knows from the beginning, and whose they are.
const (
	Account      = "111122223333"
	Identity     = "arn:aws:sts::111122223333:assumed-role/awsauth-guard/session"
	AccessKey    = "AKIAGUARDGUARDGUARD1"
	SecretKey    = "secretsecretsecretsecretsecretsecretsecr"
	SessionToken = "tokentokentoken"
)

// Answer answers one call. A nil Answer stands for what AWS would say.
type Answer func(w http.ResponseWriter, r *http.Request)

// Call is one call that the server got.
type Call struct {
	Action    string
	AccessKey string // by which it is signed; empty where it is not
	Form      url.Values
}

// Server is both services. Its methods may be called concurrently.
type Server struct {
	URL string
	// TokenFile holds a token as Kubernetes gives one to a pod.
	TokenFile string

	server *httptest.Server
	dir    string
	done   chan struct{}

	mu        sync.Mutex
	clock     time.Duration // how far it is ahead
	exactCase bool
	pageSize  int
	roles     map[string]string // ids by ARN
	users     map[string]string
	callers   map[string]string // identities by access key
	trusted   map[string]string // external ids by the role that may be assumed
	answers   map[string][]Answer
	calls     []Call
	issued    int
}

// New starts a server that ends with the test.
func New(tb testing.TB) *Server {
	tb.Helper()
	s := Start(tb.TempDir())
	tb.Cleanup(s.Close)
	s.TokenFile = filepath.Join(s.dir, "token")
	if err := os.WriteFile(s.TokenFile, []byte(SessionToken), 0o600); err != nil {
		tb.Fatal(err)
	}
	return s
}

// NewInProcess returns a server without a network, whose requests go through [Server.Do]. Tests with a fake clock
// (testing/synctest) need it.
func NewInProcess() *Server { return newServer("") }

// Start starts a server, for which dir is empty and stays so. It has the role of [Identity] and no other
// principal.
func Start(dir string) *Server {
	s := newServer(dir)
	s.server = httptest.NewServer(s)
	s.URL = s.server.URL
	return s
}

func newServer(dir string) *Server {
	s := &Server{
		dir:      dir,
		done:     make(chan struct{}),
		pageSize: 100,
		roles:    make(map[string]string),
		users:    make(map[string]string),
		callers:  map[string]string{AccessKey: Identity},
		trusted:  make(map[string]string),
		answers:  make(map[string][]Answer),
	}
	s.Add("arn:aws:iam::" + Account + ":role/awsauth-guard")
	return s
}

// Close ends it, and what hangs in it.
func (s *Server) Close() {
	close(s.done)
	s.server.Close()
}

// Environ returns the variables that make a process ask this server, with [AccessKey], and nobody else.
func (s *Server) Environ() []string {
	return []string{
		// Not AWS_ENDPOINT_URL: the SDK does not heed it when it gets credentials of a web identity.
		"AWS_ENDPOINT_URL_IAM=" + s.URL,
		"AWS_ENDPOINT_URL_STS=" + s.URL,
		"AWS_REGION=eu-central-1",
		"AWS_ACCESS_KEY_ID=" + AccessKey,
		"AWS_SECRET_ACCESS_KEY=" + SecretKey,
		"AWS_SESSION_TOKEN=" + SessionToken,
		"AWS_EC2_METADATA_DISABLED=true",
		"AWS_CONFIG_FILE=" + filepath.Join(s.dir, "config"),
		"AWS_SHARED_CREDENTIALS_FILE=" + filepath.Join(s.dir, "credentials"),
		"NO_PROXY=127.0.0.1",
	}
}

// Setenv sets the variables of Environ in this process, and unsets every other one of AWS.
func (s *Server) Setenv(t *testing.T) {
	t.Helper()
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "") // so that it is set again afterwards
			if err := os.Unsetenv(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, pair := range s.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		t.Setenv(name, value)
	}
}

// Add makes roles and users, by their ARNs with path.
func (s *Server) Add(arns ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, arn := range arns {
		s.issued++
		if isUser(arn) {
			s.users[arn] = fmt.Sprintf("AIDA%017d", s.issued)
		} else {
			s.roles[arn] = fmt.Sprintf("AROA%017d", s.issued)
		}
	}
}

// Remove removes roles and users.
func (s *Server) Remove(arns ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, arn := range arns {
		delete(s.roles, arn)
		delete(s.users, arn)
	}
}

// Caller says whose an access key is.
func (s *Server) Caller(accessKey, identity string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.callers[accessKey] = identity
}

// Trust lets a role be assumed with the external id, which may be empty.
func (s *Server) Trust(role, externalID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trusted[role] = externalID
}

// ExactCase has IAM find names only in the case in which they were made.
func (s *Server) ExactCase() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.exactCase = true
}

// PageSize sets how many principals a list has on a page at most; it is 100 otherwise.
func (s *Server) PageSize(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pageSize = n
}

// Ahead sets the server's clock ahead of the real one. Signatures older than five minutes are refused.
func (s *Server) Ahead(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock = d
}

// Answer sets what the next calls of an action are answered with, the last one for all that follow.
// Without answers it is what AWS would say.
func (s *Server) Answer(action string, answers ...Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[action] = answers
}

// Calls returns the calls of an action, retries included.
func (s *Server) Calls(action string) []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.calls), func(c Call) bool { return c.Action != action })
}

// Count returns how many calls of the actions there were.
func (s *Server) Count(action string, others ...string) int {
	n := len(s.Calls(action))
	for _, other := range others {
		n += len(s.Calls(other))
	}
	return n
}

func isUser(arn string) bool { return strings.Contains(arn, ":user/") }
