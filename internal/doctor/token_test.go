package doctor_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/awsauth-guard/awsauth-guard/internal/doctor"
)

// signedURL is the URL of a valid token. It contains the secrets of signedSecrets.
const signedURL = "https://sts.eu-west-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256" +
	"&X-Amz-Credential=ASIAQQQQQQQQQQQQQQQQ%2F20260102%2Feu-west-1%2Fsts%2Faws4_request&X-Amz-Date=20260102T030405Z&X-Amz-Expires=60" +
	"&X-Amz-Security-Token=c2Vzc2lvbi10b2tlbi1vZi10aGUtdXNlcg&X-Amz-SignedHeaders=host%3Bx-k8s-aws-id&X-Amz-Signature=5ca1ab1e5ca1ab1e5ca1ab1e"

var signedSecrets = []string{"ASIAQQQQQQQQQQQQQQQQ", "c2Vzc2lvbi10b2tlbi1vZi10aGUtdXNlcg", "5ca1ab1e5ca1ab1e5ca1ab1e"}

func encode(url string) string {
	return "k8s-aws-v1." + base64.RawURLEncoding.EncodeToString([]byte(url))
}

// change returns the token for signedURL in which text replaces old.
func change(old, text string) string { return encode(strings.Replace(signedURL, old, text, 1)) }

func host(name string) string { return change("sts.eu-west-1.amazonaws.com", name) }

// Doctor checks a token by the rules of aws-iam-authenticator v0.7.18, pkg/token/token.go.
func TestTokensAreCheckedAsByTheAuthenticator(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		token string
		ok    bool
	}{
		"valid":                           {encode(signedURL), true},
		"global host":                     {host("sts.amazonaws.com"), true},
		"FIPS host":                       {host("sts-fips.us-east-1.amazonaws.com"), true},
		"dual-stack host":                 {host("sts.eu-west-1.api.aws"), true},
		"host in China":                   {host("sts.cn-north-1.amazonaws.com.cn"), true},
		"dual-stack host in China":        {host("sts.cn-north-1.api.amazonwebservices.com.cn"), true},
		"dual-stack host of the EU cloud": {host("sts.eusc-de-east-1.api.amazonwebservices.eu"), true},
		"names in lower case":             {change("Action=", "action="), true},
		"the longest expiry":              {change("X-Amz-Expires=60", "X-Amz-Expires=900"), true},
		"no expiry":                       {change("&X-Amz-Expires=60", ""), false},
		"too long an expiry":              {change("X-Amz-Expires=60", "X-Amz-Expires=901"), false},
		"negative expiry":                 {change("X-Amz-Expires=60", "X-Amz-Expires=-1"), false},
		"no date":                         {change("&X-Amz-Date=20260102T030405Z", ""), false},
		"wrong date":                      {change("20260102T030405Z", "2026-01-02"), false},
		"another action":                  {change("GetCallerIdentity", "AssumeRole"), false},
		"no cluster":                      {change("%3Bx-k8s-aws-id", ""), false},
		"parameter twice":                 {change("&Version=", "&Action=GetCallerIdentity&Version="), false},
		"parameter twice in another case": {change("&Version=", "&action=GetCallerIdentity&Version="), false},
		"unknown parameter":               {change("&Version=", "&Tag=1&Version="), false},
		"parameters not decodable":        {change("&Version=", "&%zz&Version="), false},
		"http":                            {change("https", "http"), false},
		"another path":                    {change(".com/", ".com/x"), false},
		"no path":                         {change(".com/", ".com"), false},
		"port":                            {host("sts.eu-west-1.amazonaws.com:443"), false},
		"VPC endpoint":                    {host("vpce-1.sts.eu-west-1.vpce.amazonaws.com"), false},
		"host that begins like STS":       {host("sts.eu-west-1.amazonaws.com.example.org"), false},
		"host that ends like STS":         {host("evil-sts.eu-west-1.amazonaws.com"), false},
		"host before an @":                {host("sts.eu-west-1.amazonaws.com@example.org"), false},
		"host with a newline":             {host("sts.eu-west-1.amazonaws.com\n"), false},
		"global host of China":            {host("sts.amazonaws.com.cn"), false},
		"global FIPS host":                {host("sts-fips.amazonaws.com"), false},
		"global dual-stack host":          {host("sts.api.aws"), false},
		"region that ends with a hyphen":  {host("sts.eu-.amazonaws.com"), false},
		"padding":                         {encode(signedURL) + "=", false},
		"another prefix":                  {"k8s-aws-v2." + strings.TrimPrefix(encode(signedURL), "k8s-aws-v1."), false},
		"too long":                        {encode(signedURL + strings.Repeat("0", 4096)), false},
		"empty":                           {"", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := doctor.ParseToken(test.token); (err == nil) != test.ok {
				t.Errorf("got %v", err)
			}
		})
	}
}

// No error contains a secret of a token, even if the token is damaged.
func FuzzTokenErrorsHaveNoSecret(f *testing.F) {
	f.Add(uint16(0), "https", "http")
	f.Add(uint16(0), "X-Amz-Date=", "X-Amz-Date=x")
	f.Add(uint16(0), "X-Amz-Signature=", "Signature")
	f.Add(uint16(0), "&X-Amz-Security-Token=", "")
	f.Add(uint16(0), ".com/?Action=GetCallerIdentity", "")
	f.Add(uint16(0), "sts.eu-west-1.amazonaws.com", "%")
	f.Add(uint16(40), "", "\x00")
	f.Fuzz(func(t *testing.T, at uint16, old, text string) {
		url := strings.Replace(signedURL, old, text, 1)
		cut := min(int(at), len(url))
		for _, token := range []string{encode(url), encode(url[cut:]), encode(url)[:len(encode(url))-cut%8] + text} {
			_, err := doctor.ParseToken(token)
			if err == nil {
				continue
			}
			for _, secret := range append(signedSecrets, encode(url)) {
				if strings.Contains(err.Error(), secret) && !strings.Contains(old+text, secret) {
					t.Errorf("the error has the secret %q: %v", secret, err)
				}
			}
			if len(err.Error()) > 1000 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		}
	})
}
