package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// caller is the AWS caller that an ARN on the command line stands for.
type caller struct {
	arn     string // the ARN that STS sends to the authenticator
	account string
	session string // name of a role's STS session; empty for other callers
	note    string // how arn differs from the ARN on the command line; empty if it does not
}

// newCaller returns the caller for an ARN. An IAM role itself never calls. Its sessions do, and STS omits the role's path
// from their ARNs, so newCaller removes the path.
func newCaller(arn string) caller {
	c := caller{arn: arn}
	parsed, err := awsauth.ParseARN(arn)
	if err != nil {
		return c
	}
	c.account = parsed.Account
	if _, ok := parsed.SessionRole(); ok {
		c.session = parsed.Name()
	}
	if _, err := awsauth.Canonicalize(arn); err != nil {
		return c
	}
	if role, ok := parsed.WithoutPath(); ok {
		c.arn = role.String()
		c.note = "STS omits the role's path: callers have the ARN " + c.arn
	}
	return c
}

// requesterFor returns the username, groups and extra fields that the API server sees if the caller logs in with this
// version of aws-auth. It fails if the caller can't log in.
func requesterFor(old *awsauth.Object, arn string) (validate.Requester, error) {
	c := newCaller(arn)
	r := old.Load().Resolve(c.arn)
	if !r.Mapped {
		return validate.Requester{}, errors.New(r.Reason)
	}
	q := validate.Requester{Username: r.Username, Groups: r.Groups}
	if len(r.Matches) > 0 { // mapAccounts has no templates
		e := r.Matches[0]
		var ok bool
		if q.Username, q.Groups, ok = e.Render(awsauth.Caller{AccountID: c.account, SessionName: c.session}); !ok {
			return validate.Requester{}, fmt.Errorf("only EC2 instances can log in with %s, because it uses {{EC2PrivateDNSName}}", e.Path())
		}
	}
	q.Extra = map[string][]string{
		"arn": {c.arn}, "canonicalArn": {r.CanonicalARN}, "sessionName": {c.session},
	}
	return q, nil
}

// reasons returns explanations for the user that the fields of the resolution don't hold: a removed path, a refused ARN,
// entries that nearly match.
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
		if parsed, err := awsauth.ParseARN(strings.TrimSpace(c.arn)); err == nil && parsed.String() != c.arn {
			add("STS writes this ARN as " + parsed.String())
		}
	case !r.Mapped || r.Source == awsauth.MapAccounts:
		for _, miss := range o.NearMisses(r.CanonicalARN) {
			add(miss.String())
		}
	case !r.Matches[0].Admits(awsauth.Caller{SessionName: c.session}):
		add(fmt.Sprintf("only EC2 instances can log in with %s, because it uses {{EC2PrivateDNSName}}", r.Matches[0].Path()))
	}
	return list
}
