package cli

import (
	"cmp"
	"maps"
	"slices"

	"github.com/awsauth-guard/awsauth-guard/internal/report"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// lintInput evaluates every aws-auth of an input, and its access entries, access policies and clusters.
func (l *lintRun) lintInput(in input) fileResult {
	o := fileResult{File: report.File{Name: in.name, Problems: in.problems, Objects: len(in.objects), Resources: in.entries.Len(), Notes: in.notes}, plan: in.plan}
	for _, object := range in.objects {
		change, note, err := l.changeOf(object, in.argument())
		if err != nil {
			o.Problems = append(o.Problems, report.Problem{File: in.name, Line: object.Line, Column: min(object.Line, 1), Message: err.Error()})
			continue
		}
		if note != "" {
			o.Notes = append(o.Notes, in.label(object)+": "+note)
		}
		result := l.resultOf(in, object, l.evaluateObject(object, change))
		o.Findings = append(o.Findings, result.Findings...)
		o.Access = append(o.Access, result.Access...)
		o.denied += result.denied
		o.warned += result.warned
	}
	l.lintEntries(in, &o)
	return o
}

// resultOf returns the result for one aws-auth of an input. v is the verdict for this aws-auth.
func (l *lintRun) resultOf(in input, from object, v validate.Verdict) fileResult {
	o := fileResult{File: report.File{Name: in.name}}
	for _, f := range v.Findings {
		o.Findings = append(o.Findings, report.Finding{File: cmp.Or(from.File, in.name), Resource: from.Resource, InText: from.InText, Finding: f})
	}
	if l.oldName != "" {
		access := report.Access{Old: l.oldName, New: in.name, Changes: v.Access}
		access.Line, access.Resource = in.place(from)
		o.Access = append(o.Access, access)
	}
	switch v.Action {
	case validate.ActionDeny:
		o.denied++
	case validate.ActionWarn:
		o.warned++
	case validate.ActionAllow:
	}
	return o
}

// evaluateObject evaluates the change of an aws-auth. If a Terraform plan replaces the object, evaluateObject evaluates two changes: the
// deletion, and the edit from the old to the new object. The verdict then has the findings of both changes and the more severe action.
func (l *lintRun) evaluateObject(o object, change validate.Change) validate.Verdict {
	policy := l.policy
	if o.Lists != "" && change.Old == nil {
		policy.Protected = nil // the input is only a part of aws-auth, and another part may map the protected principals
	}
	v := l.evaluateChange(change, policy)
	if !o.Replaced {
		return v
	}
	deletion := l.evaluateChange(l.deletionOf(o, change), policy)
	for _, f := range deletion.Findings {
		same := func(other validate.Finding) bool {
			return other.Rule == f.Rule && other.Path == f.Path && other.Message == f.Message
		}
		if i := slices.IndexFunc(v.Findings, same); i < 0 {
			v.Findings = append(v.Findings, f)
		} else if f.Severity == validate.Deny {
			v.Findings[i].Severity = f.Severity
		}
	}
	if v.Action == validate.ActionAllow || deletion.Action == validate.ActionDeny {
		v.Action = deletion.Action
	}
	return v
}

// evaluateChange evaluates a change. With --iam it also looks up principals in IAM.
func (l *lintRun) evaluateChange(c validate.Change, policy validate.Policy) validate.Verdict {
	c = asReviewed(c)
	evaluation := validate.NewEvaluation(c, policy)
	if l.lookup == nil {
		return evaluation.Verdict(validate.Answers{})
	}
	return evaluation.Verdict(validate.Answers{IAM: l.lookup(evaluation.ChangedPrincipals())})
}

// asReviewed returns a change in the form in which the API server sends it to the webhook. It returns a document by itself unchanged,
// because the API server sends no such change.
func asReviewed(c validate.Change) validate.Change {
	if c.Operation != validate.Document {
		c.Old, c.New = c.Old.AsReviewed(), c.New.AsReviewed()
	}
	return c
}

// changeOf returns the change that lint evaluates for an aws-auth. With --old this is an edit or the deletion of the old version. Without
// --old it is the edit or deletion in a Terraform plan, or a document by itself. changeOf removes the break-glass annotation, because a
// file doesn't say which user will set it.
//
// note names the assumptions about the version that the cluster will store. argument is the flag with which kubectl apply reads the input.
func (l *lintRun) changeOf(o object, argument string) (c validate.Change, note string, err error) {
	stored, err := l.store(o, argument)
	if err != nil {
		return c, "", err
	}
	c = l.change
	c.New = stored.Object
	if o.Before != nil && c.Old == nil {
		c.Old, c.Operation = o.Before, validate.Update
	}
	if c.New == nil {
		c.Operation = validate.Delete
	}
	if c.New != nil && c.New.Annotations[validate.BreakGlassAnnotation] != "" {
		without := *c.New
		without.Annotations = maps.Clone(c.New.Annotations)
		delete(without.Annotations, validate.BreakGlassAnnotation)
		c.New = &without
	}
	return c, stored.note, nil
}

// deletionOf returns the deletion in a Terraform plan that replaces an object. If the resource sets only some keys, the deletion is an edit
// that removes these keys. c is the whole change, from the old to the new object.
func (l *lintRun) deletionOf(o object, c validate.Change) validate.Change {
	c.New = o.AfterDelete
	if c.New == nil {
		c.Operation = validate.Delete
	} else if l.change.Old != nil {
		c.New = setKeys(l.change.Old, o.Before, o.AfterDelete)
	}
	return c
}
