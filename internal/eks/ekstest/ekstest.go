// Package ekstest provides a server that imitates the EKS API, so that tests need no AWS account. The server has one cluster. It answers
// calls about this cluster's access entries in the wire format of the AWS SDK, and refuses the changes that EKS refuses. It doesn't check
// signatures.
package ekstest

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
)

// Name is the name of the server's only cluster.
const Name = "prod"

// Answer writes the response to one call.
type Answer func(w http.ResponseWriter, r *http.Request)

// Server is a test server for the EKS API of one region.
type Server struct {
	URL string

	server *httptest.Server

	mu      sync.Mutex
	mode    access.Mode
	entries []access.AccessEntry
	ca      []byte            // in PEM
	fields  map[string]any    // see SetFields
	answers map[string]Answer // by action; see Server.Answer
	calls   map[string]int    // number of calls by action
	done    chan struct{}     // closed by Close

	principals map[string]bool // see SetPrincipals
	now        time.Time       // the creation time of new access entries
}

// Start starts a server. The caller must close it.
func Start() *Server {
	s := &Server{answers: make(map[string]Answer), calls: make(map[string]int), done: make(chan struct{}), now: created}
	mux := http.NewServeMux()
	for pattern, call := range map[string]Answer{
		"GET /clusters":                                                s.listClusters,
		"GET /clusters/{cluster}":                                      s.describeCluster,
		"GET /clusters/{cluster}/access-entries":                       s.listAccessEntries,
		"GET /clusters/{cluster}/access-entries/{arn}":                 s.describeAccessEntry,
		"GET /clusters/{cluster}/access-entries/{arn}/access-policies": s.listAssociatedAccessPolicies,

		"POST /clusters/{cluster}/access-entries":                       s.createAccessEntry,
		"POST /clusters/{cluster}/access-entries/{arn}/access-policies": s.associateAccessPolicy,
		"DELETE /clusters/{cluster}/access-entries/{arn}":               s.deleteAccessEntry,
		"GET /access-policies":                                          s.listAccessPolicies,
	} {
		mux.HandleFunc(pattern, call)
	}
	s.server = httptest.NewServer(mux)
	s.URL = s.server.URL
	return s
}

// Close ends all calls and stops the server.
func (s *Server) Close() {
	close(s.done)
	s.server.Close()
}

// New starts a server for a test, and sets the environment variables that make the AWS SDK call it.
func New(t *testing.T) *Server {
	t.Helper()
	s := Start()
	t.Cleanup(s.Close)
	for name, value := range Environ(s) {
		t.Setenv(name, value)
	}
	return s
}

// Environ returns the environment variables that make the AWS SDK call the server.
func Environ(s *Server) map[string]string {
	return map[string]string{ //nolint:gosec // the key is the one of the AWS documentation
		"AWS_ENDPOINT_URL_EKS": s.URL, "AWS_REGION": "eu-west-1", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "not-a-secret",
	}
}

// Set sets the authentication mode and the access entries of the cluster.
func (s *Server) Set(mode access.Mode, entries ...access.AccessEntry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mode, s.entries = mode, entries
}

// SetCA sets the CA of the cluster, in PEM. Until a test calls SetCA, DescribeCluster returns no CA, as EKS does while it creates a
// cluster.
func (s *Server) SetCA(pem []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ca = pem
}

// SetFields sets fields of the cluster in the response to DescribeCluster, such as endpoint or status. They replace the usual values.
func (s *Server) SetFields(fields map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fields = fields
}

// Answer replaces the server's answer to an action, such as DescribeCluster. A nil Answer restores the original one.
func (s *Server) Answer(action string, a Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[action] = a
}

// Calls returns how often an action was called.
func (s *Server) Calls(action string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[action]
}

// Error returns an answer with an error in the wire format of EKS.
func Error(status int, code, message string) Answer {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Amzn-Errortype", code)
		write(w, status, map[string]string{"message": message})
	}
}

// AccessDenied returns the answer to a caller without the permission for an action. The text was recorded from AWS.
func AccessDenied(action string) Answer {
	return Error(http.StatusForbidden, "AccessDeniedException", "User: arn:aws:sts::111122223333:assumed-role/guard/x is not authorized to perform: eks:"+action)
}

// Throttled returns the answer to too many calls. The text was recorded from AWS.
func Throttled() Answer {
	return Error(http.StatusTooManyRequests, "ThrottlingException", "Rate exceeded")
}

// Hang returns an answer that never responds. It ends when the server closes or when the client cancels the call.
func (s *Server) Hang() Answer {
	return func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-s.done:
		case <-r.Context().Done():
		}
	}
}

// begin counts a call and reports whether the caller must respond. If it returns false, it has already responded: with the Answer that a
// test set, or with an error because the cluster doesn't exist.
func (s *Server) begin(action string, w http.ResponseWriter, r *http.Request) bool {
	switch {
	case s.answered(action, w, r):
		return false
	case r.PathValue("cluster") != Name:
		notFound("No cluster found for name: "+r.PathValue("cluster")+".")(w, r)
		return false
	}
	return true
}

