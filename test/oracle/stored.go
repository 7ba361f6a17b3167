package oracle

import (
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/test/oracle/authenticator"
)

// CheckerOf compares with a backend that has its objects from elsewhere. It is for [Checker.CheckStored] alone.
func CheckerOf(a *authenticator.Authenticator) *Checker {
	return &Checker{a: a, forms: make(forms), Stats: make(Stats)}
}

// CheckStored compares what the guard reads from an object with what the backend has loaded: for every caller whose ARN
// stands in the object or was given.
func (k *Checker) CheckStored(data map[string]string, arns []string) (asked []string, failures []Failure) {
	k.failures, k.cause = nil, ""
	v := newVersion(data)
	asked, v.arns = v.arns, append(v.arns, arns...)
	k.checkResolve(v, (&awsauth.Object{Data: data}).Load())
	return asked, k.failures
}
