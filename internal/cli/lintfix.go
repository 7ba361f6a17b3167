package cli

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/fix"
	"github.com/awsauth-guard/awsauth-guard/internal/report"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// fileFix is the result of lint --fix for one file.
type fileFix struct {
	fixed  []report.Finding
	access []report.Access // of the objects in which the corrections change the access of a principal
	diff   []byte          // with --dry-run
	text   []byte          // the manifests from standard input after the corrections
}

// fixAndLint corrects the findings of a file, and lints the result.
func (l *lintRun) fixAndLint(s source, label string, src []byte) fileResult {
	text, fixed, notes, err := l.fixFile(s, label, src)
	if err != nil {
		return failedFile(label, err)
	}
	result := l.lintText(s, label, text)
	result.fix, result.Notes = fixed, append(notes, result.Notes...)
	return result
}

// fixFile corrects the findings of a file whose hint leaves no choice, and writes the file. It returns the text that lint then evaluates. With
// --dry-run it does not write the file.
func (l *lintRun) fixFile(s source, label string, src []byte) (text []byte, result *fileFix, notes []string, err error) {
	if enclosingChart(label) != "" && bytes.Contains(src, []byte("{{")) {
		return src, nil, nil, nil // lint says that it needs rendering
	}
	in, err := parseInput(label, src)
	if err != nil {
		return src, nil, nil, nil //nolint:nilerr // lint reports it
	}
	text, result, notes = l.fixObjects(in, src)
	switch {
	case l.dryRun && !bytes.Equal(text, src):
		result.diff = diff.Diff(report.OneLine(label), src, report.OneLine(label)+" (fixed)", text)
	case l.dryRun:
	case s.name == stdinName:
		result.text = text
	case !bytes.Equal(text, src):
		if err := replaceFile(s.name, src, text); err != nil {
			return src, nil, notes, fmt.Errorf("writing %s: %w", s.name, err)
		}
	}
	return text, result, notes, nil
}

// fixObjects corrects each aws-auth of an input that is a manifest, from the last to the first, so that the lines before a corrected one stay.
func (l *lintRun) fixObjects(in input, src []byte) (text []byte, result *fileFix, notes []string) {
	text, result = src, new(fileFix)
	manifests, _ := awsauth.ParseManifests(src)
	for _, o := range slices.Backward(in.objects) {
		if !isManifest(o, manifests) {
			if o.Object != nil && hasCorrection(validate.Corrections(o.Object, l.policy)) {
				notes = append(notes, in.label(o)+": not fixed: --fix changes only manifests of aws-auth; correct the source from which another tool makes this one")
			}
			continue
		}
		fixed, r, err := fix.Manifest(text, o.Line, l.policy)
		if err != nil {
			notes = append(notes, in.label(o)+": not fixed: "+err.Error())
			continue
		}
		text = fixed
		if changes := awsauth.DiffAccess(o.Load(), r.Object.Load()); len(changes) > 0 {
			access := report.Access{Old: in.label(o), New: "the corrections", Changes: changes}
			result.access = append([]report.Access{access}, result.access...)
		}
		var list []report.Finding
		for _, f := range r.Fixed {
			list = append(list, report.Finding{File: in.name, InText: f.Line == 0, Finding: f})
		}
		slices.SortStableFunc(list, func(a, b report.Finding) int { // those that only a correction revealed have no line
			if (a.Line == 0) != (b.Line == 0) {
				return cmp.Compare(b.Line, a.Line)
			}
			return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
		})
		result.fixed = append(list, result.fixed...)
	}
	return text, result, notes
}

// isManifest reports whether an aws-auth of an input is one of the manifests in its file.
func isManifest(o object, manifests []awsauth.Manifest) bool {
	return o.Object != nil && o.Lists == "" && o.Resource == "" && o.File == "" && !o.InText &&
		slices.ContainsFunc(manifests, func(m awsauth.Manifest) bool { return m.Line == o.Line })
}

func hasCorrection(findings []validate.Finding) bool {
	return slices.ContainsFunc(findings, func(f validate.Finding) bool { return f.Correction != nil })
}

// printFix prints the corrected findings of a file, the access that principals gain by the corrections and, with --dry-run, the diff. The manifests of standard input go to standard output; then
// everything else goes to standard error.
func (l *lintRun) printFix(f *fileFix) error {
	if f == nil {
		return nil
	}
	text := report.NewText(l.fixOut, useColours(l.fixOut))
	if err := errors.Join(text.AddFixed(f.fixed), text.Add(report.File{Access: f.access})); err != nil {
		return outputError(err)
	}
	if len(f.diff) > 0 {
		if _, err := l.fixOut.Write(f.diff); err != nil {
			return outputError(err)
		}
	}
	_, err := l.app.stdout.Write(f.text)
	return outputError(err)
}
