package validate

import (
	"strings"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// removals is the result of evaluating the annotation allow-removal of a request.
type removals struct {
	// arns are the ARNs whose removal is acknowledged, as the annotation writes them. The keys are their
	// [awsauth.PrincipalKey].
	arns map[string]string
	// later reports that the change sets an annotation of the form that allows removals by later changes, even if denied is
	// not empty.
	later bool
	// denied is the reason why the guard does not honour the annotation, or empty.
	denied string
}

// removals evaluates the annotation that the change sets. If the change sets none, it evaluates the annotation with an
// expiry that an earlier change stored. Tools such as eksctl set no annotations when they write aws-auth, and keep the
// stored ones.
func (c Change) removals() removals {
	value := c.sets(AllowRemovalAnnotation)
	set := value != ""
	if !set && c.Old != nil {
		value = strings.TrimSpace(c.Old.Annotations[AllowRemovalAnnotation])
	}
	arns, expiry, later := parseAllowance(value)
	switch {
	case !later && !set:
		return removals{} // an annotation without an expiry counts only in the change that sets it
	case later:
		r := removals{later: set, denied: expired("a removal", expiry, c.Now)}
		if r.denied == "" {
			r.arns = arns
		}
		return r
	}
	return removals{arns: arns}
}

// allowedRemovals returns the ARNs whose removal the request acknowledges, by their [awsauth.PrincipalKey].
func (c Change) allowedRemovals() map[string]string { return c.removals().arns }

// parseAllowance parses "ARN,ARN" and "until TIME ARN,ARN". It returns the ARNs by their [awsauth.PrincipalKey]. later
// reports whether the value has the second form. A time that is not in RFC 3339 becomes the zero time.
func parseAllowance(value string) (arns map[string]string, expiry time.Time, later bool) {
	word, rest, _ := strings.Cut(value, " ")
	if later = strings.EqualFold(word, "until"); later {
		word, value, _ = strings.Cut(strings.TrimSpace(rest), " ")
		var err error
		if expiry, err = time.Parse(time.RFC3339, word); err != nil {
			expiry = time.Time{}
		}
	}
	arns = make(map[string]string)
	for arn := range strings.SplitSeq(value, ",") {
		if arn = strings.TrimSpace(arn); arn != "" {
			arns[awsauth.PrincipalKey(arn)] = arn
		}
	}
	return arns, expiry, later
}

// allowanceHint returns the hint for an annotation allow-removal with an expiry that is not valid.
func (c Change) allowanceHint() string {
	return `write "until TIME ARNS", with a time that is at most an hour ahead, such as ` + c.Now.Add(maxGrant/2).UTC().Format(time.RFC3339)
}
