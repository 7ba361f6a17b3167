package validate

import (
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/textutil"
)

var misspeltKey = &Rule{
	ID:       "misspelt-key",
	Severity: Deny,
	Title:    "a key of an entry is a misspelling of rolearn, userarn, username or groups",
	Doc: `
The authenticator ignores a key that it does not know, without an error. It drops an entry with the key role_arn
instead of rolearn, because such an entry has no ARN. An entry with the key group gives no groups, and an entry with
the key user gives an empty username. One missing letter in a key has locked users out of their cluster. The
authenticator also ignores a whole section, such as mapUsers, if its indentation makes it a key of an element.

Write the key as the hint says.`,
	Source: "aws-iam-authenticator v0.7.18, pkg/config/types.go; aws-iam-authenticator#607",
	Exact:  true,
	Check:  checkMisspeltKey,
}

func checkMisspeltKey(p *Pass) {
	for m := range p.Doc.Mappings() {
		for _, key := range m.OtherKeys() {
			if awsauth.IsSection(key.Value) {
				p.Reportf(key, m.SectionHint(key.Value), "the section %s begins inside an element of %s, and the authenticator ignores it there", key.Value, string(m.Entry.Section))
				p.correctText(m.Entry.Section, key.SplitSection)
				continue
			}
			right, ok := meantKey(m, key)
			if !ok {
				continue // unknown-key and missing-arn report it
			}
			why := ""
			if _, c, ok := awsauth.FindTypographic(key.Value); ok {
				why = ", which has " + c.String()
			}
			hint := "write " + right + " instead of " + key.Value
			if m.HasKey(right) {
				hint = "move its value to the key " + right + " of the element"
			}
			p.Reportf(key, hint, "the authenticator ignores the key %q and its value%s", key.Value, why)
			if !m.HasKey(right) {
				p.correctKey(key, right)
			}
		}
	}
}

// everydayKeys maps words that people write as a key to the keys that they probably mean. The words are in lower case and
// have no separators. arnWord stands for the ARN key of the element's section: rolearn or userarn.
var everydayKeys = map[string][]string{
	"arn":              {arnWord},
	"iamarn":           {arnWord},
	"principalarn":     {arnWord},
	"iamrolearn":       {"rolearn"},
	"iamuserarn":       {"userarn"},
	"role":             {"rolearn"},
	"user":             {"username", "userarn"},
	"name":             {"username"},
	"roles":            {"groups"},
	"grp":              {"groups"},
	"groupnames":       {"groups"},
	"kubernetesgroups": {"groups"},
	"k8sgroups":        {"groups"},
}

const arnWord = "ARN"

// meantKey returns the right key in place of a misspelt one: a key with almost the same spelling, or a key that the
// element lacks and for which the misspelt key is an everyday word. It returns false if there is no such key. If the
// element already has the right key, the spelling may differ by only one letter.
func meantKey(m awsauth.Mapping, field awsauth.Field) (right string, ok bool) {
	key := field.Value
	if isIAMGroup(field.Below) && isGroupEntry(m) {
		return "", false // missing-arn says that IAM groups can't log in
	}
	if _, ok := entryKey(m, key); ok {
		return "", false // unknown-key reports a key with capital letters
	}
	own := []string{m.Entry.ARNKey(), "username", "groups"}
	for _, right := range own {
		if !m.HasKey(right) && repeats(key, right) {
			return right, true
		}
	}
	for _, right := range own {
		if near(key, right) && (!m.HasKey(right) || textutil.Distance(bare(key), right) <= 1) {
			return right, true
		}
	}
	for _, right := range everydayKeys[bare(key)] {
		if right == arnWord {
			right = m.Entry.ARNKey()
		}
		if slices.Contains(own, right) && !m.HasKey(right) {
			return right, true
		}
	}
	return "", false
}

// repeats reports whether a key consists of a right key, once or several times, such as rolearn:rolearn. It ignores
// dashes, colons, quotes, spaces and typographic characters.
func repeats(key, right string) bool {
	words := strings.FieldsFunc(strings.ToLower(awsauth.Plain(key)), func(r rune) bool { return strings.ContainsRune("-: \"'", r) })
	return len(words) > 0 && !slices.ContainsFunc(words, func(word string) bool { return word != right })
}

// isMisspelt reports whether the rule misspelt-key reports a misspelling of the key want.
func (p *Pass) isMisspelt(m awsauth.Mapping, want string) bool {
	return p.runs(misspeltKey) && slices.ContainsFunc(m.OtherKeys(), func(f awsauth.Field) bool {
		right, ok := meantKey(m, f)
		return ok && right == want
	})
}
