package validate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/textutil"
)

// Annotations with which a request overrules the guard. An annotation counts in the request that sets or changes it. If
// its value has an expiry, the stored annotation also allows later removals of node roles, or a later deletion, until the
// expiry. An annotation without an expiry overrules nothing later, although it stays in the object.
const (
	AnnotationPrefix = "awsauth-guard.io/"
	// AllowRemovalAnnotation holds the ARNs, separated by commas, of the node roles that the change removes on purpose.
	// To allow later changes to remove the node roles, too, the value is "until TIME ARN,ARN", with a time in RFC 3339. The
	// requester needs no right beyond updating the object.
	AllowRemovalAnnotation = AnnotationPrefix + "allow-removal"
	// BreakGlassAnnotation holds the reason for overruling every denial of the request. To allow a later request to
	// delete the object, the value is "delete TIME REASON", with a time in RFC 3339.
	BreakGlassAnnotation = AnnotationPrefix + "break-glass"
)

// Kinds of overrides.
const (
	BreakGlass   = "break-glass"
	AllowRemoval = "allow-removal"
)

// OverrideKinds returns every kind of override.
func OverrideKinds() []string { return []string{AllowRemoval, BreakGlass} }

// Override is an override that a request used. A request that breaks the glass uses this override even if no rule denies the
// change.
type Override struct {
	Kind string
	// Detail is the reason for breaking the glass, or the ARN of the node role whose removal is allowed.
	Detail string
}

// maxGrant limits how far ahead the expiry of an allowed deletion or removal may be. An hour is long enough to type the
// next command, and so short that a forgotten annotation does no harm.
const maxGrant = time.Hour

// breakGlass is the result of evaluating the break-glass annotation of a request.
type breakGlass struct {
	reason string // the reason, if the guard honours it; otherwise empty
	denied string // why the guard does not honour it; otherwise empty
	hint   string
}

// breakGlass evaluates the break-glass annotation that the request sets. The guard honours it if the requester may break
// the glass and, for a value of the form "delete TIME REASON", if the time is valid. If the request sets no
// annotation and deletes the object, breakGlass evaluates the annotation of the stored object.
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
	return `write "delete TIME REASON", with a time that is at most an hour ahead, such as ` + c.Now.Add(maxGrant/2).UTC().Format(time.RFC3339)
}

// breakGlassForDelete evaluates the annotation of the stored object, because a DELETE request carries no annotation. An
// annotation of another form than "delete TIME REASON" counts as none.
func (c Change) breakGlassForDelete(policy Policy) breakGlass {
	if c.Old == nil {
		return breakGlass{}
	}
	grant, ok := parseGrant(strings.TrimSpace(c.Old.Annotations[BreakGlassAnnotation]))
	if !ok {
		return breakGlass{}
	}
	if why := c.mayNotOverride(policy); why != "" {
		return breakGlass{denied: why, hint: "let a person in " + policy.mayBreakGlass() + " delete the object"}
	}
	if why := grant.invalid(c.Now); why != "" {
		return breakGlass{denied: why, hint: c.grantHint()}
	}
	return breakGlass{reason: grant.reason}
}

// mayNotOverride returns the reason why the requester may not break the glass, or "" if the requester may.
func (c Change) mayNotOverride(policy Policy) string {
	r := c.Requester
	switch {
	case strings.HasPrefix(r.Username, "system:serviceaccount:") || slices.Contains(r.Groups, "system:serviceaccounts"):
		return "a service account may not break the glass"
	case slices.ContainsFunc(policy.overrideGroups(), func(g string) bool { return slices.Contains(r.Groups, g) }), policy.mayOverride(r):
		return ""
	case policy.OverrideByRight && r.BreakGlass == RightGranted:
		return ""
	case policy.OverrideByRight && r.BreakGlass == RightUnknown:
		return fmt.Sprintf("the API server did not say whether %q may break the glass", textutil.Shorten(r.Username, maxValue))
	}
	return fmt.Sprintf("%q may not break the glass", textutil.Shorten(r.Username, maxValue))
}

// mayOverride reports whether the requester is one of the OverridePrincipals. The authenticator adds the requester's ARN to
// the userInfo of every login, even of a login through an access entry. A requester with the right to impersonate this extra
// field can choose the ARN.
func (p Policy) mayOverride(r Requester) bool {
	arn := r.ARN()
	return arn != "" && slices.ContainsFunc(p.OverridePrincipals, func(other string) bool { return awsauth.PrincipalKey(other) == awsauth.PrincipalKey(arn) })
}

func overrideHint(policy Policy) string {
	return "remove the annotation, or let a person in " + policy.mayBreakGlass() + " make this change"
}

// mayBreakGlass returns a text that lists the groups and principals that may break the glass. With OverrideByRight it also
// names the right.
func (p Policy) mayBreakGlass() string {
	list := strings.Join(append(slices.Clone(p.overrideGroups()), p.OverridePrincipals...), ", ")
	if p.OverrideByRight {
		list += " or with the right break-glass on configmaps/aws-auth"
	}
	return list
}

// grant is a break-glass value that allows a deletion until its expiry.
type grant struct {
	expiry time.Time
	reason string
}

// parseGrant parses "delete TIME REASON". A value has this form if its first word is delete, in upper or lower case, and its
// second word begins with a digit. For every other value parseGrant returns false. A time that is not in RFC 3339 becomes
// the zero time.
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

// invalid returns the reason why the grant is not valid at the time now, or "" if the grant is valid.
func (g grant) invalid(now time.Time) string {
	if g.reason == "" && !g.expiry.IsZero() {
		return "the value would allow a deletion, but gives no reason"
	}
	return expired("a deletion", g.expiry, now)
}

// expired returns the reason why an action with this expiry is not allowed at the time now, or "" if it is allowed.
func expired(action string, expiry, now time.Time) string {
	switch {
	case expiry.IsZero():
		return "the value would allow " + action + ", but the time in it is not in RFC 3339"
	case !expiry.After(now):
		return "the value allowed " + action + " until " + expiry.Format(time.RFC3339) + ", and this time has passed"
	case expiry.After(now.Add(maxGrant)):
		return "the value would allow " + action + " until " + expiry.Format(time.RFC3339) + ", but this is more than an hour ahead"
	}
	return ""
}
