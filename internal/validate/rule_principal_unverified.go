package validate

import "github.com/awsauth-guard/awsauth-guard/internal/awsauth"

var principalUnverified = &Rule{
	ID:       "principal-unverified",
	Severity: Warn,
	Scope:    OfChange,
	Title:    "the guard cannot look up the principal in IAM",
	Doc: `
The guard can't find out whether the principals that the change adds exist: it lacks the permission, IAM did not
answer in time, or the configuration names no role for their account. This rule only warns, even at severity deny.
It runs only if iam.mode is deny or warn, and it reports each reason once for each account.

Check the ARN yourself, with aws iam get-role or get-user. If the warning repeats, see
docs/how-to/give-the-guard-iam.md for the permission that the guard needs.`,
	Source: "IAM API reference, GetRole and GetUser, Errors",
	Check:  checkPrincipalUnverified,

	NeverDenies: true,
}

func checkPrincipalUnverified(p *Pass) {
	type reason struct{ text, account string }
	first, count := make(map[reason]*awsauth.AccessChange), make(map[reason]int)
	var reasons []reason
	p.lookups(func(c *awsauth.AccessChange, l Lookup) {
		if l.Existence != Unknown || p.foreign(c) && p.runs(foreignPartition) {
			return // foreign-partition reports a wrong partition
		}
		r := reason{l.Reason, awsauth.AccountOf(c.ARN)}
		count[r]++
		if count[r] == 1 {
			first[r] = c
			reasons = append(reasons, r)
		}
	})
	for _, r := range reasons {
		const hint = "check the ARN yourself"
		at, arn := p.entryPlace(first[r].After[0]), first[r].ARN
		switch more := count[r] - 1; more {
		case 0:
			p.Warnf(at, hint, "cannot find out whether %q exists: %s", arn, r.text)
		case 1:
			p.Warnf(at, hint, "cannot find out whether %q and another principal of its account exist: %s", arn, r.text)
		default:
			p.Warnf(at, hint, "cannot find out whether %q and %d other principals of its account exist: %s", arn, more, r.text)
		}
	}
}
