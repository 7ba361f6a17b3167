package cli

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/fix"
	"github.com/awsauth-guard/awsauth-guard/internal/report"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// fileFix is the result of lint --fix for one file.
type fileFix struct {
	name   string // the name of the file
	fixed  []report.Finding
	access []report.Access // the changes of access by the corrections; has only objects with such a change
	diff   []byte          // with --dry-run
	text   []byte          // the manifests from standard input after the corrections
	// written reports whether the corrections change the file. With --dry-run, lint does not write this change. For standard input, written is
	// false.
	written, dryRun bool
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

// fixFile corrects the findings whose hint leaves no choice, and writes the file. It writes nothing with --dry-run, and for standard input.
// text is the text that lint then evaluates. result is nil if the file is a template of a chart, if it doesn't parse, if it can't be
// written, or if the corrections would change a symbolic link that the user didn't name.
func (l *lintRun) fixFile(s source, label string, src []byte) (text []byte, result *fileFix, notes []string, err error) {
	if enclosingChart(label) != "" && bytes.Contains(src, []byte("{{")) {
		return src, nil, nil, nil // lintText reports that another tool must render the template
	}
	in, err := parseInput(label, src)
	if err != nil {
		return src, nil, nil, nil //nolint:nilerr // lintText reports the error
	}
	text, result, notes = l.fixObjects(in, src)
	if s.discovered && !bytes.Equal(text, src) && isLink(s.name) {
		return src, nil, append(notes, label+": not fixed: it is a symbolic link, and --fix writes only the files in the folder itself; name the file"), nil
	}
	result.dryRun, result.written = l.dryRun, s.name != stdinName && !bytes.Equal(text, src)
	switch {
	case l.dryRun && !bytes.Equal(text, src):
		result.diff = diff.Diff(report.OneLine(label), src, report.OneLine(label)+" (fixed)", text)
	case l.dryRun:
	case s.name == stdinName:
		result.text = text
	case result.written:
		if err := replaceFile(s.name, src, text); err != nil {
			return src, nil, notes, fmt.Errorf("writing %s: %w", s.name, err)
		}
	}
	return text, result, notes, nil
}

// fixObjects corrects every manifest of aws-auth in src, and returns the new text. notes says which objects or findings it did not correct,
// and why. fixObjects starts with the last manifest, so that the line numbers of the earlier ones stay valid.
func (l *lintRun) fixObjects(in input, src []byte) (text []byte, result *fileFix, notes []string) {
	text, result = src, &fileFix{name: in.name}
	manifests, _ := awsauth.ParseManifests(src)
	for _, o := range slices.Backward(in.objects) {
		if !isManifest(o, manifests) {
			if o.Object != nil && hasCorrection(validate.Corrections(o.Object, l.policy)) {
				notes = append(notes, in.label(o)+": not fixed: --fix changes only manifests of aws-auth; correct the source from which another tool makes this aws-auth")
			}
			continue
		}
		fixed, r, err := fix.Manifest(text, o.Line, l.policy)
		if err != nil {
			notes = append(notes, in.label(o)+": not fixed: "+err.Error())
			continue
		}
		text = fixed
		if r.Untried > 0 {
			notes = append(notes, in.label(o)+": "+untriedNote(r.Untried))
		}
		if changes := awsauth.DiffAccess(o.Load(), r.Object.Load()); len(changes) > 0 {
			access := report.Access{Old: in.label(o), New: "the corrections", Changes: changes}
			result.access = append([]report.Access{access}, result.access...)
		}
		var list []report.Finding
		for _, f := range r.Fixed {
			list = append(list, report.Finding{File: in.name, InText: f.Line == 0, Finding: f})
		}
		slices.SortStableFunc(list, func(a, b report.Finding) int { // findings that only a correction revealed have no line, and come last
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

// isLink reports whether a name is that of a symbolic link.
func isLink(name string) bool {
	info, err := os.Lstat(name)
	return err == nil && info.Mode()&fs.ModeSymlink != 0
}

// untriedNote returns the note about the findings that fix did not try to correct.
func untriedNote(n int) string {
	return fmt.Sprintf("fix has reached its limit of work and did not try to correct %s; correct some of them by hand, and run the command again", counted(n, "finding"))
}

// counted returns a number with a noun, in the plural unless the number is 1.
func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// printFix prints the corrected findings of a file, the access that principals gain by the corrections and, with --dry-run, the diff. If
// the corrections change the file, it then says whether lint wrote them. The manifests of standard input go to standard output, and
// everything else to fixOut.
func (l *lintRun) printFix(f *fileFix) error {
	if f == nil {
		return nil
	}
	text := report.NewText(l.fixOut, useColours(l.fixOut))
	if err := errors.Join(text.AddFixed(f.fixed, f.dryRun), text.Add(report.File{Access: f.access})); err != nil {
		return outputError(err)
	}
	if len(f.diff) > 0 {
		if _, err := l.fixOut.Write(f.diff); err != nil {
			return outputError(err)
		}
	}
	if f.written {
		result := "wrote " + counted(len(f.fixed), "correction")
		if f.dryRun {
			result = counted(len(f.fixed), "correction") + " not written, because of --dry-run"
		}
		if _, err := fmt.Fprintf(l.fixOut, "%s: %s\n", report.OneLine(f.name), result); err != nil {
			return outputError(err)
		}
	}
	_, err := l.app.stdout.Write(f.text)
	return outputError(err)
}
