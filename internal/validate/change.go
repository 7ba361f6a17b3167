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

// Operation is the operation of an AdmissionRequest, as admission.k8s.io/v1 names it.
type Operation string

// The operations. Document is not an operation of Kubernetes: a Change with it has no old version, and the rules
// evaluate its New alone.
const (
	Document Operation = ""
	Create   Operation = "CREATE"
	Update   Operation = "UPDATE"
	Delete   Operation = "DELETE"
)

// Change is a request to change aws-auth. Old is nil for Create and Document. New is nil for a delete request. [Evaluate] treats
// an update that completes a deletion as a Delete whose New is not nil; see [Change.CompletesDeletion].
type Change struct {
	Operation Operation
	Old, New  *awsauth.Object
	Requester Requester
	// Now is the time of the request. The guard compares the expiry in an annotation with it.
	Now time.Time
	// IAM holds the lookups of the changed principals in IAM; see [Evaluation].
	IAM IAM
	// Cache holds sections that were decoded for earlier changes. It may be nil.
	Cache *awsauth.Cache
	// Observed reports that the API server sent the review to the observing path, on which the guard refuses no change.
	Observed bool
	// Restore reports that the guard itself restores a version.
	Restore bool
	// Replaced holds the versions before Old, from the newest to the oldest. The API server caches token reviews, so a
	// requester may still be logged in through an entry of such a version.
	Replaced []*awsauth.Object
}

// CompletesDeletion reports whether an update deletes the object: the object was already marked as deleted, and
// the update removes its last finalizer (kubernetes v1.36.3, apiserver,
// pkg/registry/generic/registry/store.go, ShouldDeleteDuringUpdate).
func (c Change) CompletesDeletion() bool {
	return c.Operation == Update && c.New != nil && c.New.Deleting && len(c.New.Finalizers) == 0
}

// sets returns the value of an annotation if this change adds the annotation or changes its value. Otherwise, and for a version
// that is evaluated alone, sets returns "".
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

// Requester is the user that makes the request, from the userInfo of the AdmissionReview.
type Requester struct {
	Username string
	Groups   []string
	Extra    map[string][]string
	// BreakGlass is the API server's answer to whether the requester has the right break-glass on aws-auth.
	BreakGlass Right
}

// Right is the API server's answer to whether the requester has a right. It is empty if the guard did not ask.
type Right string

// The answers about a right.
const (
	RightGranted Right = "granted"
	RightDenied  Right = "denied"
	RightUnknown Right = "unknown" // the API server did not answer
)

// IsEKS reports whether EKS itself makes the request. The usernames of EKS begin with eks: (EKS user guide,
// "Default Kubernetes roles and users"). EKS must always be able to write aws-auth: on a new cluster it does
// so before the first node exists.
func (r Requester) IsEKS() bool { return strings.HasPrefix(r.Username, "eks:") }

// extra returns the first value of an extra field, or "". It compares keys ignoring case, because impersonation
// turns them into lower case.
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

// ARN returns the ARN of the requester's user or role. If userInfo.extra has only the ARN of a session, it returns that.
// It returns "" if userInfo.extra has no ARN. The authenticator writes both ARNs there (aws-iam-authenticator v0.7.18,
// pkg/server/server.go, authenticateEndpoint).
func (r Requester) ARN() string {
	if arn := r.extra("canonicalArn"); arn != "" {
		return arn
	}
	return r.extra("arn")
}

// caller returns the values with which the authenticator renders templates for the requester. If the request does not
// carry the session name, caller takes it from the session's ARN. If the requester is a role without a session's ARN,
// caller sets SessionUnknown.
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

// Policy is the part of the configuration that the rules need. The zero Policy has no protected principals and
// enforces every rule at its default severity.
type Policy struct {
	Mode      Mode
	Protected []access.Protected
	// AdminGroups are the groups whose members can repair aws-auth. An empty list means system:masters.
	AdminGroups []string
	// Rules maps rule ids to severities. Such a severity replaces the rule's own.
	Rules map[string]Severity
	// AccessEntries are the ARNs of principals for which the operator declares an EKS access entry. A role may be
	// written with or without its path. No rule counts the access of these principals as lost. If Cluster is set, the
	// guard ignores AccessEntries.
	AccessEntries []string
	// Cluster holds the cluster's authentication mode and access entries. It is nil if the guard doesn't know them.
	Cluster *access.Cluster
	// ClusterUnknown is the reason why the guard could not read Cluster. It is empty if the guard has read Cluster, or
	// if the configuration does not tell the guard to read it.
	ClusterUnknown string
	// OverrideGroups are the groups whose members may break the glass. An empty list means system:masters.
	OverrideGroups []string
	// OverridePrincipals are the ARNs of principals that may break the glass, in addition to the members of
	// OverrideGroups. A role may be written with or without its path.
	OverridePrincipals []string
	// OverrideByRight also allows requesters with the right break-glass on aws-auth to break the glass. The guard asks
	// the API server whether a requester has the right.
	OverrideByRight bool
	// BypassGroup is the group whose changes the API server sends only to the observing webhook, which refuses
	// nothing. Empty means [DefaultBypassGroup].
	BypassGroup string
	// IAMMode limits the severity of the finding that a changed principal does not exist in IAM: with Warn it is only a
	// warning. With Off or "" the guard does not ask IAM.
	IAMMode Severity
}

// Mode is the operator's choice between refusing changes and only warning about them.
type Mode string

// With Enforce, or an empty Mode, the guard refuses a change that a rule denies. With WarnMode it admits every change that
// it can decode, and records which rules would have refused the change.
const (
	Enforce  Mode = "enforce"
	WarnMode Mode = "warn"
)

// severity returns the severity that the policy gives a rule.
func (p Policy) severity(r *Rule) Severity {
	if s, ok := p.Rules[r.ID]; ok {
		return s
	}
	return r.Severity
}

func (p Policy) entries() access.Entries { return access.NewEntries(p.Cluster, p.AccessEntries) }

func (p Policy) adminGroups() []string { return access.OrMasters(p.AdminGroups) }

func (p Policy) overrideGroups() []string { return access.OrMasters(p.OverrideGroups) }

// DefaultBypassGroup is the bypass group of the chart.
const DefaultBypassGroup = "awsauth-guard:bypass" //nolint:gosec // a group's name is no secret

func (p Policy) bypassGroup() string { return cmp.Or(p.BypassGroup, DefaultBypassGroup) }
