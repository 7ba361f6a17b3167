package validate

import "github.com/awsauth-guard/awsauth-guard/internal/awsauth"

var ownerAdded = &Rule{
	ID:       "owner-added",
	Severity: Warn,
	Scope:    OfRequest,
	Title:    "an owner reference is added to aws-auth",
	Doc: `
Kubernetes deletes an object when its last owner is gone, and at once where the owner does not exist: a
wrong UID, or an owner in another namespace. The guard refuses that deletion while people or nodes log in
through aws-auth, but not while the webhook can not be reached.

Leave the owner reference away.`,
	Source: "Kubernetes documentation, \"Garbage Collection\" and \"Owners and Dependents\"",
	Check:  checkOwnerAdded,
}

func checkOwnerAdded(p *Pass) {
	at := awsauth.Place{Path: "metadata.ownerReferences"}
	for _, owner := range p.Change.added(func(o *awsauth.Object) []string { return o.Owners }) {
		p.Reportf(at, "leave the owner reference away", "the owner %q is added; Kubernetes deletes aws-auth when its owner is deleted or does not exist", owner)
	}
}
