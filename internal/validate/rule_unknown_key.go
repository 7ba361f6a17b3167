package validate

import (
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

var unknownKey = &Rule{
	ID:       "unknown-key",
	Severity: Warn,
	Title:    "an entry has a key that not every release of the authenticator reads",
	Doc: `
The authenticator ignores keys that it does not know. Keys with capital letters, such as roleARN, are
read by v0.6 and later; releases before it compare keys with case and drop the entry.

Write the keys in lower case, and remove those that mean nothing.`,
	Source: "aws-iam-authenticator v0.7.18, pkg/config/types.go; aws-iam-authenticator#312",
	Check:  checkUnknownKey,
}

func checkUnknownKey(p *Pass) {
	for m := range p.Doc.Mappings() {
		for _, key := range m.OtherKeys() {
			if _, misspelt := meantKey(m, key.Value); misspelt {
				continue // misspelt-key reports it
			}
			lower := strings.ToLower(key.Value)
			switch {
			case isARNKey(lower) && lower != m.Entry.ARNKey() && m.Entry.ARN == "":
				// missing-arn says that the entry belongs into the other section
			case isEntryKey(m, lower):
				p.Reportf(key, "write "+lower, "releases of the authenticator before v0.6 do not read the key %q", key.Value)
			default:
				p.Reportf(key, "remove it; an entry has "+m.Entry.ARNKey()+", username and groups", "the authenticator ignores the key %q", key.Value)
			}
		}
	}
}

func isARNKey(key string) bool { return key == "rolearn" || key == "userarn" }

// isEntryKey reports whether a key in lower case is one of an element of the section.
func isEntryKey(m awsauth.Mapping, key string) bool {
	switch key {
	case m.Entry.ARNKey(), "username", "groups", "userid":
		return true
	case "sso":
		return m.Entry.Section == awsauth.MapRoles
	}
	return false
}
