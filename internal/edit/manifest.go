package edit

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// Manifest returns a file of manifests in which the sections of one aws-auth have other texts. line is the line at which this aws-auth begins;
// see [awsauth.Manifest]. texts holds the new texts, by section. Manifest adds a section that the aws-auth lacks. It writes a text as a literal
// block (mapRoles: |) or, in JSON and in braces, in quotes. All other lines of the file stay the same.
func Manifest(src []byte, line int, texts map[awsauth.Section]string) ([]byte, error) {
	return changeFile(src, func(file string) (string, error) {
		for _, s := range awsauth.Sections() {
			text, ok := texts[s]
			if !ok {
				continue
			}
			var err error
			if file, err = setSection(file, line, s, text); err != nil {
				return "", err
			}
		}
		return file, nil
	})
}

// changeFile changes a file that may lack the line break at its end. kubectl reads such a file as if a line break ended it.
func changeFile(src []byte, change func(file string) (string, error)) ([]byte, error) {
	file := string(src)
	cut := file != "" && !strings.HasSuffix(file, "\n")
	if cut {
		file += lineBreak(file)
	}
	file, err := change(file)
	if err != nil {
		return nil, err
	}
	if cut {
		file = strings.TrimSuffix(strings.TrimSuffix(file, "\n"), "\r")
	}
	return []byte(file), nil
}

// setSection returns a file in which one section of the aws-auth at a line has another text. It tries several forms of writing the text. It
// returns an error if none of them changes this text and nothing else.
func setSection(file string, line int, s awsauth.Section, text string) (string, error) {
	refuse := func(reason string) error { return &RefusedError{s, -1, reason} }
	if !utf8.ValidString(text) {
		return "", refuse("the new text is not UTF-8")
	}
	o, err := awsauth.OutlineManifest([]byte(file), line)
	if err != nil {
		return "", refuse(err.Error())
	}
	m := manifest{file: file, object: o.Object, json: o.JSON, section: s, text: text, brk: lineBreak(file)}
	for _, form := range m.forms() {
		if changed := form(); changed != "" && !o.Differs([]byte(changed), awsauth.Path{"data", string(s)}, text) {
			return changed, nil
		}
	}
	return "", refuse("its text is written in a form that this program does not change safely; write it as " + string(s) + ": |")
}

// manifest writes the text of a section or of an annotation in a file. Its methods return "" if they can't write the text.
type manifest struct {
	file    string
	object  *awsauth.Span // the aws-auth in the file
	json    bool          // the aws-auth is JSON
	section awsauth.Section
	text    string // the new text of the section or of the annotation
	brk     string // the line break of the file
}

// last returns the last key with a name in a mapping, and its value. It returns nil if the mapping has no such key.
func last(mapping *awsauth.Span, name string) (key, value *awsauth.Span) {
	if mapping.Kind != awsauth.MappingSpan {
		return nil, nil
	}
	for i := len(mapping.Items) - 2; i >= 0; i -= 2 {
		if mapping.Items[i].Value == name {
			return mapping.Items[i], mapping.Items[i+1]
		}
	}
	return nil, nil
}

// forms returns functions that write the text in different forms. The best form comes first. Each function returns the new file, or "" if it
// can't write this form.
func (m *manifest) forms() []func() string {
	_, data := last(m.object, "data")
	switch {
	case data == nil && m.object.Flow:
		return []func() string{func() string {
			return m.addToFlow(m.object, m.name("data")+m.colon()+"{"+m.name(string(m.section))+m.colon()+m.quoted()+"}")
		}}
	case data == nil:
		return []func() string{
			func() string { return m.addData(m.literal) },
			func() string { return m.addData(m.quotedPair) },
		}
	case data.Kind == awsauth.MappingSpan && len(data.Items) > 0:
		return m.formsIn(data)
	case m.object.Flow:
		return []func() string{func() string {
			return apply(m.file, []splice{replaceValue(data, "{"+m.name(string(m.section))+m.colon()+m.quoted()+"}")})
		}}
	case data.Start == data.End, data.Kind == awsauth.ScalarSpan, data.Kind == awsauth.MappingSpan: // null or {}
		return []func() string{
			func() string { return m.fillData(data, m.literal) },
			func() string { return m.fillData(data, m.quotedPair) },
		}
	}
	return nil
}

