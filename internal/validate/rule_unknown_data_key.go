package validate

import (
	"slices"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

var unknownDataKey = &Rule{
	ID:       "unknown-data-key",
	Severity: Warn,
	Title:    "the authenticator does not read a key under data or binaryData",
	Doc: `
The authenticator reads mapRoles, mapUsers and mapAccounts under data, and ignores every other key without an
error. Entries below another key give no access.

Remove the key, or put its entries below the right one.`,
	Source: "aws-iam-authenticator v0.7.18, pkg/mapper/configmap/configmap.go, ParseMap",
	Check:  checkUnknownDataKey,
}

func checkUnknownDataKey(p *Pass) {
	for _, key := range slices.Concat(p.Doc.DataKeys, p.Doc.BinaryKeys) {
		if _, misspelt := nearDataKey(key.Value); misspelt && key.Path == "data."+key.Value {
			continue // misspelt-data-key reports it
		}
		if !awsauth.IsSection(key.Value) { // binary-data reports sections under binaryData
			p.Reportf(key, "remove it; the keys are mapRoles, mapUsers and mapAccounts", "the authenticator reads nothing from the key %q", key.Value)
		}
	}
}
