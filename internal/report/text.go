package report

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"strings"
)

// Text writes a line for each finding, FILE:LINE:COL: severity: message [rule], and its hint on
// the next line. Nothing found is nothing written.
func (l Lint) Text(w io.Writer) error {
	b := bufio.NewWriter(w)
	for _, f := range l.Findings {
		fmt.Fprintf(b, "%s:%d:%d: %s: %s [%s]\n", f.File, f.Line, f.Column, f.Severity, oneLine(f.Message), f.Rule)
		if f.Hint != "" {
			fmt.Fprintf(b, "    hint: %s\n", oneLine(f.Hint))
		}
	}
	return b.Flush()
}

// Text writes the answer in the first line, and below it what it rests on.
func (e Explanation) Text(w io.Writer) error {
	b := bufio.NewWriter(w)
	line := func(name, value string) { fmt.Fprintf(b, "    %-13s %s\n", name+":", oneLine(value)) }
	answer := "is not mapped"
	switch {
	case e.Ambiguous:
		answer = fmt.Sprintf("is mapped at random, for example by data.%s[%d]", *e.Source, *e.Index)
	case e.Mapped:
		answer = fmt.Sprintf("is mapped by data.%s[%d]", *e.Source, *e.Index)
	}
	fmt.Fprintf(b, "%s %s\n", oneLine(e.ARN), answer)
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
