package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// caller is who an ARN on the command line stands for.
type caller struct {
	arn     string // as the authenticator would be given it
	account string
	session string // of an STS session of a role
	note    string // what was taken for what, if anything
}

// newCaller reads an ARN as that of a caller. An IAM role is not a caller itself: its sessions
// are, and STS leaves the role's path out of their ARNs.
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
		c.note = "callers arrive without the role's path, as " + c.arn
	}
	return c
}

// requester is who the API server would see if the caller logged in through the object.
func requester(old *awsauth.Object, arn string) (validate.Requester, error) {
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
			return validate.Requester{}, fmt.Errorf("%s lets in EC2 instances only, because of {{EC2PrivateDNSName}}", e.Path())
		}
	}
	q.Extra = map[string][]string{
		"arn": {c.arn}, "canonicalArn": {r.CanonicalARN}, "sessionName": {c.session},
	}
	return q, nil
}

// reasons explains the answer for the caller, beyond what its fields say.
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
			add("STS writes it " + parsed.String())
		}
	case !r.Mapped || r.Source == awsauth.MapAccounts:
		for _, miss := range o.NearMisses(r.CanonicalARN) {
			add(miss.String())
		}
	case !r.Matches[0].Admits(awsauth.Caller{SessionName: c.session}):
		add(fmt.Sprintf("%s renders {{EC2PrivateDNSName}}, so that the authenticator refuses everybody but EC2 instances", r.Matches[0].Path()))
	}
	return list
}
