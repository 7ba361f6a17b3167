package validate

var allowRemovalDenied = &Rule{
	ID:       "allow-removal-denied",
	Severity: Warn,
	Scope:    OfRequest,
	Title:    "the annotation allow-removal is set with an expiry that is not valid",
	Doc: `
The annotation awsauth-guard.io/allow-removal allows a later change to remove node roles if its value is: until EXPIRY
ARNS. The expiry is a time in RFC 3339, at most an hour ahead, so that a forgotten annotation does no harm. With another
expiry the annotation allows nothing.

Set the annotation again with a valid expiry.`,
	Source: "awsauth-guard: an allowance without an end would make node-role-removed useless",
	Check:  checkAllowRemovalDenied,
}

func checkAllowRemovalDenied(p *Pass) {
	if r := p.Change.removals(); r.later && r.denied != "" {
		p.Reportf(annotations, p.Change.allowanceHint(), "%s is not honoured: %s", AllowRemovalAnnotation, r.denied)
	}
}
