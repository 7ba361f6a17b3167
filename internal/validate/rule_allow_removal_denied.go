package validate

var allowRemovalDenied = &Rule{
	ID:       "allow-removal-denied",
	Severity: Warn,
	Scope:    OfRequest,
	Title:    "the annotation allow-removal has an invalid expiry",
	Doc: `
If the annotation awsauth-guard.io/allow-removal has the value "until TIME ARNS", later changes may remove the
node roles in ARNS until this expiry. TIME is in RFC 3339 and at most an hour ahead, so that a forgotten annotation
does no harm. If the expiry is not in RFC 3339, has passed or is further ahead, the annotation allows nothing, not
even a removal by the change that sets it.

Set the annotation again with a valid expiry.`,
	Source: "awsauth-guard: an allowance without an end would make node-role-removed useless",
	Check:  checkAllowRemovalDenied,
}

func checkAllowRemovalDenied(p *Pass) {
	if r := p.Change.removals(); r.later && r.denied != "" {
		p.Reportf(annotations, p.Change.allowanceHint(), "%s is not honoured: %s", AllowRemovalAnnotation, r.denied)
	}
}
