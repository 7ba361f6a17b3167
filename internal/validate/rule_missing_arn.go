package validate

import (
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

var missingARN = &Rule{
	ID:       "missing-arn",
	Severity: Deny,
	Title:    "an entry has no ARN that the authenticator can use",
	Doc: `
The authenticator drops an entry of mapRoles that has neither rolearn nor sso, that has both, or
whose sso fields are not valid, and an entry of mapUsers that has no userarn. A misspelt key, such
as role_arn, is no key at all.

Write rolearn in mapRoles and userarn in mapUsers.`,
	Source: "aws-iam-authenticator v0.7.18, pkg/config/mapper.go, Validate",
	Check:  checkMissingARN,
}

func checkMissingARN(p *Pass) {
	for m := range p.Doc.Mappings() {
		if m.Entry.Dropped == "" || !m.IsMapping() || hasWrongType(m, m.Entry.ARNKey()) {
			continue // not-a-mapping and wrong-type report the others
		}
		p.Reportf(m, arnHint(m), "the entry %s, and the authenticator drops it", m.Entry.Dropped)
	}
}

func arnHint(m awsauth.Mapping) string {
	want := m.Entry.ARNKey()
	switch key, misspelt := nearKey(m, want); {
	case m.Entry.ARN != "":
		return "remove rolearn or sso"
	case m.Entry.SSO != nil:
		return "write rolearn and the ARN of the role instead of sso"
	case misspelt:
		return "write " + want + " instead of " + key
	case want == "userarn" && hasKey(m, "rolearn"):
		return "move the entry to mapRoles, or write userarn instead of rolearn"
	case want == "rolearn" && hasKey(m, "userarn"):
		return "move the entry to mapUsers, or write rolearn instead of userarn"
	}
	return "write " + want + " and the ARN"
}

func hasKey(m awsauth.Mapping, name string) bool {
	return slices.ContainsFunc(m.Keys(), func(f awsauth.Field) bool { return strings.EqualFold(f.Value, name) })
}

// nearKey returns the key of an element that was meant to be want.
func nearKey(m awsauth.Mapping, want string) (string, bool) {
	for _, key := range m.Keys() {
		if !strings.EqualFold(key.Value, want) && near(key.Value, want) {
			return key.Value, true
		}
	}
	return "", false
}

// hasWrongType reports whether the value of a key has a wrong type.
func hasWrongType(m awsauth.Mapping, key string) bool {
	for _, w := range m.WrongTypes() {
		if w.IsKey(key) {
			return true
		}
	}
	return false
}
