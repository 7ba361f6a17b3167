package validate

import "github.com/awsauth-guard/awsauth-guard/internal/awsauth"

// Existence says whether IAM has a principal.
type Existence string

// Missing is certain: IAM said twice that it has no such principal. Everything else that is not
// Exists is Unknown, and Unknown never refuses a change.
const (
	Exists  Existence = "exists"
	Missing Existence = "missing"
	Unknown Existence = "unknown"
)

// Lookup is what was found out about one principal.
type Lookup struct {
	Existence Existence
	// Reason says of an Unknown principal why, such as "access denied": text from a small set, with at most an
	// account or AWS's host in it. It names neither the principal nor a request.
	Reason string
	// Instead is, for a Missing principal, the ARN that was found in its place, if one was: the same
	// user under another path, or the role that a permission set has now.
	Instead string
}

// IAM is what is known about principals of a change. The zero IAM knows nothing.
type IAM struct {
	// Partition is that of the credentials the guard asks with; empty where it is not known.
	Partition string
	// Principals holds the answers by ARN, as [awsauth.ARN.String] writes it.
	Principals map[string]Lookup
}

// NothingKnown is the answer about principals where nobody could be asked: each is Unknown for one reason.
func NothingKnown(principals []awsauth.ARN, reason string) IAM {
	known := IAM{Principals: make(map[string]Lookup, len(principals))}
	for _, arn := range principals {
		known.Principals[arn.String()] = Lookup{Existence: Unknown, Reason: reason}
	}
	return known
}
