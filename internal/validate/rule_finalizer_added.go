package validate

import (
	"slices"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

var finalizerAdded = &Rule{
	ID:       "finalizer-added",
	Severity: Warn,
	Scope:    OfRequest,
	Title:    "the change adds a finalizer to aws-auth",
	Doc: `
If a request deletes an object with a finalizer, Kubernetes keeps the object until the finalizer is removed,
and then deletes it with everything that was written to it meanwhile. No request can cancel the deletion. If
the controller of the finalizer is no longer installed, nothing removes the finalizer: then aws-auth can
neither be deleted nor created again.

Don't add the finalizer. The authenticator and EKS need none.`,
	Source: "Kubernetes documentation, \"Finalizers\"; kubernetes v1.36.3, apiserver, pkg/registry/generic/registry/store.go, ShouldDeleteDuringUpdate",
	Check:  checkFinalizerAdded,
}

func checkFinalizerAdded(p *Pass) {
	at := awsauth.Position{Path: "metadata.finalizers"}
	for _, finalizer := range p.Change.added(func(o *awsauth.Object) []string { return o.Finalizers }) {
		p.Reportf(at, "don't add the finalizer", "the change adds the finalizer %q; after a deletion aws-auth stays until its last finalizer is removed, and then disappears with all its entries", finalizer)
	}
}

// added returns the values that the change adds to a list, sorted, each once. The function list returns this list of an
// object. For a version that is evaluated alone, added returns nil.
func (c Change) added(list func(*awsauth.Object) []string) []string {
	if c.Operation == Document || c.New == nil {
		return nil
	}
	now := slices.Sorted(slices.Values(list(c.New)))
	return slices.DeleteFunc(slices.Compact(now), func(value string) bool {
		return c.Old != nil && slices.Contains(list(c.Old), value)
	})
}
