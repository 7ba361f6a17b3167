package validate

import "strings"

var duplicateKey = &Rule{
	ID:       "duplicate-key",
	Severity: Deny,
	Title:    "an element has a key twice",
	Doc: `
If an element has a key twice, even in different case, the authenticator uses the last one without an error. So a
forgotten dash merges two entries, and a comment sign before only the first line of an entry gives its username and
groups to the entry above. Such a comment has made every node of a cluster an administrator.

Put the missing dash back, comment out whole entries, or remove one of the two keys.`,
	Source: "sigs.k8s.io/yaml v1.6.0, YAMLToJSON; encoding/json, Unmarshal",
	Check:  checkDuplicateKey,
}

func checkDuplicateKey(p *Pass) {
	for _, key := range p.Doc.DuplicateKeys {
		p.Reportf(key, "keep one of them", "the manifest has the key %q twice, and kubectl keeps only the last one", key.Path)
	}
	for m := range p.Doc.Mappings() {
		for _, key := range m.DuplicateKeys() {
			hint := "keep one of the two"
			if strings.EqualFold(key.Value, m.Entry.ARNKey()) {
				hint = "begin a new element with a dash before this key"
			}
			p.Reportf(key, hint, "the element has the key %q twice, and only one of them counts", key.Value)
		}
	}
}
