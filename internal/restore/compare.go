// Package restore decides whether the last good version of aws-auth is put back, and does so.
//
// The decision rests on what is stored and on what this process has observed, never on what replicas say of
// reviews: a webhook in mode enforce would have refused the change, so it was not admitted. [Compare] and [Decide]
// are pure functions.
package restore

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/kube"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// Comparison says what became of the last good version.
type Comparison struct {
	// Lost are the rules that refuse the change from the last good version to the stored one because it locks
	// people or all nodes out, sorted.
	Lost []string
	// Intended says why the loss counts as intended. It is empty where it does not, or nothing is lost.
	Intended string
}

// Unintended reports whether something is lost that was not meant.
func (c Comparison) Unintended() bool { return len(c.Lost) > 0 && c.Intended == "" }

// lockouts are the rules whose refusal alone is a loss.
var lockouts = []string{"protected-principal", "last-admin", "emptied", "deleted"}

// nodeRoleRemoved is a loss where it refuses the change for every node role.
const nodeRoleRemoved = "node-role-removed"

// Anonymous is the requester as whom stored changes are evaluated: a user without any right to overrule the guard.
func Anonymous() validate.Requester {
	return validate.Requester{Username: "system:anonymous", Groups: []string{"system:unauthenticated"}}
}

// ChangeOf returns the change between two versions as a request of an anonymous user. Before may be nil, after too.
func ChangeOf(before, after *awsauth.Object, now time.Time) validate.Change {
	c := validate.Change{Operation: validate.Update, Old: before, New: after, Requester: Anonymous(), Now: now}
	switch {
	case before == nil && after == nil:
		c.Operation = validate.Document
	case before == nil:
		c.Operation = validate.Create
	case after == nil:
		c.Operation = validate.Delete
	}
	return c
}

// Compare evaluates the change from the last good version to the stored one, each nil where there is no object. It
// evaluates as a guard in mode enforce would, without asking IAM. The manager is the field manager that wrote the
// stored version.
func Compare(good, stored *corev1.ConfigMap, manager string, policy validate.Policy, now time.Time) Comparison {
	if good == nil {
		return Comparison{}
	}
	policy.Mode, policy.IAMMode = validate.Enforce, validate.Off
	change := ChangeOf(kube.Object(good), kube.Object(stored), now)
	denied := validate.Judge(change, policy).Denied()
	var c Comparison
	for _, rule := range denied {
		if slices.Contains(lockouts, rule) || rule == nodeRoleRemoved && validate.RemovesEveryNodeRole(change, policy) {
			c.Lost = append(c.Lost, rule)
		}
	}
	switch {
	case len(c.Lost) == 0:
	case kube.IsEKSManager(manager):
		c.Intended = "EKS wrote it, with the field manager " + manager
	case BreaksGlass(change, policy):
		c.Intended = "aws-auth has a new break-glass annotation"
	}
	return c
}

// BreaksGlass reports whether a change sets the break-glass annotation or gives it another value, whoever made it. A
// deletion breaks the glass where the annotation of the deleted object allows it at this time.
func BreaksGlass(c validate.Change, policy validate.Policy) bool {
	value := func(o *awsauth.Object) string {
		if o == nil {
			return ""
		}
		return strings.TrimSpace(o.Annotations[validate.BreakGlassAnnotation])
	}
	if c.New != nil {
		return value(c.New) != "" && value(c.New) != value(c.Old)
	}
	if value(c.Old) == "" {
		return false
	}
	// Only the rules know the form of the annotation, and they honour it for members of these groups.
	c.Requester = validate.Requester{Username: "break-glass", Groups: policy.OverrideGroups}
	if len(policy.OverrideGroups) == 0 {
		c.Requester.Groups = []string{"system:masters"}
	}
	return slices.ContainsFunc(validate.Judge(c, policy).Overrides, func(o validate.Override) bool { return o.Kind == validate.BreakGlass })
}
