package validate

// AccessEntriesUnknown is the id of the rule about unknown access entries.
const AccessEntriesUnknown = "access-entries-unknown"

var accessEntriesUnknown = &Rule{
	ID:       AccessEntriesUnknown,
	Severity: Warn,
	Scope:    OfChange,
	Title:    "the guard cannot read the cluster's access entries",
	Doc: `
With eks.enabled the guard reads the cluster's access entries from EKS. The last successful read is too long ago, or
no read has succeeded yet. So the guard evaluates this change with only aws-auth and the declared accessEntries. It
may refuse a change that removes an admin from aws-auth although this admin has an access entry, and it can't warn
about an entry that has no effect. This rule only warns, even at severity deny.

See docs/how-to/give-the-guard-eks.md for the permissions that the guard needs.`,
	Source:      "EKS API reference, DescribeCluster, ListAccessEntries, DescribeAccessEntry and ListAssociatedAccessPolicies, Errors",
	NeverDenies: true,
	Check:       checkAccessEntriesUnknown,
}

func checkAccessEntriesUnknown(p *Pass) {
	if p.Policy.ClusterUnknown != "" && p.Change.Operation != Document {
		p.Warnf(wholeObject, "check with aws eks list-access-entries which principals have an access entry",
			"cannot read the cluster's access entries: %s", p.Policy.ClusterUnknown)
	}
}
