package report

import (
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// Explanation says how the authenticator maps one caller.
type Explanation struct {
	ARN          string           `json:"arn"`          // as given by the user
	CanonicalARN string           `json:"canonicalARN"` // empty if the authenticator refuses it
	Mapped       bool             `json:"mapped"`
	Source       *awsauth.Section `json:"source"`
	Index        *int             `json:"index"`
	Username     string           `json:"username"` // with the templates whose values are not known, like the groups
	Groups       []string         `json:"groups"`
	Ambiguous    bool             `json:"ambiguous"`
	Reason       string           `json:"reason"` // all reasons in one text

	// At is the position of the matching entry as FILE:LINE:COL. Only Text writes this field.
	At      string `json:"-"`
	reasons []string
}

// NewExplanation converts a resolution into an Explanation. reasons are in the order in which they are written.
func NewExplanation(arn string, r awsauth.Resolution, reasons []string) Explanation {
	e := Explanation{
		ARN: arn, CanonicalARN: r.CanonicalARN, Mapped: r.Mapped,
		Username: r.Username, Groups: append([]string{}, r.Groups...), Ambiguous: r.Ambiguous,
		Reason: strings.Join(reasons, "; "), reasons: reasons,
	}
	if r.Mapped {
		e.Source, e.Index = &r.Source, &r.Index
	}
	return e
}
