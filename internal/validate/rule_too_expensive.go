package validate

import "github.com/awsauth-guard/awsauth-guard/internal/awsauth"

var tooExpensive = &Rule{
	ID:       "too-expensive",
	Severity: Deny,
	Scope:    OfChange,
	Title:    "a key's text is too expensive to evaluate",
	Doc: `
The webhook decodes mapRoles, mapUsers and mapAccounts within limits of time and memory. The three keys together may
have at most 60,000 elements and keys. Each of them may have at most 16 lines that begin with a percent sign,
aliases that expand to 4 MiB, and 64 entries whose ARNs differ only in case. If a text has tags, such as !!binary,
the number of its asterisks times its size may be at most 32 MiB. No ordinary list of entries that fits
into a ConfigMap of 1 MiB reaches these limits. For a text over a limit the webhook can't compute the effective
access, so it refuses the text.

If the stored text is over a limit, the webhook can't compute the access that a change takes away. It refuses every
change of this key, and the deletion of aws-auth. To repair it, a person who may break the glass must replace the
text, and set the annotation awsauth-guard.io/break-glass in the same change.`,
	Source: "go.yaml.in/yaml/v2, whose decoder has no limit of time and memory; kubernetes v1.36.3, pkg/apis/core/validation, MaxSecretSize",
	Check:  checkTooExpensive,
}

func checkTooExpensive(p *Pass) {
	for _, s := range awsauth.Sections() {
		before, after := p.Old.Unknown(s), p.New.Unknown(s)
		switch {
		case before == nil && after == nil:
		case before != nil && p.Change.leaves(s):
			if after == nil {
				continue // the sections share the limit of elements and keys, and the change makes an earlier section smaller
			}
			p.Warnf(sectionPlace(s), "replace the text, and set the annotation "+BreakGlassAnnotation+" in the same change", "cannot determine the entries that the authenticator loads from %s%s: %v", string(s), preexistingSuffix, after)
		case after != nil:
			p.Reportf(sectionPlace(s), "remove unused entries, and write the list without directives and with few aliases", "cannot determine the entries that the authenticator would load from %s: %v", string(s), after)
		default:
			p.Reportf(sectionPlace(s), "leave the text as it is, or replace it and set the annotation "+BreakGlassAnnotation+" in the same change", "cannot determine whose access this change of %s takes away, because of the stored text: %v", string(s), before)
		}
	}
}

// leaves reports whether the change keeps the text of a section. It returns false if the change creates or deletes
// aws-auth, or completes a deletion.
func (c Change) leaves(s awsauth.Section) bool {
	return c.Operation != Delete && c.Old != nil && c.New != nil && c.Old.Data[string(s)] == c.New.Data[string(s)]
}
