package validate

import "github.com/awsauth-guard/awsauth-guard/internal/awsauth"

var ownerAdded = &Rule{
	ID:       "owner-added",
	Severity: Warn,
	Scope:    OfRequest,
	Title:    "the change adds an owner reference to aws-auth",
	Doc: `
Kubernetes deletes an object when its last owner is deleted. It also deletes the object if no owner exists, for
example because the reference has a wrong UID or names an owner in another namespace. The guard refuses that
deletion while people or nodes log in through aws-auth, but it can't do so while the webhook is unreachable.

Don't add the owner reference.`,
	Source: "Kubernetes documentation, \"Garbage Collection\" and \"Owners and Dependents\"",
	Check:  checkOwnerAdded,
}

func checkOwnerAdded(p *Pass) {
	at := awsauth.Position{Path: "metadata.ownerReferences"}
	for _, owner := range p.Change.added(func(o *awsauth.Object) []string { return o.Owners }) {
		p.Reportf(at, "don't add the owner reference", "the change adds the owner %q; Kubernetes deletes aws-auth when its owner is deleted or does not exist", owner)
	}
}
