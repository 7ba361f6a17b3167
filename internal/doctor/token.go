package doctor

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The authenticator's rules for a token (aws-iam-authenticator v0.7.18, pkg/token/token.go, Verify).
const (
	tokenPrefix   = "k8s-aws-v1." //nolint:gosec // it begins every token
	maxToken      = 4096
	clusterHeader = "x-k8s-aws-id"
	dateFormat    = "20060102T150405Z"
	tokenLifetime = 15 * time.Minute
	maxExpires    = 900 // seconds
)

// stsHost matches the STS hosts that the authenticator accepts. These are the AWS SDK's regional hosts in each partition, and the global
// host in the partition aws. A VPC endpoint is not among them.
var stsHost = regexp.MustCompile(`^sts(?:-fips)?\.[[:alnum:]](?:[[:alnum:]-]*[[:alnum:]])?\.` +
	`(?:amazonaws\.com|amazonaws\.com\.cn|amazonaws\.eu|api\.aws|api\.amazonwebservices\.(?:com\.cn|eu)|c2s\.ic\.gov|sc2s\.sgov\.gov|cloud\.adc-e\.uk|csp\.hci\.ic\.gov)$` +
	`|^sts\.amazonaws\.com$`)

// allowedParameters are the query parameters that the authenticator allows in the URL of a token.
var allowedParameters = map[string]bool{
	"action": true, "version": true, "x-amz-algorithm": true, "x-amz-credential": true, "x-amz-date": true, "x-amz-expires": true,
	"x-amz-security-token": true, "x-amz-signature": true, "x-amz-signedheaders": true,
}

// token is a decoded EKS token. It has no method that returns the token or its URL as text, because both are secret.
type token struct {
	url    *url.URL  // secret: everyone who has the URL can log in as the caller
	host   string    // the host of STS in the URL
	signed time.Time // when the token was signed
	// session reports whether the token was signed with temporary credentials.
	session bool
}

// errForeign means that a text is not an EKS token.
var errForeign = errors.New("it does not begin with " + tokenPrefix + " as a token of EKS")

// parseToken decodes a token and checks it as the authenticator does. An error contains no part of the token, except the name of a
// parameter or the host. parseToken does not check the age of the token.
func parseToken(text string) (*token, error) {
	encoded, ok := strings.CutPrefix(text, tokenPrefix)
	if !ok {
		return nil, errForeign
	}
	if len(text) > maxToken {
		return nil, fmt.Errorf("it has %d bytes, and the authenticator accepts %d; are there many session tags or a long session policy?", len(text), maxToken)
	}
	decoded, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return nil, errors.New("it is not base64url without padding")
	}
	u, err := url.Parse(string(decoded))
	if err != nil || u.Scheme != "https" || u.Path != "/" {
		return nil, errors.New("it does not hold a URL of STS")
	}
	if !stsHost.MatchString(u.Host) {
		name := "another host"
		if plainHost.MatchString(u.Host) {
			name = "the host " + u.Host
		}
		return nil, fmt.Errorf("it is signed for %s, and the authenticator accepts only hosts of STS such as sts.eu-west-1.amazonaws.com; is AWS_ENDPOINT_URL_STS set, or a VPC endpoint configured?", name)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, errors.New("its URL has parameters that can't be decoded")
	}
	return newToken(u, query)
}

// plainHost and plainParameter match usual hosts and names of parameters. An error contains a host or a name only if it matches, because
// in a damaged URL a part of a secret can stand in its place.
var (
	plainHost      = regexp.MustCompile(`^[a-z0-9.:-]{1,253}$`)
	plainParameter = regexp.MustCompile(`^[A-Za-z-]{1,40}$`)
)

func describeParameter(name string) string {
	if plainParameter.MatchString(name) {
		return "the parameter " + name
	}
	return "a parameter"
}

// newToken returns the token with this URL. It returns an error if the authenticator refuses the query parameters.
func newToken(u *url.URL, query url.Values) (*token, error) {
	lower := make(url.Values, len(query))
	for name, values := range query {
		key := strings.ToLower(name)
		if !allowedParameters[key] {
			return nil, fmt.Errorf("its URL has %s, which the authenticator does not allow", describeParameter(name))
		}
		if lower[key] = append(lower[key], values...); len(lower[key]) > 1 {
			return nil, fmt.Errorf("its URL has the parameter %s twice", key)
		}
	}
	if lower.Get("action") != "GetCallerIdentity" {
		return nil, errors.New("its URL is not for the action GetCallerIdentity")
	}
	if !slices.Contains(strings.Split(strings.ToLower(lower.Get("x-amz-signedheaders")), ";"), clusterHeader) {
		return nil, errors.New("it does not name a cluster: the header " + clusterHeader + " is not signed")
	}
	if expires, err := strconv.Atoi(lower.Get("x-amz-expires")); err != nil || expires < 0 || expires > maxExpires {
		return nil, fmt.Errorf("its URL has no X-Amz-Expires from 0 to %d", maxExpires)
	}
	signed, err := time.Parse(dateFormat, lower.Get("x-amz-date"))
	if err != nil {
		return nil, errors.New("its URL has no valid X-Amz-Date")
	}
	return &token{url: u, host: u.Host, signed: signed, session: lower.Has("x-amz-security-token")}, nil
}

// readToken is the third step. It decodes the token, and checks it as the authenticator does before it calls STS.
func (d *diagnosis) readToken(context.Context) (Status, string) {
	if d.Principal != "" || d.config == nil {
		return "", ""
	}
	text, err := bearerToken(d.config)
	if err != nil {
		return StatusUnknown, err.Error()
	}
	if text == "" {
		return StatusOK, "the credentials are not a token, so neither AWS nor aws-auth decides about them"
	}
	t, err := parseToken(text)
	switch {
	case errors.Is(err, errForeign):
		return StatusOK, "the token is not one of EKS, but of a ServiceAccount or an OIDC provider, so neither AWS nor aws-auth decides about it"
	case err != nil:
		c := Cause{ID: "token-malformed", Step: stepToken, Summary: "the API server refuses the token: " + err.Error(), User: d.updateKubeconfig()}
		if os.Getenv("AWS_ENDPOINT_URL_STS") != "" {
			c.User = "unset AWS_ENDPOINT_URL_STS"
		}
		return d.fail(c)
	}
	now := d.Now()
	if now.Sub(t.signed) > tokenLifetime {
		return d.fail(Cause{
			ID: "token-expired", Step: stepToken, User: d.updateKubeconfig(),
			Summary: fmt.Sprintf("the token was signed %s ago and is valid for %s; a token in a kubeconfig or in a cache is not renewed",
				now.Sub(t.signed).Round(time.Minute), tokenLifetime),
		})
	}
	d.token = t
	keys := "an access key of a user"
	if t.session {
		keys = "temporary credentials"
	}
	return StatusOK, fmt.Sprintf("signed %s ago with %s for %s", max(now.Sub(t.signed), 0).Round(time.Second), keys, t.host)
}
