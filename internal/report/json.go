package report

import (
	"encoding/json"
	"io"

	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// JSON writes one object for all files when they have been added.
type JSON struct {
	w        io.Writer
	findings []jsonFinding
	access   []jsonAccess
}

// NewJSON returns a JSON; with edits it tells access even if nobody gains or loses any.
func NewJSON(w io.Writer, edits bool) *JSON {
	j := &JSON{w: w, findings: []jsonFinding{}}
	if edits {
		j.access = []jsonAccess{}
	}
	return j
}

type jsonLint struct {
	Verdict  validate.Action `json:"verdict"`
	Findings []jsonFinding   `json:"findings"`
	Access   []jsonAccess    `json:"access,omitzero"`
}

type jsonFinding struct {
	Rule     string            `json:"rule"`
	Severity validate.Severity `json:"severity"`
	Path     string            `json:"path"`
	File     string            `json:"file"`
	Resource string            `json:"resource,omitempty"`
	Line     int               `json:"line"`
	Column   int               `json:"column"`
	Message  string            `json:"message"`
	Hint     string            `json:"hint"`
}

// Add keeps the findings of a file.
func (j *JSON) Add(f File) error {
	for _, f := range f.Findings {
		j.findings = append(j.findings, jsonFinding{f.Rule, f.Severity, f.Path, f.File, f.Resource, f.Line, f.Column, f.Message, f.Hint})
	}
	for _, a := range f.Access {
		j.access = append(j.access, a.json(f.Name)...)
	}
	return nil
}

// End writes the object; findings is a list even if nothing was found.
func (j *JSON) End(t Total) error { return writeJSON(j.w, jsonLint{t.Verdict, j.findings, j.access}) }

// JSON writes one object; groups is a list even if there are none, source and index are null if
// the caller is not mapped.
func (e Explanation) JSON(w io.Writer) error { return writeJSON(w, e) }

func writeJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}
