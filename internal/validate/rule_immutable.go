package validate

import "github.com/awsauth-guard/awsauth-guard/internal/awsauth"

var immutable = &Rule{
	ID:       "immutable",
	Severity: Deny,
	Title:    "the change makes aws-auth immutable",
	Doc: `
The API server refuses every later change of an immutable ConfigMap, even one that removes the field. So no user can
add or remove entries, and EKS can't add the role of a new node group. The only repair is to delete the object,
which locks out every mapped principal until the object is created again.

Remove immutable: true.`,
	Source: "kubernetes v1.36.3, pkg/apis/core/validation/validation.go, ValidateConfigMapUpdate",
	Check:  checkImmutable,
}

func checkImmutable(p *Pass) {
	if p.Doc.Immutable {
		p.Reportf(awsauth.Position{Path: "immutable"}, "leave out immutable", "no user could change an immutable aws-auth any more, and EKS couldn't either")
	}
}
