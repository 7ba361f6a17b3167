package validate

import (
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

var unknownKey = &Rule{
	ID:       "unknown-key",
	Severity: Warn,
	Title:    "an entry has a key that some releases of the authenticator do not read",
	Doc: `
The authenticator ignores keys that it does not know. From v0.6 on it also reads keys with capital letters, such as
roleARN. Earlier releases do not know these keys, and drop the entry.

Write the keys in lower case. Move the value of an unknown key to the right key or into a comment.`,
	Source: "aws-iam-authenticator v0.7.18, pkg/config/types.go; aws-iam-authenticator#312",
	Exact:  true,
	Check:  checkUnknownKey,
}

func checkUnknownKey(p *Pass) {
	for m := range p.Doc.Mappings() {
		again := m.DuplicateKeys()
		for _, key := range m.OtherKeys() {
			if _, misspelt := meantKey(m, key); misspelt || awsauth.IsSection(key.Value) {
				continue // misspelt-key reports it
			}
			if namesGroup(key) && isGroupEntry(m) && p.runs(missingARN) {
				continue // missing-arn reports it
			}
			switch right, ok := entryKey(m, key.Value); {
			case slices.ContainsFunc(again, func(f awsauth.Field) bool { return strings.EqualFold(f.Value, key.Value) }):
				// duplicate-key reports it
			case isARNKey(key.Value) && !ok && m.Entry.Dropped != "" && m.Entry.ARN == "" && p.runs(missingARN):
				// missing-arn says that the entry belongs in the other section
			case ok:
				p.Reportf(key, "write "+right, "releases of the authenticator before v0.6 do not read the key %q", key.Value)
				p.correctKey(key, right)
			default:
				p.Reportf(key, "write its value under "+m.Entry.ARNKey()+", username or groups, or write the line as a comment", "the authenticator ignores the key %q", key.Value)
			}
		}
	}
}

func isARNKey(key string) bool {
	return strings.EqualFold(key, "rolearn") || strings.EqualFold(key, "userarn")
}

// entryKey returns the key in the spelling of the element's section if the two differ only in case. It returns false if
// the section has no such key.
func entryKey(m awsauth.Mapping, key string) (right string, ok bool) {
	keys := awsauth.ElementKeys(m.Entry.Section)
	i := slices.IndexFunc(keys, func(k string) bool { return strings.EqualFold(k, key) })
	if i < 0 {
		return "", false
	}
	return keys[i], true
}
