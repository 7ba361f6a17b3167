package validate

import "github.com/awsauth-guard/awsauth-guard/internal/awsauth"

var binaryData = &Rule{
	ID:       "binary-data",
	Severity: Deny,
	Title:    "mapRoles, mapUsers or mapAccounts is under binaryData",
	Doc: `
The authenticator reads only data. Some tools store text under binaryData because they treat it as binary data. The
authenticator ignores such entries without an error.

Move the key to data, as text.`,
	Source: "aws-iam-authenticator v0.7.18, pkg/mapper/configmap/configmap.go, ParseMap",
	Check:  checkBinaryData,
}

func checkBinaryData(p *Pass) {
	for _, key := range p.Doc.BinaryKeys {
		if awsauth.IsSection(key.Value) {
			p.Reportf(key, "move it to data, as text", "the authenticator does not read %s under binaryData", key.Value)
		}
	}
}
