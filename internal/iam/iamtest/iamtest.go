// Package iamtest provides a server that imitates IAM and STS. It answers the calls of the guard as AWS documents them. Tests can
// replace an answer, for example by an error.
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

// The initial credentials and their identity.
const (
	Account      = "111122223333"
	Identity     = "arn:aws:sts::111122223333:assumed-role/awsauth-guard/session"
	AccessKey    = "AKIAGUARDGUARDGUARD1"
	SecretKey    = "secretsecretsecretsecretsecretsecretsecr"
	SessionToken = "tokentokentoken"
)

// Answer writes the response to one call. A nil Answer means that the server responds like AWS.
type Answer func(w http.ResponseWriter, r *http.Request)

// Call is a received call.
type Call struct {
	Action    string
	AccessKey string // the access key in the signature; empty for an unsigned call
	Form      url.Values
}

// Server imitates IAM and STS. It allows concurrent calls.
type Server struct {
	URL string
	// TokenFile is the path of a service account token.
	TokenFile string

	server *httptest.Server
	dir    string
	done   chan struct{}

	mu        sync.Mutex
	clock     time.Duration // offset from the real clock
	exactCase bool
	pageSize  int
	roles     map[string]string    // unique ids by ARN
	users     map[string]string    // unique ids by ARN
	created   map[string]time.Time // creation times by ARN; a principal without one was created in 2024
	callers   map[string]string    // identities by access key
	trusted   map[string]string    // external ids by the ARN of the role
	answers   map[string][]Answer  // by action
	calls     []Call
	issued    int // number of unique ids and access keys that the server has created
}

// New starts a server and closes it when the test ends. TokenFile holds a token that the server accepts.
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

// NewInProcess returns a server that has no port. [Server.Do] sends requests to it. Tests with a fake clock (testing/synctest) need
// this, because a fake clock stops while a test waits for the network.
func NewInProcess() *Server { return newServer("") }

// Start starts a server. dir is an empty directory that only this server uses. The server has the role of [Identity] and no other
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
		created:  make(map[string]time.Time),
		callers:  map[string]string{AccessKey: Identity},
		trusted:  make(map[string]string),
		answers:  make(map[string][]Answer),
	}
	s.Add("arn:aws:iam::" + Account + ":role/awsauth-guard")
	return s
}

// Close stops the server and ends its hanging calls.
func (s *Server) Close() {
	close(s.done)
	s.server.Close()
}

// Environ returns the environment variables with which the AWS SDK calls this server and uses [AccessKey].
func (s *Server) Environ() []string {
	return []string{
		// Not AWS_ENDPOINT_URL: the SDK ignores it when it gets credentials for a web identity.
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

// Setenv sets the variables of Environ in this process and removes all other AWS variables. The end of the test restores them.
func (s *Server) Setenv(t *testing.T) {
	t.Helper()
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "") // restores the variable after the test
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

// Add creates roles and users. The ARNs contain the paths.
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

// Create creates a role or user with a creation time. It replaces a role or user with the same ARN.
func (s *Server) Create(arn string, at time.Time) {
	s.Add(arn)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.created[arn] = at
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

// Caller sets the identity that STS returns for an access key.
func (s *Server) Caller(accessKey, identity string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.callers[accessKey] = identity
}

// Trust lets every caller assume a role with this external id. The external id may be empty.
func (s *Server) Trust(role, externalID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trusted[role] = externalID
}

// ExactCase makes IAM's lookups case-sensitive.
func (s *Server) ExactCase() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.exactCase = true
}

// PageSize sets the maximum number of principals on a page of a list. The default is 100.
func (s *Server) PageSize(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pageSize = n
}

// Ahead sets the server's clock ahead of the real clock. Like AWS, the server refuses signatures older than five minutes. So with a
// larger offset every signed call fails until the SDK uses the server's time.
func (s *Server) Ahead(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock = d
}

// Answer sets the answers to the next calls of an action. The server repeats the last answer. If there are no answers, the server
// responds like AWS.
func (s *Server) Answer(action string, answers ...Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[action] = answers
}

// Calls returns the received calls of an action, including retries.
func (s *Server) Calls(action string) []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.calls), func(c Call) bool { return c.Action != action })
}

// Count returns the number of received calls of these actions, including retries.
func (s *Server) Count(action string, others ...string) int {
	n := len(s.Calls(action))
	for _, other := range others {
		n += len(s.Calls(other))
	}
	return n
}

func isUser(arn string) bool { return strings.Contains(arn, ":user/") }
