// Package restore decides whether to restore the last good version of aws-auth, and restores it.
//
// The decision uses only the stored object and the observations of this process. It doesn't need to know which changes the replicas have
// reviewed: a webhook in mode enforce would have refused a change that takes access away, so such a change bypassed the webhook. [Compare]
// and [Decide] are pure functions.
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

// Comparison is the difference between the last good version and the stored one.
type Comparison struct {
	// Lost lists the rules that refuse the change from the last good version to the stored version because the change
	// locks out people or all nodes. The list is sorted.
	Lost []string
	// Intended is the reason why the loss counts as intended. It is empty if the loss is not intended, or if there is no loss.
	Intended string
}

// Unintended reports whether the change has a loss that is not intended.
func (c Comparison) Unintended() bool { return len(c.Lost) > 0 && c.Intended == "" }

// lockoutRules are the rules whose refusal always means a loss, because they refuse only changes that take access away.
var lockoutRules = []string{"protected-principal", "last-admin", "emptied", "deleted"}

// nodeRoleRemoved is a rule whose refusal means a loss only if the change removes every node role.
const nodeRoleRemoved = "node-role-removed"

// Anonymous returns the requester with which the guard evaluates stored changes. This user has no right to override the guard.
func Anonymous() validate.Requester {
	return validate.Requester{Username: "system:anonymous", Groups: []string{"system:unauthenticated"}}
}

// ChangeOf returns the change from the version before to the version after, as a request of an anonymous user. A nil version means that
// aws-auth doesn't exist. If both are nil, the operation is Document.
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

// Compare evaluates the change from the last good version to the stored version. manager is the field manager of the stored version. If
// there is no good version, good is nil, and the result has no loss. If aws-auth doesn't exist, stored is nil. Compare evaluates as in mode
// enforce and makes no lookups in IAM.
func Compare(good, stored *corev1.ConfigMap, manager string, policy validate.Policy, now time.Time) Comparison {
	if good == nil {
		return Comparison{}
	}
	policy.Mode, policy.IAMMode = validate.Enforce, validate.Off
	change := ChangeOf(kube.Object(good), kube.Object(stored), now)
	denied := validate.Evaluate(change, policy).Denied()
	var c Comparison
	for _, rule := range denied {
		if slices.Contains(lockoutRules, rule) || rule == nodeRoleRemoved && validate.RemovesEveryNodeRole(change, policy) {
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

// BreaksGlass reports whether a change uses break-glass. It doesn't check whether the requester may use it. A creation or update uses
// break-glass if it sets or changes the annotation. A deletion uses break-glass if the deleted object has an annotation that is valid
// now.
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
	// Let the rules decode the annotation. They accept it only from a member of these groups.
	c.Requester = validate.Requester{Username: "break-glass", Groups: policy.OverrideGroups}
	if len(policy.OverrideGroups) == 0 {
		c.Requester.Groups = []string{"system:masters"}
	}
	return slices.ContainsFunc(validate.Evaluate(c, policy).Overrides, func(o validate.Override) bool { return o.Kind == validate.BreakGlass })
}
