package validate

import "github.com/awsauth-guard/awsauth-guard/internal/awsauth"

var beingDeleted = &Rule{
	ID:       "being-deleted",
	Severity: Warn,
	Scope:    OfRequest,
	Title:    "a change edits an aws-auth that is being deleted",
	Doc: `
A request deleted aws-auth while it had a finalizer. Kubernetes keeps the object until its finalizers are
removed, and then deletes it with everything that was written to it meanwhile. No request can cancel the
deletion.

The guard treats the change that removes the last finalizer as a deletion, and refuses it while people or
nodes log in through aws-auth. If aws-auth has no entries, remove the finalizers, create aws-auth again and
then add entries. If it has entries, a person with the right to break the glass has to remove the finalizers
and create aws-auth again at once.`,
	Source: "kubernetes v1.36.3, apiserver, pkg/registry/generic/registry/store.go, ShouldDeleteDuringUpdate; Kubernetes documentation, \"Finalizers\"",
	Check:  checkBeingDeleted,
}

func checkBeingDeleted(p *Pass) {
	c, at := p.Change, awsauth.Position{Path: "metadata.deletionTimestamp"}
	const hint = "remove the finalizers first, and create aws-auth again with its entries; if people or nodes log in through it, this needs the right to break the glass"
	switch {
	case c.New == nil || !c.New.Deleting:
	case c.Operation == Update:
		p.Reportf(at, hint, "aws-auth is being deleted, and disappears with all its entries when its last finalizer is removed")
	case c.Operation == Delete && len(p.Old.Principals()) == 0 && len(load(c.New).Principals()) > 0: // otherwise the rule deleted reports it
		p.Reportf(at, hint, "this update removes the last finalizer of an aws-auth that is being deleted, so aws-auth disappears with the entries that the update adds")
	}
}