// answered counts a call. If a test set an Answer for the action, answered responds with this Answer and returns true.
func (s *Server) answered(action string, w http.ResponseWriter, r *http.Request) bool {
	s.mu.Lock()
	s.calls[action]++
	answer := s.answers[action]
	s.mu.Unlock()
	if answer == nil {
		return false
	}
	answer(w, r)
	return true
}

// content returns the mode and the access entries.
func (s *Server) content() (access.Mode, []access.AccessEntry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mode, slices.Clone(s.entries)
}

func (s *Server) listClusters(w http.ResponseWriter, r *http.Request) {
	if !s.answered("ListClusters", w, r) {
		write(w, http.StatusOK, map[string]any{"clusters": []string{Name}})
	}
}

func (s *Server) certificates() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ca
}

func notFound(message string) Answer {
	return Error(http.StatusNotFound, "ResourceNotFoundException", message)
}

func (s *Server) describeCluster(w http.ResponseWriter, r *http.Request) {
	if s.begin("DescribeCluster", w, r) {
		mode, _ := s.content()
		cluster := map[string]any{
			"name": Name, "arn": "arn:aws:eks:eu-west-1:" + Account + ":cluster/" + Name, "status": "ACTIVE",
			"endpoint": "https://EXAMPLE0123456789.gr7.eu-west-1.eks.amazonaws.com", "accessConfig": map[string]any{"authenticationMode": mode},
		}
		if ca := s.certificates(); ca != nil {
			cluster["certificateAuthority"] = map[string]any{"data": base64.StdEncoding.EncodeToString(ca)}
		}
		s.mu.Lock()
		maps.Copy(cluster, s.fields)
		s.mu.Unlock()
		write(w, http.StatusOK, map[string]any{"cluster": cluster})
	}
}

// pageSize is the maximum number of access entries on a page. The server ignores the page size of the request.
const pageSize = 100

func (s *Server) listAccessEntries(w http.ResponseWriter, r *http.Request) {
	if !s.begin("ListAccessEntries", w, r) {
		return
	}
	_, entries := s.content()
	start, _ := strconv.Atoi(r.URL.Query().Get("nextToken"))
	end := min(start+pageSize, len(entries))
	page := map[string]any{"accessEntries": []string{}}
	var arns []string
	for _, e := range entries[start:end] {
		arns = append(arns, e.PrincipalARN)
	}
	if arns != nil {
		page["accessEntries"] = arns
	}
	if end < len(entries) {
		page["nextToken"] = strconv.Itoa(end)
	}
	write(w, http.StatusOK, page)
}

func (s *Server) describeAccessEntry(w http.ResponseWriter, r *http.Request) {
	if e := s.entry("DescribeAccessEntry", w, r); e != nil {
		write(w, http.StatusOK, map[string]any{"accessEntry": described(e)})
	}
}

// described returns an access entry in the format of the API's response.
func described(e *access.AccessEntry) map[string]any {
	return map[string]any{
		"clusterName": Name, "principalArn": e.PrincipalARN, "type": e.Type, "username": e.Username,
		"kubernetesGroups": e.Groups, "createdAt": float64(e.Created.UnixMilli()) / 1000,
	}
}

func (s *Server) listAssociatedAccessPolicies(w http.ResponseWriter, r *http.Request) {
	e := s.entry("ListAssociatedAccessPolicies", w, r)
	if e == nil {
		return
	}
	policies := []any{}
	for _, p := range e.Policies {
		policies = append(policies, map[string]any{"policyArn": p.ARN, "accessScope": map[string]any{"type": p.Scope, "namespaces": p.Namespaces}})
	}
	write(w, http.StatusOK, map[string]any{"clusterName": Name, "principalArn": e.PrincipalARN, "associatedAccessPolicies": policies})
}

// entry counts a call and returns the access entry that the call names. If it returns nil, it has already responded.
func (s *Server) entry(action string, w http.ResponseWriter, r *http.Request) *access.AccessEntry {
	if !s.begin(action, w, r) {
		return nil
	}
	_, entries := s.content()
	arn, err := url.PathUnescape(r.PathValue("arn"))
	i := slices.IndexFunc(entries, func(e access.AccessEntry) bool { return strings.EqualFold(e.PrincipalARN, arn) })
	if err != nil || i < 0 {
		notFound("The specified principalArn could not be found. You can view your access entries with the 'list-access-entries' command.")(w, r)
		return nil
	}
	return &entries[i]
}

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Amzn-Requestid", "b25f48e8-84fd-11e6-80d9-574e0c4664cb")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) //nolint:errchkjson // the bodies are maps of texts
}

// Entry returns an access entry of type STANDARD that has access policies for the whole cluster. policies are the names
// of these access policies.
func Entry(arn string, policies ...string) access.AccessEntry {
	e := access.AccessEntry{PrincipalARN: arn, Type: "STANDARD", Username: arn, Created: created}
	for _, name := range policies {
		e.Policies = append(e.Policies, access.AccessPolicy{ARN: "arn:aws:eks::aws:cluster-access-policy/" + name, Scope: access.ScopeCluster})
	}
	return e
}
