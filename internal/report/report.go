// Package report writes what the guard has found, in a form for each kind of reader.
package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/textutil"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// File is an input of a run and what became of it.
type File struct {
	Name string // as the user calls it
	// Objects is how many aws-auth it holds. One of a folder that holds none is of no interest.
	Objects  int
	Problems []Problem // what could not be read or judged
	Findings []Finding
	// Access is who gains and loses what, of each aws-auth that was judged as an edit.
	Access []Access
}

// Finding is a finding in a file.
type Finding struct {
	File string
	// Resource is the address of the Terraform resource that holds the object; empty for manifests.
	Resource string
	// InText: the file has no lines to show. Line and Column count within the text of the key that
	// Path names. So it is for a live object and for Terraform.
	InText bool
	validate.Finding
}

// Problem is something that keeps a file from being judged.
type Problem struct {
	File         string
	Line, Column int // zero where the file as a whole is meant
	Message      string
}

func (p Problem) String() string { return p.Place() + ": error: " + OneLine(p.Message) }

// Place is where the problem stands, as people read it.
func (p Problem) Place() string {
	if p.Line == 0 {
		return OneLine(p.File)
	}
	return fmt.Sprintf("%s:%d:%d", OneLine(p.File), p.Line, p.Column)
}

// Total is what a run comes to.
type Total struct {
	Files    int // that were looked at
	Objects  int // aws-auth in them
	Denied   int // aws-auth with at least one denial
	Warned   int // aws-auth with warnings and no denial
	Problems int // files that could not be read or judged
	Unread   int // files that do not parse and do not look like an aws-auth, and templates of charts
	// Verdict is the severest of all files, [Failed] where one could not be judged.
	Verdict validate.Action
}

// Failed is the verdict on a run in which something could not be read or judged.
const Failed validate.Action = "error"

// String counts on one line.
func (t Total) String() string {
	text := fmt.Sprintf("%s, %d aws-auth", count(t.Files, "file"), t.Objects)
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

// Access is who gains and who loses what by an edit.
type Access struct {
	Old, New string // the names of the versions
	Changes  []awsauth.AccessChange
}

// OneLine writes control characters and invisible ones, which values may bring with them, as
// escapes, so that a text stays on its line and a terminal is not told what to do. Nor is a runner
// of GitHub: it takes ##[ for a command anywhere in a line, and :: at its beginning (actions/runner at
// 079cdb1d, src/Runner.Common/ActionCommand.cs, TryParse and TryParseV2).
func OneLine(s string) string {
	line := brokenMark(textutil.Printable(s))
	if rest := strings.TrimLeft(line, " "); strings.HasPrefix(rest, "::") {
		line = line[:len(line)-len(rest)] + `\x3a` + rest[1:]
	}
	return line
}

func brokenMark(line string) string { return strings.ReplaceAll(line, "##[", `#\x23[`) }

// place is where a finding stands, as people read it.
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

// text writes a finding on one line and its hint on the next; severity is as it is to be shown.
func (f Finding) text(b *strings.Builder, severity string) {
	fmt.Fprintf(b, "%s: %s: %s [%s]\n", f.place(), severity, OneLine(f.Message), f.Rule)
	if f.Hint != "" {
		fmt.Fprintf(b, "    hint: %s\n", OneLine(f.Hint))
	}
}

// flush writes a text in one piece, so that a reader never sees half a file's findings.
func flush(w io.Writer, text *strings.Builder) error {
	if text.Len() == 0 {
		return nil
	}
	_, err := io.WriteString(w, text.String())
	return err
}
