// Package report writes what the guard has found, in a form for each kind of reader.
package report

import (
	"strconv"
	"strings"
	"unicode"

	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// Lint is the outcome of judging files.
type Lint struct {
	// Verdict is the severest of all files.
	Verdict  validate.Action
	Findings []Finding
}

// Finding is a finding in a file.
type Finding struct {
	File string
	validate.Finding
}

// oneLine writes control characters and invisible ones, which values may bring with them, as
// escapes, so that a finding stays on its line and a terminal is not told what to do.
func oneLine(s string) string {
	var b strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRune(r)
		b.WriteString(quoted[1 : len(quoted)-1])
	}
	return b.String()
}
