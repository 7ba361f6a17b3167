package fix

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/edit"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// Manifest corrects the aws-auth that begins at a line of a file; see [awsauth.Manifest]. It returns the new file, in which only the lines of the
// corrected texts and keys differ. It returns an error if it can't write the corrections into a file of this form.
func Manifest(src []byte, line int, policy validate.Policy) ([]byte, Result, error) {
	o, err := manifestAt(src, line)
	if err != nil {
		return nil, Result{}, err
	}
	literals, src, o := writeLiterals(src, line, o, policy)
	r := Object(o, policy)
	r.Fixed = append(literals, r.Fixed...)
	for from, to := range r.Renamed {
		if src, err = renameKey(src, line, from, to); err != nil {
			return nil, r, err
		}
	}
	if o, err = manifestAt(src, line); err != nil {
		return nil, r, err
	}
	if texts := r.Texts(o); len(texts) > 0 {
		if src, err = edit.Manifest(src, line, texts); err != nil {
			return nil, r, fmt.Errorf("writing the corrected texts: %w", err)
		}
	}
	return src, r, nil
}

func manifestAt(src []byte, line int) (*awsauth.Object, error) {
	manifests, _ := awsauth.ParseManifests(src)
	for _, m := range manifests {
		if m.Line == line {
			return m.Object, nil
		}
	}
	return nil, fmt.Errorf("no aws-auth begins in line %d", line)
}

// renameKey returns the file with a key under data renamed. It returns an error if it can't find the key's text in the file.
func renameKey(src []byte, line int, from, to string) ([]byte, error) {
	o, err := manifestAt(src, line)
	if err != nil {
		return nil, err
	}
	for _, key := range o.Parse().DataKeys {
		if key.Value != from {
			continue
		}
		text := string(src)
		at := awsauth.OffsetAt(text, key.Line, key.Column)
		for _, written := range []string{from, `"` + from + `"`, `'` + from + `'`} {
			if rest, ok := strings.CutPrefix(text[at:], written); ok {
				changed := text[:at] + strings.Replace(written, from, to, 1) + rest
				now, err := manifestAt([]byte(changed), line)
				if err == nil && now.Data[to] == o.Data[from] && len(now.Data) == len(o.Data) {
					return []byte(changed), nil
				}
			}
		}
	}
	return nil, fmt.Errorf("rename the key %q to %s by hand: its place in the file is not certain", from, to)
}

// writeLiterals writes | after the sections that are lists instead of texts, and indents the lists. It returns the findings that this corrects.
func writeLiterals(src []byte, line int, o *awsauth.Object, policy validate.Policy) ([]validate.Finding, []byte, *awsauth.Object) {
	var fixed []validate.Finding
	for range awsauth.Sections() {
		for _, f := range validate.Corrections(o, policy) {
			if f.Correction == nil || f.Correction.Literal == "" {
				continue
			}
			changed, err := writeLiteral(src, f)
			if err != nil {
				continue
			}
			now, err := manifestAt(changed, line)
			if err != nil || len(now.NotText) >= len(o.NotText) || now.Load().LoadError(awsauth.Section(f.Correction.Literal)) != nil {
				continue
			}
			fixed = append(fixed, f)
			src, o = changed, now
			break
		}
	}
	return fixed, src, o
}

var errNoList = errors.New("no list in block style below the key")

// writeLiteral returns the file with | after the key of a finding, and with the list below the key indented. It returns an error if the list has
// another form.
func writeLiteral(src []byte, f validate.Finding) ([]byte, error) {
	start, end := awsauth.OffsetAt(string(src), f.Line, 1), len(src)
	if n := bytes.IndexByte(src[start:], '\n'); n >= 0 {
		end = start + n
	}
	key := string(src[start:end])
	indent := len(key) - len(strings.TrimLeft(key, " "))
	if strings.TrimRight(key[indent:], " \t\r") != f.Correction.Literal+":" || end == len(src) {
		return nil, errNoList
	}
	list, pending := "", ""
	shift, last, next := 0, end+1, end+1
	for text := range strings.Lines(string(src[next:])) {
		n, body := len(text)-len(strings.TrimLeft(text, " ")), strings.TrimSpace(text)
		comment := body == "" || body[0] == '#'
		if !comment && (n < indent || n == indent && body[0] != '-') {
			break
		}
		if !comment && n == indent {
			shift = 2
		}
		pending += text
		next += len(text)
		if !comment { // comments and empty lines belong to the list only if a line of the list follows them
			list, pending, last = list+pending, "", next
		}
	}
	if list == "" {
		return nil, errNoList
	}
	list = indented(list, shift)
	at := start + indent + len(f.Correction.Literal) + 1
	return []byte(string(src[:at]) + " |" + string(src[at:end+1]) + list + string(src[last:])), nil
}

// indented returns the lines with by more spaces before each line that is not empty.
func indented(lines string, by int) string {
	var b strings.Builder
	for line := range strings.Lines(lines) {
		if strings.TrimSpace(line) != "" {
			b.WriteString(strings.Repeat(" ", by))
		}
		b.WriteString(line)
	}
	return b.String()
}
