package iamtest

import (
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// CredentialsPath is the path at which the agent of EKS Pod Identity returns credentials.
const CredentialsPath = "/v1/credentials"

// Latency is the minimum time before the server answers, and AWS needs at least as long. smithy-go v1.28.8 may not have
// stored its request yet if an answer arrives earlier. smithy-go then closes the connection, and the SDK repeats the
// call.
const Latency = 2 * time.Millisecond

var credential = regexp.MustCompile(`Credential=([^/]+)/[^/]+/[^/]+/(iam|sts)/aws4_request`)

// ServeHTTP answers one call.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == CredentialsPath {
		s.podIdentity(w, r)
		return
	}
	r.Body = io.NopCloser(io.LimitReader(r.Body, 1<<20))
	if err := r.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer := s.begin(r)
	time.Sleep(Latency)
	answer(w, r)
}

// begin records a call and returns the answer to it.
func (s *Server) begin(r *http.Request) Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	action := r.PostForm.Get("Action")
	s.calls = append(s.calls, Call{Action: action, AccessKey: accessKey(r), Form: r.PostForm})
	answers := s.answers[action]
	if len(answers) == 0 {
		return s.ordinary
	}
	if len(answers) > 1 {
		s.answers[action] = answers[1:]
	}
	if answers[0] == nil {
		return s.ordinary
	}
	return answers[0]
}

func accessKey(r *http.Request) string {
	if found := credential.FindStringSubmatch(r.Header.Get("Authorization")); found != nil {
		return found[1]
	}
	return ""
}

// ordinary responds like AWS.
func (s *Server) ordinary(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now().Add(s.clock) //nolint:forbidigo // the SDK signs with the real time
	w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
	w.Header().Set("X-Amzn-Requestid", requestID)
	action, form := r.PostForm.Get("Action"), r.PostForm
	if action == "AssumeRoleWithWebIdentity" { // an unsigned call
		if form.Get("WebIdentityToken") != SessionToken {
			Error(http.StatusBadRequest, "InvalidIdentityToken", "No OpenIDConnect provider found in your account")(w, r)
			return
		}
		s.assume(w, action, form.Get("RoleArn"), form.Get("RoleSessionName"), now)
		return
	}
	caller, ok := s.callers[accessKey(r)]
	signed, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	switch {
	case !ok:
		Error(http.StatusForbidden, "InvalidClientTokenId", "The security token included in the request is invalid.")(w, r)
	case err != nil || now.Sub(signed).Abs() > 5*time.Minute:
		Error(http.StatusForbidden, "SignatureDoesNotMatch", "Signature expired: "+r.Header.Get("X-Amz-Date")+" is now earlier than the server's clock allows")(w, r)
	case action == "GetCallerIdentity":
		s.identity(w, caller)
	case action == "AssumeRole":
		if externalID, ok := s.trusted[form.Get("RoleArn")]; !ok || externalID != form.Get("ExternalId") {
			AccessDenied()(w, r)
			return
		}
		s.assume(w, action, form.Get("RoleArn"), form.Get("RoleSessionName"), now)
	case action == "GetRole":
		s.get(w, r, caller, "Role", form.Get("RoleName"))
	case action == "GetUser":
		s.get(w, r, caller, "User", form.Get("UserName"))
	case action == "ListRoles":
		s.list(w, r, caller, "Role")
	case action == "ListUsers":
		s.list(w, r, caller, "User")
	default:
		Error(http.StatusBadRequest, "InvalidAction", "Could not find operation "+action)(w, r)
	}
}

func accountOf(arn string) string { return strings.Split(arn, ":")[4] }

func (s *Server) identity(w http.ResponseWriter, caller string) {
	writeXML(w, http.StatusOK, struct {
		XMLName   xml.Name `xml:"GetCallerIdentityResponse"`
		Namespace string   `xml:"xmlns,attr"`
		ARN       string   `xml:"GetCallerIdentityResult>Arn"`
		UserID    string   `xml:"GetCallerIdentityResult>UserId"`
		Account   string   `xml:"GetCallerIdentityResult>Account"`
		RequestID string   `xml:"ResponseMetadata>RequestId"`
	}{Namespace: stsNamespace, ARN: caller, UserID: "AROAGUARD:session", Account: accountOf(caller), RequestID: requestID})
}

// issue creates temporary credentials for a role, and returns their access key and identity.
func (s *Server) issue(role, session string) (accessKey, identity string) {
	s.issued++
	accessKey = fmt.Sprintf("ASIA%016d", s.issued)
	identity = strings.Replace(role[:strings.LastIndex(role, ":")], ":iam:", ":sts:", 1) + ":assumed-role/" + role[strings.LastIndex(role, "/")+1:] + "/" + session
	s.callers[accessKey] = identity
	return accessKey, identity
}

