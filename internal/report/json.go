package report

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// JSON writes one object for all files: the findings of each when it is added, and behind them what
// is known at the end only.
type JSON struct {
	w        io.Writer
	edits    bool
	begun    bool
	findings jsonList
	access   jsonList
	changes  strings.Builder // the text of access
	errors   []jsonProblem
}

// NewJSON returns a JSON; with edits it tells access even if nobody gains or loses any.
func NewJSON(w io.Writer, edits bool) *JSON {
	return &JSON{w: w, edits: edits, findings: jsonList{depth: 1}, access: jsonList{depth: 1}, errors: []jsonProblem{}}
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

// jsonProblem is what could not be read; line and column are zero where the whole file is meant.
type jsonProblem struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
}

// Add writes the findings of a file.
func (j *JSON) Add(f File) error {
	var b strings.Builder
	j.begin(&b)
	for _, f := range f.Findings {
		if err := j.findings.add(&b, jsonFinding{f.Rule, f.Severity, f.Path, f.File, f.Resource, f.Line, f.Column, f.Message, f.Hint}); err != nil {
			return err
		}
	}
	for _, a := range f.Access {
		for _, change := range a.json(f.Name) {
			if err := j.access.add(&j.changes, change); err != nil {
				return err
			}
		}
	}
	for _, p := range f.Problems {
		j.errors = append(j.errors, jsonProblem(p))
	}
	return flush(j.w, &b)
}

func (j *JSON) begin(b *strings.Builder) {
	if !j.begun {
		j.begun = true
		b.WriteString("{\n  \"findings\": [")
	}
}

// End writes the rest; each list is one even if nothing is in it.
func (j *JSON) End(t Total) error {
	var b strings.Builder
	j.begin(&b)
	j.findings.end(&b)
	if j.edits {
		b.WriteString(",\n  \"access\": [" + j.changes.String())
		j.access.end(&b)
	}
	for _, field := range []struct {
		name  string
		value any
	}{{"errors", j.errors}, {"verdict", t.Verdict}} {
		text, err := indented(field.value, 1)
		if err != nil {
			return err
		}
		b.WriteString(",\n  \"" + field.name + "\": " + text)
	}
	b.WriteString("\n}\n")
	return flush(j.w, &b)
}

// jsonList writes the elements of a list one by one, as an encoder with an indent writes the whole
// list. Its bracket has been written; depth is that of the line with the bracket.
type jsonList struct{ depth, n int }

func (l *jsonList) add(b *strings.Builder, v any) error {
	text, err := indented(v, l.depth+1)
	if err != nil {
		return err
	}
	if l.n > 0 {
		b.WriteString(",")
	}
	l.n++
	b.WriteString("\n" + strings.Repeat(indent, l.depth+1) + text)
	return nil
}

func (l *jsonList) end(b *strings.Builder) {
	if l.n > 0 {
		b.WriteString("\n" + strings.Repeat(indent, l.depth))
	}
	b.WriteString("]")
}

// indent is that of every JSON output.
const indent = "  "

// indented is a value as it stands in a line of a depth.
func indented(v any, depth int) (string, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent(strings.Repeat(indent, depth), indent)
	err := encoder.Encode(v)
	return strings.TrimSuffix(b.String(), "\n"), err
}

// JSON writes one object; groups is a list even if there are none, source and index are null if
// the caller is not mapped.
func (e Explanation) JSON(w io.Writer) error { return writeJSON(w, e) }

func writeJSON(w io.Writer, v any) error {
	text, err := indented(v, 0)
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, text+"\n")
	return err
}
