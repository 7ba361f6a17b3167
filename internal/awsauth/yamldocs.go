package awsauth

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// rawDocument is a part of a file that kubectl reads as one document.
type rawDocument struct {
	text   string
	offset int  // in the file
	json   bool // whether kubectl reads the document with its JSON decoder
}

// start returns the offset in the file of the document's first character after white space and a leading --- marker.
func (c rawDocument) start() int {
	rest := strings.TrimLeftFunc(c.text, unicode.IsSpace)
	if after, ok := strings.CutPrefix(rest, "---"); ok && wordLen(after, 0) == 0 {
		rest = strings.TrimLeftFunc(after, unicode.IsSpace)
	}
	return c.offset + len(c.text) - len(rest)
}

// split cuts the file into documents. It reads a file that begins with a brace as a sequence of JSON values. If the
// first or second value is not JSON, split reads the file from this value on as YAML.
func (r *sourceReader) split() []rawDocument {
	text, at := r.file.text, r.file.lines.first
	var documents []rawDocument
	if strings.HasPrefix(strings.TrimLeftFunc(text[at:], unicode.IsSpace), "{") && at == 0 {
		decoder := json.NewDecoder(strings.NewReader(text))
		for {
			var value json.RawMessage
			err := decoder.Decode(&value)
			if errors.Is(err, io.EOF) {
				return documents
			}
			if err != nil && len(documents) > 1 {
				r.failJSON(at, err)
				return documents
			}
			if err != nil {
				break
			}
			at = int(decoder.InputOffset())
			documents = append(documents, rawDocument{string(value), at - len(value), true})
		}
	}
	return append(documents, r.splitYAML(at)...)
}

// splitYAML cuts the file into documents, from an offset to the end of the file. A line that begins with three dashes
// separates documents. kubectl does the same without parsing the YAML.
func (r *sourceReader) splitYAML(at int) []rawDocument {
	var documents []rawDocument
	begin := at
	for line := range strings.Lines(r.file.text[at:]) {
		end := at
		at += len(line)
		rest, ok := strings.CutPrefix(line, "---")
		if !ok {
			continue
		}
		if rest = strings.TrimSpace(rest); rest != "" && rest[0] != '#' {
			r.fail(end, "kubectl refuses %q after the three dashes that separate documents", rest)
		}
		if begin < end { // kubectl, too, counts such a line at the beginning as a part of the document
			documents = append(documents, rawDocument{text: r.file.text[begin:end], offset: begin})
			begin = at
		}
	}
	rest := r.file.text[begin:]
	if rest != "" && !strings.HasSuffix(rest, "\n") {
		rest += "\n" // as kubectl does; this changes the value of a literal at the end
	}
	return append(documents, rawDocument{text: rest, offset: begin})
}

// failJSON records an error in a sequence of JSON values. at is the end of the last valid value.
func (r *sourceReader) failJSON(at int, err error) {
	at = rawDocument{text: r.file.text[at:], offset: at}.start()
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		at = int(syntax.Offset) - 1
	}
	r.fail(at, "the document does not parse as JSON: %w", err)
}

// part is the text of one document and its place in the file. The lines of the document's node tree count from the
// beginning of the document, and not of the file.
type part struct {
	file   *file
	text   string
	offset int // in the file
	lines  lineIndex
}

// file is a whole file, or the text of a value in another file.
type file struct {
	text  string
	lines lineIndex
	// outer is the file that holds the value, and nil for a whole file. The value begins at the offset start in outer.
	// segments map offsets in the value to offsets in outer, and are nil if these offsets are not known.
	outer    *file
	start    int
	segments []segment
}

func newFile(text string) *file { return &file{text: text, lines: newLineIndex(text)} }

// position returns the line and column of an offset. If f is the text of a value, they count in the outermost file.
func (f *file) position(offset int) (line, column int) {
	switch {
	case f.outer == nil:
		return f.lines.position(f.text, offset)
	case f.segments == nil:
		return f.outer.position(f.start)
	}
	return f.outer.position(locateIn(f.segments, offset))
}

// at returns the offset in the file at which the text of a node begins.
func (p *part) at(n *yaml.Node) int { return p.offset + scalarOffset(p.text, &p.lines, n) }

// tree returns the document's node tree, which gives positions. The node is nil if yaml.v3 can't read the document, or if
// the document is empty. The error names text after the end of the YAML document, because kubectl ignores such text
// silently. The error is nil if there is no such text.
func (r *sourceReader) tree(c rawDocument) (*part, *yaml.Node, *ManifestError) {
	p := &part{file: r.file, text: c.text, offset: c.offset, lines: r.file.lines}
	if len(c.text) != len(r.file.text) {
		p.lines = newLineIndex(c.text)
	}
	if c.json {
		p.lines.yaml = p.lines.editor // JSON ends no line at NEL, LS and PS
		return p, jsonTree(c.text, &p.lines), nil
	}
	decoder := yaml.NewDecoder(strings.NewReader(c.text))
	var first yaml.Node
	if !hasDocument(decoder, &first) {
		return p, nil, nil
	}
	for {
		var next yaml.Node
		err := decoder.Decode(&next)
		if errors.Is(err, io.EOF) {
			return p, resolveAlias(first.Content[0]), nil
		}
		var at int
		if err != nil {
			at = p.lines.offset(c.text, errorLine(err), 1)
		} else {
			content := next.Content[0]
			if content.Kind == yaml.ScalarNode && content.Tag == "!!null" {
				continue
			}
			at = p.lines.offset(c.text, content.Line, content.Column)
		}
		return p, resolveAlias(first.Content[0]), r.errorAt(c.offset+at, "the document has ended before this line, and kubectl reads no more of it; indent all its keys alike, or begin a document with ---")
	}
}

// hasDocument decodes the next document into a node. It returns false if yaml.v3 can't read the document.
func hasDocument(decoder *yaml.Decoder, document *yaml.Node) bool {
	return decoder.Decode(document) == nil && len(document.Content) > 0
}

// jsonTree builds the node tree of a valid JSON text. yaml.v3 can't read every JSON text: it supports neither the
// escape \/ nor surrogate pairs.
func jsonTree(text string, lines *lineIndex) *yaml.Node {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	return jsonNode(d, text, lines)
}

func jsonNode(d *json.Decoder, text string, lines *lineIndex) *yaml.Node {
	rest := text[d.InputOffset():]
	at := len(text) - len(strings.TrimLeft(rest, " \t\r\n:,"))
	token, err := d.Token()
	if err != nil {
		return nil
	}
	n := &yaml.Node{Kind: yaml.ScalarNode}
	n.Line, n.Column = lines.position(text, at)
	switch token := token.(type) {
	case json.Delim:
		n.Kind = yaml.MappingNode
		if token == '[' {
			n.Kind = yaml.SequenceNode
		}
		for d.More() {
			child := jsonNode(d, text, lines)
			if child == nil {
				return nil
			}
			n.Content = append(n.Content, child)
		}
		if _, err := d.Token(); err != nil {
			return nil
		}
	case string:
		n.Style, n.Value = yaml.DoubleQuotedStyle, token
	}
	return n
}