func (s *Server) assume(w http.ResponseWriter, action, role, session string, now time.Time) {
	key, identity := s.issue(role, session)
	type result struct {
		AccessKeyID string `xml:"Credentials>AccessKeyId"`
		SecretKey   string `xml:"Credentials>SecretAccessKey"`
		Token       string `xml:"Credentials>SessionToken"`
		Expiration  string `xml:"Credentials>Expiration"`
		ARN         string `xml:"AssumedRoleUser>Arn"`
		ID          string `xml:"AssumedRoleUser>AssumedRoleId"`
	}
	writeXML(w, http.StatusOK, struct {
		XMLName   xml.Name
		Namespace string `xml:"xmlns,attr"`
		Result    any
	}{xml.Name{Local: action + "Response"}, stsNamespace, struct {
		XMLName xml.Name
		result
	}{xml.Name{Local: action + "Result"}, result{
		AccessKeyID: key, SecretKey: SecretKey, Token: SessionToken,
		Expiration: now.Add(time.Hour).UTC().Format(time.RFC3339),
		ARN:        identity, ID: "AROAGUARD:" + session,
	}}})
}

// podIdentity answers like the agent of EKS Pod Identity. It returns credentials for the role of [Identity].
func (s *Server) podIdentity(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != SessionToken {
		http.Error(w, "the token is not valid", http.StatusUnauthorized)
		return
	}
	s.mu.Lock()
	key, _ := s.issue("arn:aws:iam::"+Account+":role/awsauth-guard", "pod")
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	expires := time.Now().Add(time.Hour).UTC().Format(time.RFC3339) //nolint:forbidigo // the SDK uses the real time
	_, _ = fmt.Fprintf(w, `{"AccessKeyId": %q, "SecretAccessKey": %q, "Token": %q, "AccountId": %q, "Expiration": %q}`,
		key, SecretKey, SessionToken, Account, expires)
}

// principal is a role or user in an answer.
type principal struct {
	XMLName    xml.Name
	Path       string
	RoleName   string `xml:",omitempty"`
	RoleID     string `xml:"RoleId,omitempty"`
	UserName   string `xml:",omitempty"`
	UserID     string `xml:"UserId,omitempty"`
	ARN        string `xml:"Arn"`
	CreateDate string
	Policy     string `xml:"AssumeRolePolicyDocument,omitempty"`
}

func newPrincipal(element, arn, id string) principal {
	_, resource, _ := strings.Cut(arn, "/")
	resource = "/" + resource
	i := strings.LastIndex(resource, "/") + 1
	p := principal{XMLName: xml.Name{Local: element}, Path: resource[:i], ARN: arn, CreateDate: "2024-01-02T03:04:05Z"}
	if isUser(arn) {
		p.UserName, p.UserID = resource[i:], id
	} else {
		p.RoleName, p.RoleID, p.Policy = resource[i:], id, "%7B%22Version%22%3A%222012-10-17%22%7D"
	}
	return p
}

func (p principal) name() string { return p.RoleName + p.UserName }

func (s *Server) ids(kind string) map[string]string {
	if kind == "User" {
		return s.users
	}
	return s.roles
}

func (s *Server) get(w http.ResponseWriter, r *http.Request, caller, kind, name string) {
	for arn, id := range s.ids(kind) { // at most one ARN has the name
		p := newPrincipal(kind, arn, id)
		if accountOf(arn) != accountOf(caller) || p.name() != name && (s.exactCase || !strings.EqualFold(p.name(), name)) {
			continue
		}
		if at, ok := s.created[arn]; ok {
			p.CreateDate = at.UTC().Format(time.RFC3339)
		}
		type result struct {
			XMLName   xml.Name
			Principal principal
		}
		writeXML(w, http.StatusOK, struct {
			XMLName   xml.Name
			Namespace string `xml:"xmlns,attr"`
			Result    result
			RequestID string `xml:"ResponseMetadata>RequestId"`
		}{xml.Name{Local: "Get" + kind + "Response"}, iamNamespace, result{xml.Name{Local: "Get" + kind + "Result"}, p}, requestID})
		return
	}
	Error(http.StatusNotFound, "NoSuchEntity", "The "+strings.ToLower(kind)+" with name "+name+" cannot be found.")(w, r)
}

func (s *Server) list(w http.ResponseWriter, r *http.Request, caller, kind string) {
	begin, _ := strconv.Atoi(r.PostForm.Get("Marker"))
	var found []principal
	for _, arn := range slices.Sorted(maps.Keys(s.ids(kind))) {
		p := newPrincipal("member", arn, s.ids(kind)[arn])
		if accountOf(arn) == accountOf(caller) && strings.HasPrefix(p.Path, r.PostForm.Get("PathPrefix")) {
			found = append(found, p)
		}
	}
	begin = min(begin, len(found))
	end := min(begin+s.pageSize, len(found))
	type members struct {
		XMLName xml.Name
		Members []principal
	}
	type result struct {
		XMLName     xml.Name
		Members     members
		IsTruncated bool
		Marker      string `xml:",omitempty"`
	}
	answer := result{XMLName: xml.Name{Local: "List" + kind + "sResult"}, Members: members{xml.Name{Local: kind + "s"}, found[begin:end]}}
	if end < len(found) {
		answer.IsTruncated, answer.Marker = true, strconv.Itoa(end)
	}
	writeXML(w, http.StatusOK, struct {
		XMLName   xml.Name
		Namespace string `xml:"xmlns,attr"`
		Result    result
		RequestID string `xml:"ResponseMetadata>RequestId"`
	}{xml.Name{Local: "List" + kind + "sResponse"}, iamNamespace, answer, requestID})
}
