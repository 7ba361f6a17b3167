package report

import (
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// Explanation is the authenticator's answer for one caller.
type Explanation struct {
	ARN          string           `json:"arn"`          // as it was asked for
	CanonicalARN string           `json:"canonicalARN"` // empty if the authenticator refuses it
	Mapped       bool             `json:"mapped"`
	Source       *awsauth.Section `json:"source"`
	Index        *int             `json:"index"`
	Username     string           `json:"username"` // a template, like the groups
	Groups       []string         `json:"groups"`
	Ambiguous    bool             `json:"ambiguous"`
	Reason       string           `json:"reason"` // all reasons in one text

	// At is where the entry stands, FILE:LINE:COL; only people are told.
	At      string `json:"-"`
	reasons []string
}

// NewExplanation makes an explanation of an answer and of the reasons for it, in their order.
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
