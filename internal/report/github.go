package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/textutil"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// GitHub writes findings as workflow commands. GitHub Actions shows such a command as an annotation on a line of a pull request (GitHub
// Docs, "Workflow commands for GitHub Actions").
type GitHub struct{ w io.Writer }

// NewGitHub returns a GitHub that writes to w.
func NewGitHub(w io.Writer) *GitHub { return &GitHub{w} }

// Add writes a workflow command for each problem and each finding of a file. Each command is exactly one line. So no value of a finding can
// inject another command.
func (g *GitHub) Add(f File) error {
	var b strings.Builder
	for _, p := range f.Problems {
		writeCommand(&b, "error", p.File, p.Line, p.Column, "awsauth-guard", OneLine(p.Message))
	}
	for _, f := range f.Findings {
		level, line, column, message := "warning", f.Line, f.Column, OneLine(f.Message)
		if f.Severity == validate.Deny {
			level = "error"
		}
		if f.InText {
			line, column, message = 0, 0, f.place()+": "+message
		}
		if f.Hint != "" {
			message += "\n" + OneLine(f.Hint)
		}
		writeCommand(&b, level, f.File, line, column, f.Rule, message)
	}
	return flush(g.w, &b)
}

// End writes nothing, because this format has no summary.
func (g *GitHub) End(Total) error { return nil }

var (
	messageEscapes  = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	propertyEscapes = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

func writeCommand(b *strings.Builder, level, file string, line, column int, title, message string) {
	fmt.Fprintf(b, "::%s file=%s", level, breakRunnerCommand(textutil.Printable(propertyEscapes.Replace(file))))
	if line > 0 {
		fmt.Fprintf(b, ",line=%d,col=%d", line, column)
	}
	fmt.Fprintf(b, ",title=%s::%s\n", propertyEscapes.Replace(title), messageEscapes.Replace(message))
}
