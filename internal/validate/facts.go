package validate

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// Operation is what is done to the object, as admission.k8s.io/v1 names it.
type Operation string

// The operations. Document stands for no operation at all: one version is judged by itself.
const (
	Document Operation = ""
	Create   Operation = "CREATE"
	Update   Operation = "UPDATE"
	Delete   Operation = "DELETE"
)

// Change is a request to change aws-auth. Old is nil for Create and Document, New for Delete; rules see
// it in the Delete that an update comes to, see [Change.CompletesDeletion].
type Change struct {
	Operation Operation
	Old, New  *awsauth.Object
	Requester Requester
	// Now is the time of the request; a break-glass value for a deletion is bound to it.
	Now time.Time
	// IAM is what IAM knows of the changed principals; see [Reading].
	IAM IAM
	// Cache holds sections that were decoded for earlier changes; nil for none.
	Cache *awsauth.Cache
	// Observed: the API server asks on the path that never refuses.
	Observed bool
	// Restore: the guard itself restores a version.
	Restore bool
	// Replaced are versions that the old one has recently replaced, the newest first. The API server caches
	// token reviews, so that a requester may still be logged in by an entry of one of them.
	Replaced []*awsauth.Object
}

// CompletesDeletion reports whether an update deletes the object: somebody has deleted it before, and the
// update leaves it without finalizers (kubernetes v1.36.3, apiserver,
// pkg/registry/generic/registry/store.go, ShouldDeleteDuringUpdate).
func (c Change) CompletesDeletion() bool {
	return c.Operation == Update && c.New != nil && c.New.Deleting && len(c.New.Finalizers) == 0
}

// sets returns the value of an annotation if this change sets or changes it.
func (c Change) sets(annotation string) string {
	if c.New == nil || c.Operation == Document {
		return ""
	}
	value := strings.TrimSpace(c.New.Annotations[annotation])
	if c.Old != nil && value == strings.TrimSpace(c.Old.Annotations[annotation]) {
		return ""
	}
	return value
}

// Requester is who asks for a change, as the API server's userInfo tells it.
type Requester struct {
	Username string
	Groups   []string
	Extra    map[string][]string
}

// IsEKS reports whether EKS itself asks. Its users' names begin with eks: (EKS user guide, "Default
// Kubernetes roles and users"), and it must always be able to write aws-auth: on a new cluster it
// does so before the first node exists.
func (r Requester) IsEKS() bool { return strings.HasPrefix(r.Username, "eks:") }

// extra returns the first value of an extra field. Keys are compared without case: they arrive
// in lower case under impersonation.
func (r Requester) extra(key string) string {
	if values := r.Extra[key]; len(values) > 0 {
		return values[0]
	}
	for _, k := range slices.Sorted(maps.Keys(r.Extra)) {
		if strings.EqualFold(k, key) && len(r.Extra[k]) > 0 {
			return r.Extra[k][0]
		}
	}
	return ""
}

// ARN is the requester's ARN as the authenticator put it into userInfo.extra, or empty
// (aws-iam-authenticator v0.7.18, pkg/server/server.go, authenticateEndpoint).
func (r Requester) ARN() string {
	if arn := r.extra("canonicalArn"); arn != "" {
		return arn
	}
	return r.extra("arn")
}

// caller is what templates are rendered with for the requester. Where the request does not carry the
// name of a role's session, it is that in the session's ARN, or not known.
func (r Requester) caller() awsauth.Caller {
	c := awsauth.Caller{
		AccountID:   awsauth.AccountOf(r.ARN()),
		SessionName: r.extra("sessionName"),
		AccessKeyID: r.extra("accessKeyId"),
	}
	if c.SessionName != "" {
		return c
	}
	if arn, err := awsauth.ParseARN(r.extra("arn")); err == nil {
		if _, ok := arn.SessionRole(); ok {
			c.SessionName = arn.Name()
		}
	}
	if arn, err := awsauth.ParseARN(r.ARN()); err == nil && c.SessionName == "" {
		_, session := arn.SessionRole()
		c.SessionUnknown = session || arn.IsRole()
	}
	return c
}

// Policy is what the operator wants protected. The zero Policy protects nobody by name and
// enforces every rule at its own severity.
type Policy struct {
	Mode      Mode
	Protected []access.Protected
	// AdminGroups are the groups whose members can repair aws-auth; none means system:masters.
	AdminGroups []string
	// Rules gives rules, by id, another severity than their own.
	Rules map[string]Severity
	// AccessEntries are the ARNs of principals that EKS access entries let in. No rule of the
	// change counts them as lost. A role's path makes no difference.
	AccessEntries []string
	// OverrideGroups are the groups whose members may break the glass; none means system:masters.
	OverrideGroups []string
	// BypassGroup is the group whose members the API server does not ask the guard about; empty means
	// [DefaultBypassGroup].
	BypassGroup string
	// IAMMode says what becomes of a changed principal that IAM does not have: Deny refuses the change, Warn
	// warns, and Off or nothing does not ask.
	IAMMode Severity
}

// Mode says whether the guard refuses changes at all.
type Mode string

// Enforce refuses what rules deny. WarnMode refuses nothing and counts what it would have refused.
// The empty Mode enforces.
const (
	Enforce  Mode = "enforce"
	WarnMode Mode = "warn"
)

// severity is the severity that the policy gives a rule.
func (p Policy) severity(r *Rule) Severity {
	if s, ok := p.Rules[r.ID]; ok {
		return s
	}
	return r.Severity
}

func (p Policy) adminGroups() []string { return access.OrMasters(p.AdminGroups) }

func (p Policy) overrideGroups() []string { return access.OrMasters(p.OverrideGroups) }

// DefaultBypassGroup is the bypass group of the chart.
const DefaultBypassGroup = "awsauth-guard:bypass" //nolint:gosec // a group's name is no secret

func (p Policy) bypassGroup() string { return cmp.Or(p.BypassGroup, DefaultBypassGroup) }
