package oracle

import (
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/validate"
	"github.com/awsauth-guard/awsauth-guard/test/oracle/authenticator"
	"github.com/awsauth-guard/awsauth-guard/test/oracle/generate"
)

// requester returns the sender of a change as kube-apiserver describes the sender to the webhook. l is the sender's login
// through aws-auth. If this login is refused, the sender logs in with an access entry. A sender whose arn is not that of a
// caller has a client certificate of an admin.
func requester(arn, form string, l login) validate.Requester {
	if !callerARN.MatchString(arn) {
		return validate.Requester{Username: "kubernetes-admin", Groups: []string{"system:masters", loggedIn}}
	}
	r := validate.Requester{Username: "by-access-entry", Groups: []string{loggedIn}, Extra: extra(arn, form)}
	if l.ok {
		r.Username, r.Groups = l.username, slices.Clone(l.groups)
		// kube-apiserver v1.36.3, pkg/authentication/group/authenticated_group_adder.go
		if form != generate.NoGroupFromCluster && !slices.Contains(r.Groups, loggedIn) {
			r.Groups = append(r.Groups, loggedIn)
		}
	}
	return r
}

// extra returns the fields that the authenticator adds to a login (pkg/server/server.go, authenticateEndpoint), in one of
// the forms that a request can have.
func extra(arn, form string) map[string][]string {
	fields := map[string][]string{
		"arn": {arn}, "canonicalArn": {canonical(arn)}, "sessionName": {sessionOf(arn)}, "accessKeyId": {authenticator.AccessKey},
	}
	rename := func(name func(string) string) {
		renamed := make(map[string][]string)
		for key, values := range fields {
			renamed[name(key)] = values
		}
		fields = renamed
	}
	switch form {
	case generate.LowerCaseKeys: // as impersonation headers arrive
		rename(strings.ToLower)
	case generate.MixedCaseKeys:
		rename(func(key string) string { return strings.ToUpper(key[:1]) + key[1:] })
	case generate.NoSessionName:
		delete(fields, "sessionName")
	case generate.NoAccessKeyID:
		delete(fields, "accessKeyId")
	case generate.OnlyCanonicalARN:
		fields = map[string][]string{"canonicalArn": fields["canonicalArn"]}
	case generate.OnlySessionARN:
		fields = map[string][]string{"arn": fields["arn"]}
	case generate.SessionARNForBoth:
		fields["canonicalArn"] = fields["arn"]
	case generate.EmptyCanonicalARN:
		fields["canonicalArn"] = []string{""}
	case generate.SeveralValues:
		for key, values := range fields {
			fields[key] = append(values, "another")
		}
	case generate.NoExtra:
		return nil
	}
	return fields
}

// loginOf returns the first possible login of a requester, or the zero login if the requester can't log in.
func loginOf(arn string, v *access) login {
	for _, l := range v.logins[arn] {
		if l.ok {
			return l
		}
	}
	return login{}
}
