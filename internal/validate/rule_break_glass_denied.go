package validate

var breakGlassDenied = &Rule{
	ID:       "break-glass-denied",
	Severity: Deny,
	Scope:    OfRequest,
	Title:    "break-glass is set without the right to do so",
	Doc: `
The annotation awsauth-guard.io/break-glass overrules every denial of the request that sets it. Only
people in one of the groups in overrides.groups, by default system:masters, may set it, and no
service account may. Its value is the reason; it is kept in the log and the audit log.

For a deletion the value is: delete EXPIRY REASON. The expiry is a time in RFC 3339, at most an hour
ahead. Whoever then deletes the object needs the same right.

Leave the annotation away, or let somebody with the right make the change.`,
	Source: "awsauth-guard: an override that anybody may use protects nobody",
	Check:  checkBreakGlassDenied,
}

func checkBreakGlassDenied(p *Pass) {
	b := p.Change.breakGlass(p.Policy)
	report := p.Reportf
	if p.Change.Operation == Delete && p.Change.sets(BreakGlassAnnotation) == "" {
		report = p.Warnf // what is stored is not this request's doing; other rules decide
	}
	if b.denied != "" {
		report(annotations, b.hint, "%s is not honoured: %s", BreakGlassAnnotation, b.denied)
	}
}
