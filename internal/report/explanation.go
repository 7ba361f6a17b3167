package report

import (
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// Explanation says how the authenticator maps one caller.
type Explanation struct {
	ARN          string           `json:"arn"`          // as the user wrote it
	CanonicalARN string           `json:"canonicalARN"` // empty if the authenticator refuses the ARN
	Mapped       bool             `json:"mapped"`
	Source       *awsauth.Section `json:"source"`    // the section of the matching entry; nil if the caller is not mapped
	Index        *int             `json:"index"`     // the index of the matching entry; nil if the caller is not mapped
	Username     string           `json:"username"`  // may contain templates whose values are unknown
	Groups       []string         `json:"groups"`    // may contain templates whose values are unknown
	Ambiguous    bool             `json:"ambiguous"` // the authenticator picks one of several entries at random
	Reason       string           `json:"reason"`    // all reasons in one text

	// At is the position of the matching entry: FILE:LINE:COL, or FILE: KEY:LINE:COL if the lines count from the start of a key's value. At
	// is empty if the position is unknown. Only Text writes this field.
	At      string `json:"-"`
	reasons []string
}

// NewExplanation converts a resolution into an Explanation. The Explanation lists the reasons in the given order.
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
