package report

import (
	"encoding/json"
	"io"

	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

type jsonLint struct {
	Verdict  validate.Action `json:"verdict"`
	Findings []jsonFinding   `json:"findings"`
}

type jsonFinding struct {
	Rule     string            `json:"rule"`
	Severity validate.Severity `json:"severity"`
	Path     string            `json:"path"`
	File     string            `json:"file"`
	Line     int               `json:"line"`
	Column   int               `json:"column"`
	Message  string            `json:"message"`
	Hint     string            `json:"hint"`
}

// JSON writes one object; findings is a list even if nothing was found.
func (l Lint) JSON(w io.Writer) error {
	out := jsonLint{Verdict: l.Verdict, Findings: make([]jsonFinding, len(l.Findings))}
	for i, f := range l.Findings {
		out.Findings[i] = jsonFinding{f.Rule, f.Severity, f.Path, f.File, f.Line, f.Column, f.Message, f.Hint}
	}
	return writeJSON(w, out)
}

// JSON writes one object; groups is a list even if there are none, source and index are null if
// the caller is not mapped.
func (e Explanation) JSON(w io.Writer) error { return writeJSON(w, e) }

func writeJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}
