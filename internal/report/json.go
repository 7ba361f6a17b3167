package report

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// JSON writes one JSON object for all files. Add writes the findings of a file, and End writes the other fields.
type JSON struct {
	w        io.Writer
	edits    bool // see NewJSON
	begun    bool // the beginning of the object is written
	findings jsonList
	access   jsonList
	changes  strings.Builder // the elements of access, which End writes
	errors   []jsonProblem
	notes    []string
}

// NewJSON returns a JSON that writes to w. The object has the field access only if edits is true. The field is then a list even if no
// principal gains or loses access.
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

// jsonProblem is an error that prevents the evaluation of a file. If it concerns the whole file, Line and Column are zero.
type jsonProblem struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
}

// Add writes the findings of a file. It keeps the other results of the file for End.
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
	j.notes = append(j.notes, f.Notes...)
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

// End writes the rest of the object: the changes of access, the notes, the errors, the verdict and the clusters. It omits the notes and the
// clusters if there are none.
func (j *JSON) End(t Total) error {
	var b strings.Builder
	j.begin(&b)
	j.findings.end(&b)
	if j.edits {
		b.WriteString(",\n  \"access\": [" + j.changes.String())
		j.access.end(&b)
	}
	type field struct {
		name  string
		value any
	}
	fields := []field{{"errors", j.errors}, {"verdict", t.Verdict}}
	if len(j.notes) > 0 {
		fields = append([]field{{"notes", j.notes}}, fields...)
	}
	if t.Clusters != nil {
		fields = append(fields, field{"clusters", t.Clusters})
	}
	for _, field := range fields {
		text, err := indented(field.value, 1)
		if err != nil {
			return err
		}
		b.WriteString(",\n  \"" + field.name + "\": " + text)
	}
	b.WriteString("\n}\n")
	return flush(j.w, &b)
}

// jsonList writes a JSON list one element at a time, with the same bytes as an encoder that indents. The caller writes the opening
// bracket. depth is the number of indents of the line with this bracket. n is the number of written elements.
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

// indent is the indentation of all JSON output.
const indent = "  "

// indented encodes a value as JSON. depth is the number of indents of the line on which the value begins.
func indented(v any, depth int) (string, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent(strings.Repeat(indent, depth), indent)
	err := encoder.Encode(v)
	return strings.TrimSuffix(b.String(), "\n"), err
}

// JSON writes the Explanation as a JSON object. The field groups is a list even if there are no groups. The fields source and index are
// null if the caller is not mapped.
func (e Explanation) JSON(w io.Writer) error { return writeJSON(w, e) }

func writeJSON(w io.Writer, v any) error {
	text, err := indented(v, 0)
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, text+"\n")
	return err
}
