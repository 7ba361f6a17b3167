package validate

import "strings"

var duplicateKey = &Rule{
	ID:       "duplicate-key",
	Severity: Deny,
	Title:    "an element has the same key twice",
	Doc: `
If an element has the same key twice, the authenticator uses the last one without an error. So a forgotten dash
merges two entries. If a user comments out only the first line of an entry, its username and groups replace those of
the entry above. Below the entry of a node role, such a comment can make every node an administrator. If two keys
differ only in case, the authenticator uses the one in lower case.

In a file, the rule also reports a key of the manifest that occurs twice, such as data: kubectl keeps only the last one.

Add the missing dash, comment out whole entries, or remove one of the two keys.`,
	Source: "sigs.k8s.io/yaml v1.6.0, YAMLToJSON; encoding/json, Unmarshal",
	Exact:  true,
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
			if strings.EqualFold(key.Value, m.Entry.ARNKey()) {
				p.correctText(m.Entry.Section, key.BeginElement)
			}
		}
	}
}
