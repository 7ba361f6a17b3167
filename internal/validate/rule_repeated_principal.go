package validate

var repeatedPrincipal = &Rule{
	ID:       "repeated-principal",
	Severity: Warn,
	Title:    "one ARN has several entries that give the same access",
	Doc: `
Tools that append entries without a check leave copies. Copies do no harm until a user edits one of them. Then the
two give different access, and the edit has no effect if the authenticator uses the other copy.

Keep one entry for each ARN.`,
	Source: "aws-iam-authenticator v0.7.18, pkg/mapper/configmap/configmap.go, saveMap; terraform-aws-eks#2097",
	Exact:  true,
	Check:  checkRepeatedPrincipal,
}

func checkRepeatedPrincipal(p *Pass) {
	for m := range p.Doc.Mappings() {
		e := m.Entry
		if e.Dropped != "" || e.ARN == "" {
			continue
		}
		matches := p.Doc.Map.MatchesOf(e.ARN)
		if len(matches) == 0 || conflictOf(e, matches) != nil {
			continue // conflicting-principal reports it
		}
		if first := matches[0]; first != e {
			p.Reportf(m.ARN, "remove one of the two entries", "%q is also the ARN of %s, which gives the same access", m.ARN.Value, first.Path())
			p.correct(Correction{Section: e.Section, Index: e.Index, Remove: true})
		}
	}
}