// formsIn does what forms does, for a data that already has keys.
func (m *manifest) formsIn(data *awsauth.Span) []func() string {
	key, value := last(data, string(m.section))
	indent := column(m.file, data.Items[0].Mark)
	switch {
	case data.Flow && value == nil:
		return []func() string{func() string { return m.addToFlow(data, m.name(string(m.section))+m.colon()+m.quoted()) }}
	case data.Flow:
		return []func() string{func() string { return apply(m.file, []splice{replaceValue(value, m.quoted())}) }}
	case value == nil:
		return []func() string{
			func() string { return m.addKey(data, indent, m.literal) },
			func() string { return m.addKeyFirst(data, indent, m.literal) },
			func() string { return m.addKey(data, indent, m.quotedPair) },
			func() string { return m.addKeyFirst(data, indent, m.quotedPair) },
		}
	}
	return []func() string{
		func() string { return m.changeLiteral(value, column(m.file, key.Mark)) },
		func() string { return m.replaceByLiteral(value, column(m.file, key.Mark)) },
		func() string { return apply(m.file, []splice{replaceValue(value, m.quoted())}) },
	}
}

// name returns a key, in quotes if the aws-auth is JSON.
func (m *manifest) name(key string) string {
	if m.json {
		return `"` + key + `"`
	}
	return key
}

// colon returns the colon after a key, in the style of the object.
func (m *manifest) colon() string {
	colon := ": "
	if len(m.object.Items) > 1 {
		take(&colon, colonOnly, m.file[m.object.Items[0].End:m.object.Items[1].Start])
	}
	if colon == ":" && !m.json {
		return ": "
	}
	return colon
}

// quoted returns the text of the section in quotes.
func (m *manifest) quoted() string {
	if !m.json {
		return doubleQuoted(m.text)
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(m.text); err != nil {
		return "" // not reached: a text has a JSON form
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// quotedPair returns the section's key and its text in quotes. The parameter is there so that it has the same type as literal.
func (m *manifest) quotedPair(int) string { return string(m.section) + ": " + m.quoted() }

// addToFlow returns the file with one more pair at the end of a mapping in braces. pair is the text of a key and its value.
func (m *manifest) addToFlow(mapping *awsauth.Span, pair string) string {
	items := mapping.Items
	n := len(items)
	if n == 0 {
		return apply(m.file, []splice{{mapping.Text + 1, mapping.Text + 1, pair}})
	}
	sep := ", "
	if n > 2 {
		take(&sep, commaOnly, m.file[items[1].End:items[2].Start])
	} else if gap := m.file[mapping.Text+1 : items[0].Start]; gap != "" && spaceOnly.MatchString(gap) {
		sep = "," + gap
	} else if m.colon() == ":" {
		sep = ","
	}
	return apply(m.file, []splice{{items[n-1].End, items[n-1].End, sep + pair}})
}

// afterValue returns the end of the last line of a mapping without braces. ok is false if other text follows the mapping in that line.
func (m *manifest) afterValue(mapping *awsauth.Span) (at int, ok bool) {
	return endOfLine(m.file, mapping.Items[len(mapping.Items)-1].End)
}

// addKey returns the file with a new key below the last key of the mapping data. write returns the text of the key and its value for a column,
// and indent is that column.
func (m *manifest) addKey(data *awsauth.Span, indent int, write func(int) string) string {
	at, ok := m.afterValue(data)
	if !ok {
		return ""
	}
	return apply(m.file, []splice{{at, at, m.brk + strings.Repeat(" ", indent) + write(indent)}})
}

// addKeyFirst returns the file with a new key above the first key of the mapping data. Its parameters are those of addKey.
func (m *manifest) addKeyFirst(data *awsauth.Span, indent int, write func(int) string) string {
	at := lineStart(m.file, data.Items[0].Mark)
	if !blank(m.file[at:data.Items[0].Mark]) {
		return ""
	}
	return apply(m.file, []splice{{at, at, strings.Repeat(" ", indent) + write(indent) + m.brk}})
}

// addData returns the file with the key data and the section in it, below the last key of the object. write is as in addKey.
func (m *manifest) addData(write func(int) string) string {
	if len(m.object.Items) == 0 {
		return ""
	}
	at, ok := m.afterValue(m.object)
	if !ok {
		return ""
	}
	indent := column(m.file, m.object.Items[0].Mark)
	text := m.brk + strings.Repeat(" ", indent) + "data:" + m.brk + strings.Repeat(" ", indent+2) + write(indent+2)
	return apply(m.file, []splice{{at, at, text}})
}

// fillData returns the file with the section in data, which is empty. write is as in addKey.
func (m *manifest) fillData(data *awsauth.Span, write func(int) string) string {
	at, ok := endOfLine(m.file, data.End)
	if !ok {
		return ""
	}
	indent := column(m.file, m.object.Items[0].Mark) + 2
	return apply(m.file, []splice{
		{data.After, data.End, ""},
		{at, at, m.brk + strings.Repeat(" ", indent) + write(indent)},
	})
}
