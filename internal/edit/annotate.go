package edit

import (
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// Annotate sets an annotation of one aws-auth in a file of manifests, and returns the new file. line is the line at which the aws-auth
// begins; see [awsauth.Manifest]. Annotate changes only the text of the annotation. If the annotation or the key annotations is missing,
// Annotate adds it.
func Annotate(src []byte, line int, name, value string) ([]byte, error) {
	return changeFile(src, func(file string) (string, error) {
		o, err := awsauth.OutlineManifest([]byte(file), line)
		if err != nil {
			return "", err //nolint:wrapcheck // the error names the reason
		}
		m := manifest{file: file, object: o.Object, json: o.JSON, text: value, brk: lineBreak(file)}
		for _, form := range m.annotationForms(name) {
			if changed := form(); utf8.ValidString(changed) && changed != "" && !o.Differs([]byte(changed), awsauth.Path{"metadata", "annotations", name}, value) {
				return changed, nil
			}
		}
		return "", errors.New("the metadata is written in a form that this program does not change safely")
	})
}

// annotationForms returns the ways to write an annotation, the best one first. Each returns the file, or "" if it is not possible.
func (m *manifest) annotationForms(name string) []func() string {
	_, metadata := last(m.object, "metadata")
	if metadata == nil || metadata.Kind != awsauth.MappingSpan || len(metadata.Items) == 0 {
		return nil
	}
	value := func(flow bool) string {
		if m.json {
			return m.quoted()
		}
		return write(m.text, awsauth.Unquoted, flow)
	}
	pair := func(flow bool) string { return m.name(name) + m.colon() + value(flow) }
	braces := func() string { return "{" + pair(true) + "}" }
	splice := func(at *awsauth.Span, text string) string { return apply(m.file, []splice{replaceValue(at, text)}) }
	_, annotations := last(metadata, "annotations")
	switch {
	case annotations == nil && metadata.Flow:
		return []func() string{func() string { return m.addToFlow(metadata, m.name("annotations")+m.colon()+braces()) }}
	case annotations == nil:
		lines := func(indent int) string {
			return "annotations:" + m.brk + strings.Repeat(" ", indent+2) + pair(false)
		}
		return m.addKeyForms(metadata, lines)
	case annotations.Kind != awsauth.MappingSpan || len(annotations.Items) == 0: // null or {}
		return []func() string{func() string { return splice(annotations, braces()) }}
	}
	if _, old := last(annotations, name); old != nil {
		return []func() string{func() string { return splice(old, value(annotations.Flow)) }}
	}
	if annotations.Flow {
		return []func() string{func() string { return m.addToFlow(annotations, pair(true)) }}
	}
	return m.addKeyForms(annotations, func(int) string { return pair(false) })
}

// addKeyForms returns the ways to add lines to a block mapping: below its last key, or above its first one.
func (m *manifest) addKeyForms(mapping *awsauth.Span, write func(indent int) string) []func() string {
	indent := column(m.file, mapping.Items[0].Mark)
	return []func() string{
		func() string { return m.addKey(mapping, indent, write) },
		func() string { return m.addKeyFirst(mapping, indent, write) },
	}
}
