package validate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/textutil"
)

// Annotations by which a request overrules the guard. They count only where the request itself
// sets or changes them, so that one which was left behind opens nothing.
const (
	AnnotationPrefix = "awsauth-guard.io/"
	// AllowRemovalAnnotation holds the ARNs of node roles whose removal is meant, with commas
	// between them. It needs no right beyond updating the object.
	AllowRemovalAnnotation = AnnotationPrefix + "allow-removal"
	// BreakGlassAnnotation holds the reason for overruling every denial of the request. For a
	// later deletion of the object it holds: delete EXPIRY REASON, the expiry in RFC 3339.
	BreakGlassAnnotation = AnnotationPrefix + "break-glass"
)

// Kinds of overrides.
const (
	BreakGlass   = "break-glass"
	AllowRemoval = "allow-removal"
)

// OverrideKinds returns every kind of override.
func OverrideKinds() []string { return []string{AllowRemoval, BreakGlass} }

// Override is a denial, or several, that became a warning because the request asked for it.
type Override struct {
	Kind string
	// Detail is the reason for breaking the glass, or the node role whose removal is allowed.
	Detail string
}

// maxGrant bounds how far ahead a deletion may be allowed: long enough to type the next command,
// short enough not to be forgotten.
const maxGrant = time.Hour

// breakGlass is what a request says about break-glass.
type breakGlass struct {
	reason string // honoured; empty: not asked for, or not honoured
	denied string // why it is not honoured
	hint   string
}

// breakGlass finds out whether the request may overrule every denial.
func (c Change) breakGlass(policy Policy) breakGlass {
	value := c.sets(BreakGlassAnnotation)
	switch {
	case value == "" && c.Operation == Delete:
		return c.breakGlassForDelete(policy)
	case value == "":
		return breakGlass{}
	}
	if why := c.mayNotOverride(policy); why != "" {
		return breakGlass{denied: why, hint: overrideHint(policy)}
	}
	if grant, ok := parseGrant(value); ok {
		if why := grant.invalid(c.Now); why != "" {
			return breakGlass{denied: why, hint: c.grantHint()}
		}
	}
	return breakGlass{reason: value}
}

func (c Change) grantHint() string {
	return "write delete, a time at most an hour ahead such as " + c.Now.Add(maxGrant/2).UTC().Format(time.RFC3339) + ", and the reason"
}

// breakGlassForDelete honours what the stored object allows: a DELETE brings no annotation itself.
func (c Change) breakGlassForDelete(policy Policy) breakGlass {
	if c.Old == nil {
		return breakGlass{}
	}
	grant, ok := parseGrant(strings.TrimSpace(c.Old.Annotations[BreakGlassAnnotation]))
	if !ok {
		return breakGlass{}
	}
	if why := c.mayNotOverride(policy); why != "" {
		return breakGlass{denied: why, hint: "let a person in " + strings.Join(policy.overrideGroups(), ", ") + " delete the object"}
	}
	if why := grant.invalid(c.Now); why != "" {
		return breakGlass{denied: why, hint: c.grantHint()}
	}
	return breakGlass{reason: grant.reason}
}

// mayNotOverride says why the requester may not break the glass; empty when they may.
func (c Change) mayNotOverride(policy Policy) string {
	r := c.Requester
	switch {
	case strings.HasPrefix(r.Username, "system:serviceaccount:") || slices.Contains(r.Groups, "system:serviceaccounts"):
		return "a service account may not break the glass"
	case !slices.ContainsFunc(policy.overrideGroups(), func(g string) bool { return slices.Contains(r.Groups, g) }):
		return fmt.Sprintf("%q is in none of the groups that may break the glass", textutil.Shorten(r.Username, maxValue))
	}
	return ""
}

func overrideHint(policy Policy) string {
	return "leave the annotation away, or let a person in " + strings.Join(policy.overrideGroups(), ", ") + " make this change"
}

// grant allows a deletion for a short time.
type grant struct {
	expiry time.Time
	reason string
}

// parseGrant reads delete EXPIRY REASON. Any other text is a plain reason, also one that begins
// with the word delete and goes on with a word that begins with no digit.
func parseGrant(value string) (grant, bool) {
	words := strings.Fields(value)
	if len(words) < 2 || !strings.EqualFold(words[0], "delete") || words[1][0] < '0' || words[1][0] > '9' {
		return grant{}, false
	}
	at, err := time.Parse(time.RFC3339, words[1])
	if err != nil {
		at = time.Time{}
	}
	return grant{at, strings.Join(words[2:], " ")}, true
}

// invalid says why the grant does not hold at a time; empty when it does.
func (g grant) invalid(now time.Time) string {
	switch {
	case g.expiry.IsZero():
		return "the value allows a deletion, and its time is not in RFC 3339"
	case g.reason == "":
		return "the value allows a deletion without a reason"
	case !g.expiry.After(now):
		return "the value allows a deletion until " + g.expiry.Format(time.RFC3339) + ", which has passed"
	case g.expiry.After(now.Add(maxGrant)):
		return "the value allows a deletion until " + g.expiry.Format(time.RFC3339) + ", more than an hour ahead"
	}
	return ""
}

// allowedRemovals returns the principals whose removal the request acknowledges.
func (c Change) allowedRemovals() map[string]string {
	value := c.sets(AllowRemovalAnnotation)
	if value == "" {
		return nil
	}
	allowed := make(map[string]string)
	for arn := range strings.SplitSeq(value, ",") {
		if arn = strings.TrimSpace(arn); arn != "" {
			allowed[awsauth.PrincipalKey(arn)] = arn
		}
	}
	return allowed
}
