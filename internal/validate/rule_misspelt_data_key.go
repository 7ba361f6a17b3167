package validate

import (
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

var misspeltDataKey = &Rule{
	ID:       "misspelt-data-key",
	Severity: Deny,
	Title:    "a key under data looks like mapRoles, mapUsers or mapAccounts, and is none of them",
	Doc: `
The authenticator reads exactly three keys: mapRoles, mapUsers and mapAccounts, in this case and
spelling. Every other key is ignored without an error, with all the entries below it. One wrong
letter in mapRoles takes every role and every node out of the cluster.

Write the key as the hint says.`,
	Source: "aws-iam-authenticator v0.7.18, pkg/mapper/configmap/configmap.go, ParseMap",
	Check:  checkMisspeltDataKey,
}

func checkMisspeltDataKey(p *Pass) {
	for _, key := range p.Doc.DataKeys {
		if right, ok := nearDataKey(key.Value); ok {
			p.Reportf(key, "write "+right, "the authenticator ignores the key %q and everything below it", key.Value)
		}
	}
}

// nearDataKey returns the section that a key under data was meant to be.
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
