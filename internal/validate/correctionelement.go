package validate

import (
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// correctItems adds the correction that replaces one item of a list by several. It leaves out empty items.
func (p *Pass) correctItems(f awsauth.Field, items []string) {
	if !p.corrects {
		return
	}
	var names []string
	for _, item := range items {
		if item = strings.TrimSpace(item); item != "" {
			names = append(names, item)
		}
	}
	s, index := f.Element()
	if r, ok := f.WriteItems(names); ok {
		p.correct(Correction{Section: s, Index: index, Values: s != awsauth.MapAccounts, Replace: []awsauth.Replacement{r}})
	}
}

// correctGroups adds the correction that replaces the value of the key groups, which is one text, by a list. It does nothing if groups is
// empty.
func (p *Pass) correctGroups(f awsauth.Field, groups []string) {
	s, index := f.Element()
	lines := strings.HasPrefix(strings.TrimSpace(f.Value), "-") // the text is a broken list on the lines below the key
	if r, ok := f.WriteList(groups); ok && len(groups) > 0 && !lines {
		p.correct(Correction{Section: s, Index: index, Values: true, Replace: []awsauth.Replacement{r}})
	} else if len(groups) > 0 {
		p.correct(Correction{Section: s, Index: index, Values: true, Groups: groups})
	}
}

// correctLine adds the correction that separates a group from the next one, if YAML folds the next line into the group.
func (p *Pass) correctLine(group awsauth.Field) {
	s, _ := group.Element()
	p.correctText(s, group.AlignFolded)
}

// correctFolded adds the correction that separates a value from the groups of the element, if YAML folds their lines into the value.
func (p *Pass) correctFolded(m awsauth.Mapping, f awsauth.Field) {
	p.correctText(m.Entry.Section, func() []awsauth.Texts { return m.MoveFolded(f) })
}

// correctSection adds the correction that moves an element to another section. arn is the ARN that the element has there.
func (p *Pass) correctSection(m awsauth.Mapping, to awsauth.Section, arn string) {
	p.correct(Correction{Section: m.Entry.Section, Index: m.Entry.Index, MoveTo: to, ARN: arn})
}

// correctDataKey adds the correction that renames a key under data. It does nothing if the object also has a key with the new name, or another
// misspelling of that name.
func (p *Pass) correctDataKey(key awsauth.Scalar, name string) {
	if !p.corrects {
		return
	}
	for _, other := range p.Doc.DataKeys {
		if right, ok := nearDataKey(other.Value); other.Value == name || ok && right == name && other.Value != key.Value {
			return
		}
	}
	p.correct(Correction{Section: awsauth.Section(name), Index: -1, Rename: key.Value, To: name})
}
