package validate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

var wrongType = &Rule{
	ID:       "wrong-type",
	Severity: Deny,
	Title:    "the authenticator ignores a value because of its type",
	Doc: `
The authenticator ignores a value of a wrong type without an error, and keeps the rest of the entry. If groups is
one text instead of a list, the entry gives no group. If username is 123, yes or on, the username is empty. The
authenticator reads YAML 1.1, in which an unquoted yes, no, on, off, y, n or a number is not a text.

The rule also reports an element that begins inside the groups of another one. In a file, it also reports a value
under data that is not a text, such as a list without | above it: the API server refuses such an object.

Write groups as a list, and put texts that look like another type in quotes.`,
	Source: "encoding/json, UnmarshalTypeError; aws-iam-authenticator v0.7.18, pkg/config/types.go",
	Exact:  true,
	Check:  checkWrongType,
}

func checkWrongType(p *Pass) {
	for _, key := range p.Doc.NotText {
		p.Reportf(key, "write "+key.Value+": | and indent the list below it", "the value of %q is not a text, and the API server refuses the object", key.Value)
		if awsauth.IsSection(key.Value) {
			p.correct(Correction{Section: awsauth.Section(key.Value), Index: -1, Literal: key.Value})
		}
	}
	for m := range p.Doc.Mappings() {
		if !m.IsMapping() {
			continue // not-a-mapping reports it
		}
		for _, w := range m.WrongTypes() {
			if w.IsElement() {
				from, to := p.Doc.Locate(w.At()), p.Doc.Locate(m.At())
				p.Reportf(w, fmt.Sprintf("move this element from column %d to column %d", from.Column-2, to.Column-2),
					"an element begins inside the groups of another one, and the authenticator ignores it there")
				p.correctText(m.Entry.Section, func() []awsauth.Texts { return m.MoveOut(w.Field) })
				continue
			}
			p.Reportf(w, typeHint(w), "%s is %s, not %s, and the authenticator ignores it", w.Name(), describe(w), w.Want)
			p.correctType(w)
		}
	}
}

// correctType adds the correction of a value of a wrong type.
func (p *Pass) correctType(w awsauth.WrongType) {
	values := !w.IsKey("rolearn") && !w.IsKey("userarn")
	switch {
	case !p.corrects || w.IsKey("sso"):
	case w.Want == "a list of strings" && w.Got == "a string":
		p.correctGroups(w.Field, groupNames(w.Value))
	case w.Want == "a list of strings":
	case w.Meant() != "":
		if r, ok := w.Rewrite(w.Meant()); ok {
			s, index := w.Element()
			p.correct(Correction{Section: s, Index: index, Values: values, Replace: []awsauth.Replacement{r}})
		}
	case w.Value != "" && values:
		p.correctValue(w.Field, w.Value, true)
	}
}

// describe returns a value with its type, such as: the number "123".
func describe(w awsauth.WrongType) string {
	if w.Value == "" {
		return w.Got
	}
	_, kind, _ := strings.Cut(w.Got, " ")
	return "the " + kind + " " + quote(w.Value)
}

// groupsIn cuts a text that should have been a list into groups. Each group is in quotes.
func groupsIn(text string) []string {
	groups := groupNames(text)
	for i, g := range groups {
		groups[i] = quote(g)
	}
	return groups
}

// groupNames returns the groups in a text that should have been a list.
func groupNames(text string) []string {
	fields := strings.FieldsFunc(awsauth.Plain(text), func(r rune) bool { return strings.ContainsRune(" ,\t\r\n[]\"'", r) })
	for i, g := range fields {
		fields[i] = strings.TrimPrefix(g, "-") // the dash of an item, perhaps without the space after it
	}
	return slices.DeleteFunc(fields, func(g string) bool { return g == "" })
}

func typeHint(w awsauth.WrongType) string {
	switch {
	case w.Want == "a list of strings" && w.Got == "a string":
		return "write it as a list: [" + strings.Join(groupsIn(w.Value), ", ") + "]"
	case w.Want == "a list of strings":
		return "write a list, each group with a dash"
	case w.Meant() != "":
		if text := w.Meant(); awsauth.ReadsAsOtherType(text) {
			return "write it in quotes: " + quote(text)
		}
		return "write " + w.Meant()
	case w.IsKey("rolearn"):
		return "write the ARN of an IAM role or user, such as arn:aws:iam::111122223333:role/NAME"
	case w.IsKey("userarn"):
		return "write the ARN of an IAM user, such as arn:aws:iam::111122223333:user/NAME"
	case w.Value != "":
		return "write it in quotes: " + quote(w.Value)
	}
	return "write " + w.Want
}
