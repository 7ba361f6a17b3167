package report

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// Text writes the findings of each file as text for people.
type Text struct {
	w      io.Writer
	colour bool
}

// NewText returns a Text that writes to w. If colour is true, it writes the severities in colour.
func NewText(w io.Writer, colour bool) *Text { return &Text{w: w, colour: colour} }

// Add writes a line for each finding, in the form "FILE:LINE:COL: severity: message [rule]". The hint is on the next line. Then Add
// writes the changes of access. It doesn't write the problems of the file.
func (t *Text) Add(f File) error {
	var b strings.Builder
	for _, f := range f.Findings {
		f.text(&b, t.severity(f.Severity))
	}
	for _, a := range f.Access {
		a.text(&b)
	}
	return flush(t.w, &b)
}

// AddFixed writes the findings that a correction removed, as Add does, with the word fixed in place of the severity. With dryRun the words are
// "would fix".
func (t *Text) AddFixed(findings []Finding, dryRun bool) error {
	word := "fixed"
	if dryRun {
		word = "would fix"
	}
	var b strings.Builder
	for _, f := range findings {
		f.text(&b, word)
	}
	return flush(t.w, &b)
}

// End writes nothing, because the caller writes the summary.
func (t *Text) End(Total) error { return nil }

// Escape sequences for the colours of severities. Compilers use the same colours.
const (
	red    = "\x1b[1;31m"
	yellow = "\x1b[1;33m"
	plain  = "\x1b[0m"
)

func (t *Text) severity(s validate.Severity) string {
	switch {
	case !t.colour:
		return string(s)
	case s == validate.Deny:
		return red + string(s) + plain
	}
	return yellow + string(s) + plain
}

// Text writes on the first line whether an entry maps the caller, and on the next lines the details.
func (e Explanation) Text(w io.Writer) error {
	b := bufio.NewWriter(w)
	line := func(name, value string) { fmt.Fprintf(b, "    %-13s %s\n", name+":", OneLine(value)) }
	answer := "is not mapped"
	switch {
	case e.Ambiguous:
		answer = fmt.Sprintf("is mapped at random, for example by data.%s[%d]", *e.Source, *e.Index)
	case e.Mapped:
		answer = fmt.Sprintf("is mapped by data.%s[%d]", *e.Source, *e.Index)
	}
	fmt.Fprintf(b, "%s %s\n", OneLine(e.ARN), answer)
	if e.At != "" {
		line("at", e.At)
	}
	if e.CanonicalARN != "" && e.CanonicalARN != e.ARN {
		line("looked up as", e.CanonicalARN)
	}
	if e.Mapped {
		line("username", cmp.Or(e.Username, "(none)"))
		line("groups", cmp.Or(strings.Join(e.Groups, ", "), "(none)"))
	}
	for _, reason := range e.reasons {
		line("reason", reason)
	}
	return b.Flush()
}
