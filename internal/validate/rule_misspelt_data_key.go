package validate

import (
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

var misspeltDataKey = &Rule{
	ID:       "misspelt-data-key",
	Severity: Deny,
	Title:    "a key under data is a misspelling of mapRoles, mapUsers or mapAccounts",
	Doc: `
The authenticator reads exactly three keys: mapRoles, mapUsers and mapAccounts, in exactly this spelling, upper and
lower case included. It ignores every other key and all entries below it, without an error. One wrong letter in
mapRoles takes away the access of every role and every node.

Write the key as the hint says.`,
	Source: "aws-iam-authenticator v0.7.18, pkg/mapper/configmap/configmap.go, ParseMap",
	Exact:  true,
	Check:  checkMisspeltDataKey,
}

func checkMisspeltDataKey(p *Pass) {
	for _, key := range p.Doc.DataKeys {
		if right, ok := nearDataKey(key.Value); ok {
			p.Reportf(key, "write "+right, "the authenticator ignores the key %q and everything below it", key.Value)
			p.correctDataKey(key, right)
		}
	}
}

// nearDataKey returns the name of the section that a misspelt key under data probably means. It returns false if the key
// resembles no section, or if it is spelt correctly.
func nearDataKey(key string) (string, bool) {
	if awsauth.IsSection(key) {
		return "", false
	}
	for _, s := range awsauth.Sections() {
		if near(key, strings.ToLower(string(s))) {
			return string(s), true
		}
	}
	return "", false
}
