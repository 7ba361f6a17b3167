// Package report writes findings, changes of access, explanations and the documentation of rules in several formats.
package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/textutil"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// File is one input of lint, with its results.
type File struct {
	Name string // as the user wrote it
	// Objects is the number of aws-auth objects in the file.
	Objects int
	// Resources is the number of access entries, associations of access policies and clusters in a plan or template.
	Resources int
	Problems  []Problem // errors that prevented the evaluation
	// Notes name the assumptions that lint made about the file, and the parts of the file that it did not evaluate.
	Notes    []string
	Findings []Finding
	// Access has the changes of access for each aws-auth that lint evaluated as an edit.
	Access []Access
}

// Finding is a finding in a file.
type Finding struct {
	File string
	// Resource is the address of the Terraform resource that the finding concerns. It is empty for manifests and templates.
	Resource string
	// InText reports whether Line and Column count from the start of the value of a key, and not from the start of the file. Path names
	// this key. InText is true for an input that has no line numbers, such as a live object or a Terraform plan.
	InText bool
	validate.Finding
}

// Problem is an error that prevents the evaluation of a file.
type Problem struct {
	File         string
	Line, Column int // zero if the problem concerns the whole file
	Message      string
}

func (p Problem) String() string { return p.Place() + ": error: " + OneLine(p.Message) }

// Place returns the position of the problem as text for the user.
func (p Problem) Place() string {
	if p.Line == 0 {
		return OneLine(p.File)
	}
	return fmt.Sprintf("%s:%d:%d", OneLine(p.File), p.Line, p.Column)
}

// Total is the summary of a run of lint over all files.
type Total struct {
	Files   int // number of files that lint read
	Objects int // number of aws-auth objects in these files
	// Resources is the number of access entries, associations of access policies, and clusters in the plans and templates.
	Resources int
	// Denied is the number of objects with at least one denial. All EKS resources of a file together count as one object.
	Denied   int
	Warned   int // number of objects that have warnings but no denial, counted as in Denied
	Problems int // number of files with errors
	Unread   int // number of files that lint did not read: templates of charts, and files that neither parse nor look like aws-auth
	// Verdict is the most severe verdict of all files, or [Failed] if a file has an error.
	Verdict validate.Action
	// Clusters are the clusters that lint read, if it read several. Then each cluster counts as a file.
	Clusters []Cluster
}

// Failed is the verdict of a run if lint could not evaluate one of the files.
const Failed validate.Action = "error"

// String returns a one-line summary with the counts.
func (t Total) String() string {
	unit := "file"
	if t.Clusters != nil {
		unit = "cluster"
	}
	text := fmt.Sprintf("%s, %d aws-auth", count(t.Files, unit), t.Objects)
	if t.Resources > 0 {
		text += ", " + count(t.Resources, "EKS resource")
	}
	var parts []string
	for _, part := range []struct {
		n    int
		text string
	}{
		{t.Denied, "%d denied"},
		{t.Warned, "%d with warnings"},
		{t.Problems, "%d with errors"},
		{t.Unread, "%d not read"},
	} {
		if part.n > 0 {
			parts = append(parts, fmt.Sprintf(part.text, part.n))
		}
	}
	if len(parts) == 0 {
		return text + ": nothing found"
	}
	return text + ": " + strings.Join(parts, ", ")
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Access has the changes of access by one edit of aws-auth.
type Access struct {
	Old, New string // the names of the old and the new version
	// Line and Resource say where the new version is in its file. They are set only if the file has several aws-auth objects.
	Line     int
	Resource string
	Changes  []awsauth.AccessChange
}

// OneLine makes an untrusted text safe to print. It escapes control characters and invisible characters, so that the text stays on one
// line and can't control the terminal. It also escapes commands for a GitHub runner. Such a command is ##[ anywhere in a line, or :: at
// the beginning of a line (actions/runner at 079cdb1d, src/Runner.Common/ActionCommand.cs, TryParse and TryParseV2).
func OneLine(s string) string {
	line := breakRunnerCommand(textutil.Printable(s))
	if rest := strings.TrimLeft(line, " "); strings.HasPrefix(rest, "::") {
		line = line[:len(line)-len(rest)] + `\x3a` + rest[1:]
	}
	return line
}

func breakRunnerCommand(line string) string { return strings.ReplaceAll(line, "##[", `#\x23[`) }

// place returns the position of the finding as text for the user.
func (f Finding) place() string {
	at := OneLine(f.File)
	if f.Resource != "" {
		at += ": " + OneLine(f.Resource)
	}
	switch {
	case !f.InText:
		return fmt.Sprintf("%s:%d:%d", at, f.Line, f.Column)
	case f.Line == 0:
		return at + ": " + OneLine(f.Path)
	}
	return fmt.Sprintf("%s: %s:%d:%d", at, OneLine(f.Path), f.Line, f.Column)
}

// text writes the finding on one line, and its hint on the next line. severity is the text for the severity. It may contain colour
// codes.
func (f Finding) text(b *strings.Builder, severity string) {
	fmt.Fprintf(b, "%s: %s: %s [%s]\n", f.place(), severity, OneLine(f.Message), f.Rule)
	if f.Hint != "" {
		fmt.Fprintf(b, "    hint: %s\n", OneLine(f.Hint))
	}
}

// flush writes the text with one call of w.Write, so that a reader of w gets all findings of a file at once. It writes no empty text.
func flush(w io.Writer, text *strings.Builder) error {
	if text.Len() == 0 {
		return nil
	}
	_, err := io.WriteString(w, text.String())
	return err
}
