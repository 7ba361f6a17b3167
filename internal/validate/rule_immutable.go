package validate

import "github.com/awsauth-guard/awsauth-guard/internal/awsauth"

var immutable = &Rule{
	ID:       "immutable",
	Severity: Deny,
	Title:    "aws-auth would be immutable",
	Doc: `
The API server refuses every later change of an immutable ConfigMap, and the field can not be taken
back: nobody could be added or removed, and EKS could not add the role of a new node group. The only way
out is to delete the object, which locks everybody out until it is created again.

Remove immutable: true.`,
	Source: "kubernetes v1.36.3, pkg/apis/core/validation/validation.go, ValidateConfigMapUpdate",
	Check:  checkImmutable,
}

func checkImmutable(p *Pass) {
	if p.Doc.Immutable {
		p.Reportf(awsauth.Place{Path: "immutable"}, "remove it", "nobody could change an immutable aws-auth any more, not even EKS")
	}
}
