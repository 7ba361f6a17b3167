// Package restore decides whether to restore the last good version of aws-auth, and restores it.
//
// The decision uses only the stored object and the observations of this process, not reports of other replicas about reviews. That
// is enough: a webhook in mode enforce would have refused the change, so the change bypassed it. [Compare] and [Decide] are pure
// functions.
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
	// Lost lists the rules, sorted, that refuse the change from the last good version to the stored one because it locks
	// out people or all nodes.
	Lost []string
	// Intended is the reason why the loss counts as intended. It is empty if the loss is not intended or nothing is lost.
	Intended string
}

// Unintended reports whether the stored version lacks access of the last good version, and no reason makes this loss
// intended.
func (c Comparison) Unintended() bool { return len(c.Lost) > 0 && c.Intended == "" }

// lockoutRules are the rules that refuse only changes which take access away.
var lockoutRules = []string{"protected-principal", "last-admin", "emptied", "deleted"}

// nodeRoleRemoved is a rule whose refusal is a loss only if the change removes every node role.
const nodeRoleRemoved = "node-role-removed"

// Anonymous is the requester for the evaluation of stored changes: a user without any right to override the guard.
func Anonymous() validate.Requester {
	return validate.Requester{Username: "system:anonymous", Groups: []string{"system:unauthenticated"}}
}

// ChangeOf returns the change between two versions, as a request of an anonymous user. Both before and after may be nil.
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

// Compare evaluates the change from the last good version to the stored one. Each of them is nil if it doesn't exist. manager is the field
// manager of the stored version. Compare evaluates in mode enforce and makes no lookups in IAM.
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

// BreaksGlass reports whether a change uses the break-glass override. It doesn't check the requester. A change that stores aws-auth
// uses the override if it sets or changes the annotation. A deletion uses it if the deleted object has an annotation that is valid now.
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
	// Only the rules can decode the annotation, and they accept it only from members of these groups.
	c.Requester = validate.Requester{Username: "break-glass", Groups: policy.OverrideGroups}
	if len(policy.OverrideGroups) == 0 {
		c.Requester.Groups = []string{"system:masters"}
	}
	return slices.ContainsFunc(validate.Evaluate(c, policy).Overrides, func(o validate.Override) bool { return o.Kind == validate.BreakGlass })
}
