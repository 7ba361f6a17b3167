package authenticator

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"sync"
	"unsafe"

	"github.com/prometheus/client_golang/prometheus"

	"sigs.k8s.io/aws-iam-authenticator/pkg/config"
	"sigs.k8s.io/aws-iam-authenticator/pkg/mapper"
	"sigs.k8s.io/aws-iam-authenticator/pkg/mapper/dynamicfile"
	"sigs.k8s.io/aws-iam-authenticator/pkg/metrics"
	"sigs.k8s.io/aws-iam-authenticator/pkg/token"
)

// The orders in which the authenticator can ask its backends, as values of its setting backendMode. The backend
// EKSConfigMap holds aws-auth, and DynamicFile holds access entries.
const (
	OnlyAWSAuth  = "EKSConfigMap"             // authentication mode CONFIG_MAP
	OnlyEntries  = "DynamicFile"              // authentication mode API
	EntriesFirst = "DynamicFile EKSConfigMap" // authentication mode API_AND_CONFIG_MAP
	AWSAuthFirst = "EKSConfigMap DynamicFile" // no authentication mode of EKS has this order
)

// The sources of a login.
const (
	fromEntries     = "access entry"
	fromMapRoles    = "mapRoles"
	fromMapUsers    = "mapUsers"
	fromMapAccounts = "mapAccounts"
)

// Orders returns every order.
func Orders() []string { return []string{OnlyAWSAuth, OnlyEntries, EntriesFirst, AWSAuthFirst} }

// Sources runs the backends of both sources of access: aws-auth and access entries. [Sources.Logins] asks the backends in
// a given order.
type Sources struct {
	*Authenticator

	entries  *dynamicfile.DynamicFileMapper
	backends map[string][]mapper.Mapper
	handlers map[string]unsafe.Pointer
}

// initMetrics makes the metrics that the DynamicFile backend counts.
var initMetrics = sync.OnceFunc(func() { metrics.InitMetrics(prometheus.NewRegistry()) })

// NewSources starts both backends. They have read nothing yet. The DynamicFile backend matches callers by their unique
// ids, as EKS does.
func NewSources() (*Sources, error) {
	initMetrics()
	a, err := New()
	if err != nil {
		return nil, err
	}
	s := &Sources{Authenticator: a, backends: make(map[string][]mapper.Mapper), handlers: make(map[string]unsafe.Pointer)}
	if s.entries, err = dynamicfile.NewDynamicFileMapper(config.Config{DynamicFileUserIDStrict: true}); err != nil {
		return nil, fmt.Errorf("make the backend of the access entries: %w", err)
	}
	for _, order := range Orders() {
		for name := range strings.FieldsSeq(order) {
			backend := mapper.Mapper(a.mapper)
			if name == mapper.ModeDynamicFile {
				backend = s.entries
			}
			s.backends[order] = append(s.backends[order], backend)
		}
		if s.handlers[order], err = newHandler(verifier{}, s.backends[order]...); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Entry is an access entry. ARN may have the path of a role.
type Entry struct {
	ARN, Username string
	Groups        []string
}

// LoadEntries replaces the access entries, as a change of the dynamic file does.
func (s *Sources) LoadEntries(entries []Entry) error {
	var data dynamicfile.DynamicFileData
	for _, e := range entries {
		if strings.Contains(e.ARN, ":role/") {
			data.RoleMappings = append(data.RoleMappings, config.RoleMapping{RoleARN: e.ARN, UserId: UniqueID(e.ARN), Username: e.Username, Groups: e.Groups})
		} else {
			data.UserMappings = append(data.UserMappings, config.UserMapping{UserARN: e.ARN, UserId: UniqueID(e.ARN), Username: e.Username, Groups: e.Groups})
		}
	}
	text, err := json.Marshal(data)
	if err == nil {
		err = s.entries.CallBackForFileLoad(text)
	}
	if err != nil {
		return fmt.Errorf("load the access entries: %w", err)
	}
	return nil
}

// UniqueID returns a unique id for the principal with an ARN. IAM compares names without case, and the path of a role
// isn't part of its identity, so the id depends on neither.
func UniqueID(arn string) string {
	arn = strings.ToLower(arn)
	if head, path, ok := strings.Cut(arn, ":role/"); ok {
		arn = head + ":role/" + path[strings.LastIndexByte(path, '/')+1:]
	}
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(arn)) // a hash has no errors
	return fmt.Sprintf("AROA%016X", hash.Sum64())
}

// Logins returns every login that the authenticator may give a caller if it asks its backends in the given order. A refusal
// is the zero Login. source names the source that maps the caller, even if the authenticator then refuses the caller,
// because it can't render a template. source is empty if no source maps the caller.
func (s *Sources) Logins(order, callerARN string) (source string, logins []Login) {
	identity, err := identityOf(callerARN)
	if err != nil {
		return "", []Login{{}}
	}
	identity.UserID = UniqueID(identity.CanonicalARN)
	source = s.source(order, identity)
	tries := 1
	if (source == fromMapRoles || source == fromMapUsers) && s.ambiguous(identity.CanonicalARN) {
		tries += s.tries()
	}
	for range tries {
		l := Login{OK: true}
		if l.Username, l.Groups, err = doMapping(s.handlers[order], context.Background(), identity); err != nil {
			l = Login{}
		}
		if !slices.ContainsFunc(logins, l.Equal) {
			logins = append(logins, l)
		}
	}
	return source, logins
}

// source returns the source that maps a caller, or "". It asks the backends itself, because doMapping doesn't say which of
// them maps the caller.
func (s *Sources) source(order string, identity *token.Identity) string {
	for _, backend := range s.backends[order] {
		if _, err := backend.Map(identity); err == nil {
			if backend == s.entries {
				return fromEntries
			}
			if _, err := s.mapper.RoleMapping(strings.ToLower(identity.CanonicalARN)); err == nil {
				return fromMapRoles
			}
			return fromMapUsers
		}
		if backend.IsAccountAllowed(identity.AccountID) {
			return fromMapAccounts
		}
	}
	return ""
}

// Equal reports whether two logins are the same.
func (l Login) Equal(other Login) bool {
	return l.OK == other.OK && l.Username == other.Username && slices.Equal(l.Groups, other.Groups)
}
