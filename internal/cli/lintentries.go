package cli

import (
	"fmt"
	"slices"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/entryplan"
	"github.com/awsauth-guard/awsauth-guard/internal/report"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// lintEntries evaluates the access entries, access policies and clusters of an input, and adds the findings to o. All of them together
// count as one object in denied and warned.
func (l *lintRun) lintEntries(in input, o *fileResult) {
	if in.entries == nil {
		return
	}
	in.entries.Mapped = mappedBy(in.objects)
	findings := entryplan.Evaluate(in.entries, entryplan.Policy{
		Rules: l.entryRules, AdminGroups: l.policy.AdminGroups, AccessEntries: l.policy.AccessEntries, WarnOnly: l.policy.Mode == validate.WarnMode,
	})
	for _, f := range findings {
		o.Findings = append(o.Findings, report.Finding{
			File: in.name, Resource: f.Resource, InText: f.Line == 0,
			Finding: validate.Finding{Rule: f.Rule, Severity: f.Severity, Position: f.Position, Message: f.Message, Hint: f.Hint, Exempt: f.Exempt},
		})
	}
	switch {
	case slices.ContainsFunc(findings, func(f entryplan.Finding) bool { return f.Severity == validate.Deny }):
		o.denied++
	case len(findings) > 0:
		o.warned++
	}
}

// mappedBy returns the principals that the aws-auth objects of an input map. For an aws-auth that a plan deletes, it returns the
// principals before the deletion.
func mappedBy(objects []object) []awsauth.Principal {
	var list []awsauth.Principal
	for _, o := range objects {
		now := o.Object
		if now == nil {
			now = o.Before
		}
		if now != nil {
			list = append(list, now.Load().Principals()...)
		}
	}
	return list
}

// entryRule reports whether a rule of access entries has this id. Only lint runs these rules.
func entryRule(id string) bool {
	return slices.ContainsFunc(entryplan.Rules(), func(r *entryplan.Rule) bool { return r.ID == id })
}

// setEntryRule sets the severity of a rule of access entries.
func (o *lintOptions) setEntryRule(id, severity string) error {
	switch s := validate.Severity(severity); s {
	case validate.Deny, validate.Warn, validate.Off:
		if o.entryRules == nil {
			o.entryRules = make(map[string]validate.Severity)
		}
		o.entryRules[id] = s
		return nil
	}
	return fmt.Errorf("the severity of %s is %q; write deny, warn or off", id, severity)
}
