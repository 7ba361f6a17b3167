package cli

import (
	"errors"
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// caller is an AWS caller that the user names by an ARN on the command line.
type caller struct {
	access.Caller
	note string // how the caller's ARN differs from the ARN on the command line; empty if both are the same
}

func newCaller(arn string) caller {
	c := caller{Caller: access.NewCaller(arn)}
	if c.ARN != arn {
		c.note = "STS omits the role's path: callers have the ARN " + c.ARN
	}
	return c
}

// requesterFor returns the username, the groups and some extra fields that a caller has at the API server, if old is the stored aws-auth.
// It returns an error if the caller can't log in. It also returns an error for every caller of an entry with {{EC2PrivateDNSName}}, because
// only the EC2 API knows this name.
func requesterFor(old *awsauth.Object, arn string) (validate.Requester, error) {
	c := newCaller(arn)
	r := old.Load().Resolve(c.ARN)
	if !r.Mapped {
		return validate.Requester{}, errors.New(r.Reason)
	}
	q := validate.Requester{Username: r.Username, Groups: r.Groups}
	if len(r.Matches) > 0 { // mapAccounts has no templates
		e := r.Matches[0]
		var ok bool
		if q.Username, q.Groups, ok = e.Render(awsauth.Caller{AccountID: c.AccountID, SessionName: c.SessionName}); !ok {
			return validate.Requester{}, errors.New(access.InstancesOnly(e.Path()))
		}
	}
	q.Extra = map[string][]string{
		"arn": {c.ARN}, "canonicalArn": {r.CanonicalARN}, "sessionName": {c.SessionName},
	}
	return q, nil
}

// render returns a resolution in which the templates of the username and groups are rendered for the caller. A template whose value is not
// known stays. If all matching entries admit only EC2 instances and the caller is not an EC2 instance, the result is not mapped.
func (c caller) render(r awsauth.Resolution) awsauth.Resolution {
	if len(r.Matches) == 0 {
		return r
	}
	who := c.Caller.Caller
	if !slices.ContainsFunc(r.Matches, func(e *awsauth.Entry) bool { return e.Admits(who) }) {
		r.Mapped, r.Ambiguous, r.Reason = false, false, ""
		r.Username, r.Groups = "", nil
		return r
	}
	r.Username, r.Groups = r.Matches[0].RenderedUsername(who), r.Matches[0].RenderedGroups(who)
	return r
}

// reasons returns explanations of a resolution: a removed path, why the ARN is refused, not mapped or ambiguous, the spelling that STS
// uses, an entry that admits only EC2 instances, and entries that nearly match.
func (c caller) reasons(o *awsauth.Object, r awsauth.Resolution) []string {
	var list []string
	add := func(reason string) {
		if reason != "" {
			list = append(list, reason)
		}
	}
	add(c.note)
	add(r.Reason)
	switch {
	case r.CanonicalARN == "":
		if parsed, err := awsauth.ParseARN(strings.TrimSpace(c.ARN)); err == nil && parsed.String() != c.ARN {
			add("STS writes this ARN as " + parsed.String())
		}
	case len(r.Matches) > 0 && r.Matches[0].OnlyInstances() && !(awsauth.Caller{SessionName: c.SessionName}).IsInstance():
		add(access.InstancesOnly(r.Matches[0].Path()))
	case !r.Mapped || r.Source == awsauth.MapAccounts:
		for _, miss := range o.NearMisses(r.CanonicalARN) {
			add(miss.String())
		}
	}
	return list
}
