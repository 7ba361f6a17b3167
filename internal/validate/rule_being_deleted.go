package validate

import "github.com/awsauth-guard/awsauth-guard/internal/awsauth"

var beingDeleted = &Rule{
	ID:       "being-deleted",
	Severity: Warn,
	Scope:    OfRequest,
	Title:    "an aws-auth that is being deleted is changed",
	Doc: `
aws-auth was deleted while it had a finalizer. It stays until its finalizers are removed, and then it
goes with all that is written to it now. No request can take the deletion back.

The guard judges the change that removes the last finalizer as a deletion, and refuses it while people or
nodes log in through aws-auth. Remove the finalizers before you add entries, and create aws-auth again.
Where it has entries already, a person with the right to break the glass has to remove the finalizers, and
creates aws-auth again at once.`,
	Source: "kubernetes v1.36.3, apiserver, pkg/registry/generic/registry/store.go, ShouldDeleteDuringUpdate; Kubernetes documentation, \"Finalizers\"",
	Check:  checkBeingDeleted,
}

func checkBeingDeleted(p *Pass) {
	c, at := p.Change, awsauth.Place{Path: "metadata.deletionTimestamp"}
	const hint = "remove the finalizers first, and create aws-auth again with its entries"
	switch {
	case c.New == nil || !c.New.Deleting:
	case c.Operation == Update:
		p.Reportf(at, hint, "aws-auth is being deleted, and goes with all its entries when its last finalizer is removed")
	case c.Operation == Delete && len(p.Old.Principals()) == 0 && len(load(c.New).Principals()) > 0: // else deleted reports it
		p.Reportf(at, hint, "aws-auth is being deleted, and goes with the entries that this update adds, because the update removes its last finalizer")
	}
}
