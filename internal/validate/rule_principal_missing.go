package validate

import (
	"slices"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

var principalMissing = &Rule{
	ID:       "principal-missing",
	Severity: Deny,
	Scope:    OfChange,
	Title:    "IAM does not have the principal",
	Doc: `
IAM says that a role or user which the change adds, or gives another group or username, does not exist, so nobody can
log in as it. Often a letter is wrong, or IAM Identity Center has made the role of a permission set anew with another
suffix. Whoever creates a principal of this name later gets the entry's access.

The rule runs only where iam.mode asks IAM: with deny it refuses the change, with warn it warns. IAM
must have said it twice, at least a second apart, because a new role is not known everywhere at once;
anything else that IAM answers, or no answer, is no finding of this rule but of
[principal-unverified](principal-unverified.md). Roles are looked up by name, users by name and path. A
principal that the old version names already, in whatever way but a comment, a username or a key that is no section's,
is looked up only when it gets another group or username, and then is a warning. A repair is never refused: a change that makes aws-auth anew, or brings the first
entry with an admin group, the first of a node, or a group of a protected principal.

Write the name as IAM shows it, create the principal first, or leave the entry out. Where IAM is wrong, set iam.mode to
warn, or break the glass.`,
	Source: "IAM API reference, GetRole and GetUser, NoSuchEntity; IAM user guide, \"Troubleshoot IAM\": changes are not always immediately visible",
	Check:  checkPrincipalMissing,
}

func checkPrincipalMissing(p *Pass) {
	report := p.Reportf
	if p.Policy.IAMMode != Deny || p.repairs() {
		report = p.Warnf
	}
	p.lookups(func(c *awsauth.AccessChange, l Lookup) {
		if l.Existence != Missing {
			return
		}
		hint := "write its name as IAM shows it, create it first, or leave the entry out"
		if l.Instead != "" {
			hint = "write " + l.Instead
		}
		say := report
		if !c.New {
			say = p.Warnf // the entry stood there before
		}
		say(p.entryPlace(c.After[0]), hint, "%q does not exist in IAM, so nobody can log in as it", c.ARN)
	})
}

// repairs reports whether the change gives the cluster what it had none of: aws-auth itself, somebody with an
// admin group, a role for nodes, or a group of a protected principal. Whatever else is in it, such as all of an
// earlier version, it is not held up.
func (p *Pass) repairs() bool {
	if p.Change.Operation == Create {
		return true
	}
	if p.Change.Operation == Document {
		return false
	}
	_, was := p.admins(p.Old.Principals())
	_, is := p.admins(p.New.Principals())
	if was == access.Never && is > access.Never || len(access.Nodes(p.Old)) == 0 && len(access.Nodes(p.New)) > 0 {
		return true
	}
	return slices.ContainsFunc(p.Policy.Protected, func(protected access.Protected) bool {
		before, after := p.Old.Resolve(protected.ARN), p.New.Resolve(protected.ARN)
		return slices.ContainsFunc(protected.Groups, func(group string) bool { return protected.Gets(after, group) > protected.Gets(before, group) })
	})
}

// lookups calls a function for every principal that was looked up, in the order of the entries.
func (p *Pass) lookups(each func(c *awsauth.AccessChange, l Lookup)) {
	if len(p.Change.IAM.Principals) == 0 {
		return
	}
	for i := range p.Access {
		c := &p.Access[i]
		if !gives(c) {
			continue
		}
		if arn, err := c.After[0].Principal(); err == nil {
			if l, ok := p.Change.IAM.Principals[arn.String()]; ok {
				each(c, l)
			}
		}
	}
}
