package validate

// circumstances are the facts about a change that decide, together with the findings, whether the guard refuses it.
type circumstances struct {
	mode Mode
	// eks reports that EKS itself makes the request. EKS must always be able to write aws-auth.
	eks bool
	// observed reports that the review came on the observing path, on which the guard refuses no change. The API server
	// sends the requests of EKS and of the bypass group there.
	observed bool
	// restore reports that the guard itself restores a version. The guard admits such a change even if the restored
	// version has faults that the current version lacks.
	restore bool
	// breakGlass is the reason with which a requester overrules every denial. It is empty if the request has no
	// break-glass annotation that the guard honours.
	breakGlass string
}

// circumstancesOf returns the circumstances of a change.
func circumstancesOf(c Change, policy Policy) circumstances {
	return circumstances{
		mode: policy.Mode, eks: c.Requester.IsEKS(), observed: c.Observed, restore: c.Restore,
		breakGlass: c.breakGlass(policy).reason,
	}
}

// exempt reports whether the guard admits the change even if rules deny it or fail. It does not tell whether the guard
// admits a request that it can't decode; see [NeverRefused].
func (c circumstances) exempt() bool { return c.exemption() != "" }

// NeverRefused reports whether the guard admits a change even if it can't decode or evaluate the change. It returns true
// for a request on the observing path and for a request by EKS. It returns false for a restore and for mode warn: the
// guard refuses such a request if it can't decode it.
func NeverRefused(c Change) bool { return c.Observed || c.Requester.IsEKS() }

// exemption returns the reason why the change is never refused, or "" if it can be refused.
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

// asksIAM reports whether the guard asks IAM about the principals of the change. mode is the policy's IAMMode. The
// guard does not ask about changes by EKS, the bypass group or the guard itself: the answer can't lead to a refusal, and
// the lookup would only delay the change.
func (c circumstances) asksIAM(mode Severity) bool {
	return mode != "" && mode != Off && !c.eks && !c.observed && !c.restore
}

// decision is the outcome of a review.
type decision struct {
	action Action
	// wouldDeny holds the sorted ids of the rules whose denials became warnings because the change is exempt.
	wouldDeny []string
	// brokeGlass reports that the requester broke the glass. Then all denials became warnings.
	brokeGlass bool
}

// decide returns the outcome, and gives the findings their final severity and order. It turns denials into warnings if
// the change is exempt, or if the requester broke the glass. overruled reports whether the request used an override such
// as allow-removal.
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
		d.action = ActionDeny
	case len(findings) > 0 || overruled || d.brokeGlass:
		d.action = ActionWarn
	default:
		d.action = ActionAllow
	}
	return d
}

// soften turns denials into warnings, and sets Exempt of each of these to exemption.
func soften(findings []Finding, exemption string) {
	for i := range findings {
		if f := &findings[i]; f.Severity == Deny {
			f.Severity, f.Exempt = Warn, exemption
		}
	}
}
