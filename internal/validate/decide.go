package validate

// circumstances are all that decides, besides the findings, whether a change is refused.
type circumstances struct {
	mode Mode
	// eks: EKS itself asks, which must always be able to write aws-auth.
	eks bool
	// observed: the API server asks on the path that never refuses, on which it sends the requests of EKS and of
	// the bypass group.
	observed bool
	// restore: the guard itself restores a version. Compared with the stored version, the faults of the restored
	// one are new.
	restore bool
	// breakGlass is the reason that the requester gives for overruling every denial, and may; empty for none.
	breakGlass string
}

// circumstancesOf returns those of a change.
func circumstancesOf(c Change, policy Policy) circumstances {
	return circumstances{
		mode: policy.Mode, eks: c.Requester.IsEKS(), observed: c.Observed, restore: c.Restore,
		breakGlass: c.breakGlass(policy).reason,
	}
}

// exempt reports whether the change is never refused, whatever its findings and whatever fails.
func (c circumstances) exempt() bool { return c.exemption() != "" }

// NeverRefused reports whether a change is admitted even if the guard can't evaluate it. In mode warn, and for its own
// restore, the guard refuses a request that it can't decode.
func NeverRefused(c Change) bool { return c.Observed || c.Requester.IsEKS() }

// exemption says why the change is never refused. It is empty where the change can be refused.
func (c circumstances) exemption() string {
	switch {
	case c.eks:
		return "a request of EKS"
	case c.observed:
		return "a request that is only observed"
	case c.restore:
		return "a restore by the guard"
	case c.mode == WarnMode:
		return "mode warn"
	}
	return ""
}

// asksIAM reports whether IAM is asked about the principals of the change. It would only delay a change that is
// not refused for what IAM says: one of EKS, of the bypass group, or of the guard itself.
func (c circumstances) asksIAM(mode Severity) bool {
	return mode != "" && mode != Off && !c.eks && !c.observed && !c.restore
}

// decision is what becomes of a change.
type decision struct {
	action Action
	// wouldDeny are the rules whose denials became warnings because the change is exempt, sorted.
	wouldDeny []string
	// brokeGlass: the denials became warnings because the requester broke the glass.
	brokeGlass bool
}

// decide says what becomes of a change, and gives its findings their final severity and order. It is the one place
// that knows whose denials are warnings. Overruled reports whether the request overruled a finding of its own, such as
// the removal of a node role.
func decide(c circumstances, findings []Finding, overruled bool) decision {
	d := decision{brokeGlass: c.breakGlass != ""}
	denied := Verdict{Findings: findings}.Denied()
	switch {
	case d.brokeGlass:
		soften(findings, "")
	case c.exempt():
		d.wouldDeny = denied
		soften(findings, c.exemption())
	}
	sortFindings(findings)
	switch {
	case len(denied) > 0 && !d.brokeGlass && !c.exempt():
		d.action = Refuse
	case len(findings) > 0 || overruled || d.brokeGlass:
		d.action = WarnOnly
	default:
		d.action = Allow
	}
	return d
}

// soften turns denials into warnings, which say why the change is exempt.
func soften(findings []Finding, exemption string) {
	for i := range findings {
		if f := &findings[i]; f.Severity == Deny {
			f.Severity, f.Exempt = Warn, exemption
		}
	}
}
