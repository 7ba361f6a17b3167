package validate

import "github.com/awsauth-guard/awsauth-guard/internal/awsauth"

// Existence is the result of looking up a principal in IAM.
type Existence string

// Missing is certain: IAM answered twice that the principal does not exist. The result of every other failed lookup is
// Unknown. The guard never refuses a change because of an Unknown principal.
const (
	Exists  Existence = "exists"
	Missing Existence = "missing"
	Unknown Existence = "unknown"
)

// Lookup is the result of looking up one principal.
type Lookup struct {
	Existence Existence
	// Reason is the reason why a principal is Unknown, such as "access denied". It has one of a few forms. It may contain an
	// account or a host name of AWS, but never the principal or a request id.
	Reason string
	// Instead is the ARN that the author of an entry for a Missing principal probably meant. It names the same user
	// under another path, or the current role of the permission set. It is empty if the guard found no such principal.
	Instead string
}

// IAM holds the lookups of the principals of a change. The zero IAM has none.
type IAM struct {
	// Partition is the partition of the guard's own credentials, or empty if it is not known.
	Partition string
	// Principals holds the lookups by ARN. [awsauth.ARN.String] returns the form of the ARNs.
	Principals map[string]Lookup
}

// AllUnknown returns an IAM in which every principal is Unknown for the same reason.
func AllUnknown(principals []awsauth.ARN, reason string) IAM {
	known := IAM{Principals: make(map[string]Lookup, len(principals))}
	for _, arn := range principals {
		known.Principals[arn.String()] = Lookup{Existence: Unknown, Reason: reason}
	}
	return known
}
