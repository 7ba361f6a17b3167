package validate

import (
	"slices"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

var finalizerAdded = &Rule{
	ID:       "finalizer-added",
	Severity: Warn,
	Scope:    OfRequest,
	Title:    "a finalizer is added to aws-auth",
	Doc: `
An object with a finalizer that is deleted stays until the finalizer is removed, and then it goes with
all that was written to it meanwhile. No request can take the deletion back. A controller
that is gone never removes its finalizer, so that aws-auth can neither be deleted nor created again.

Leave the finalizer away. The authenticator and EKS need none.`,
	Source: "Kubernetes documentation, \"Finalizers\"; kubernetes v1.36.3, apiserver, pkg/registry/generic/registry/store.go, ShouldDeleteDuringUpdate",
	Check:  checkFinalizerAdded,
}

func checkFinalizerAdded(p *Pass) {
	at := awsauth.Place{Path: "metadata.finalizers"}
	for _, finalizer := range p.Change.added(func(o *awsauth.Object) []string { return o.Finalizers }) {
		p.Reportf(at, "leave the finalizer away", "the finalizer %q is added; once aws-auth is deleted, it goes with all its entries when its last finalizer is removed", finalizer)
	}
}

// added returns what the change adds to a list of the object, sorted, each once. A document is no change.
func (c Change) added(list func(*awsauth.Object) []string) []string {
	if c.Operation == Document || c.New == nil {
		return nil
	}
	now := slices.Sorted(slices.Values(list(c.New)))
	return slices.DeleteFunc(slices.Compact(now), func(value string) bool {
		return c.Old != nil && slices.Contains(list(c.Old), value)
	})
}
