package oracle

import (
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/test/oracle/authenticator"
)

// NewCheckerFor returns a checker for a backend that gets its objects from an API server. Only [Checker.CheckStored] works
// with it.
func NewCheckerFor(a *authenticator.Authenticator) *Checker {
	return &Checker{a: a, forms: make(forms), Stats: make(Stats)}
}

// CheckStored compares the mappings of an object according to the guard with those that the backend has loaded. It compares
// the mapping of every caller that an ARN in the object or in arns may mean. It returns the ARNs of the object, and the
// disagreements.
func (k *Checker) CheckStored(data map[string]string, arns []string) (asked []string, failures []Failure) {
	k.failures, k.cause = nil, ""
	v := newVersion(data)
	asked, v.arns = v.arns, append(v.arns, arns...)
	k.checkResolve(v, (&awsauth.Object{Data: data}).Load())
	return asked, k.failures
}
