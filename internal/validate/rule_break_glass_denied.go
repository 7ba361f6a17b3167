package validate

var breakGlassDenied = &Rule{
	ID:       "break-glass-denied",
	Severity: Deny,
	Scope:    OfRequest,
	Title:    "the guard does not honour the annotation break-glass",
	Doc: `
The annotation awsauth-guard.io/break-glass overrules every denial of the request that sets it. Only members of the
groups in overrides.groups, by default system:masters, and the principals in overrides.principals may set it. With
overrides.subjectAccessReview, users with the right break-glass on configmaps/aws-auth may set it, too. Service
accounts may not set it. The value is the reason, which the guard writes to its log and to the audit log.

To allow a deletion, set the value to "delete TIME REASON". TIME is the expiry, in RFC 3339 and at most an hour ahead.
The user who then deletes the object needs the same right. The rule also reports a value of this form with an invalid
expiry or without a reason. If the stored value doesn't allow a deletion, the rule only warns, because other rules
refuse the deletion.

Remove the annotation, write a valid expiry and a reason, or let a person with the right make the change.`,
	Source: "awsauth-guard: an override without a required right would make every rule useless",
	Check:  checkBreakGlassDenied,
}

func checkBreakGlassDenied(p *Pass) {
	b := p.Change.breakGlass(p.Policy)
	report := p.Reportf
	if p.Change.Operation == Delete && p.Change.sets(BreakGlassAnnotation) == "" {
		report = p.Warnf // an earlier request stored the annotation; other rules decide on the deletion
	}
	if b.denied != "" {
		report(annotations, b.hint, "%s is not honoured: %s", BreakGlassAnnotation, b.denied)
	}
}
