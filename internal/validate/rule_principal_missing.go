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
	Title:    "the principal does not exist in IAM",
	Doc: `
The change adds a role or user, or gives it another group or username, and IAM reports that this principal does not
exist. So no caller can log in as it. Often the name has a typing mistake, or IAM Identity Center has created the
role of a permission set again with another suffix. If a person creates a principal of this name later, that
principal gets the entry's access.

The rule runs only if iam.mode is deny or warn. With deny it refuses the change, and with warn it warns. It needs
the same answer from IAM twice, at least a second apart, because a new role is not visible everywhere at once. If a
lookup fails for another reason, the rule [principal-unverified](principal-unverified.md) reports it. The guard
looks up roles by name, and users by name and path.

If the old version already names the principal, even in text that the authenticator can't read, the guard looks it
up only if the change gives it another group or username, and then the rule only warns. An ARN that occurs only in a
comment or a username does not count as named. The rule never refuses a repair. A repair is a change that creates
aws-auth, or that adds the first entry with an admin group, the first entry for nodes, or a missing group of a
protected principal.

Write the name as IAM shows it, create the principal first, or leave the entry out. If the answer of IAM is wrong,
set iam.mode to warn, or break the glass.`,
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
			say = p.Warnf // the old version has an entry for the principal
		}
		say(p.entryPlace(c.After[0]), hint, "%q does not exist in IAM, so no caller can log in as it", c.ARN)
	})
}

// repairs reports whether the change repairs a cluster: it creates aws-auth, or adds the first principal with an admin
// group, the first node role, or a missing group of a protected principal. The rule refuses no repair, even if the
// change adds other principals that don't exist, such as those of an earlier version.
func (p *Pass) repairs() bool {
	if p.Change.Operation == Create {
		return true
	}
	if p.Change.Operation == Document {
		return false
	}
	_, was := p.admins(p.Old.Principals())
	_, is := p.admins(p.New.Principals())
	if was == access.Never && is > access.Never || len(access.Nodes(p.Old.Principals())) == 0 && len(access.Nodes(p.New.Principals())) > 0 {
		return true
	}
	return slices.ContainsFunc(p.Policy.Protected, func(protected access.Protected) bool {
		before, after := p.Old.Resolve(protected.ARN), p.New.Resolve(protected.ARN)
		return slices.ContainsFunc(requirements(protected), func(r requirement) bool { return p.fulfils(protected, after, r) > p.fulfils(protected, before, r) })
	})
}

// lookups calls a function for every changed principal whose lookup is known, in the order of Access.
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
