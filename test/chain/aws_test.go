package chain_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	certutil "k8s.io/client-go/util/cert"
	"sigs.k8s.io/aws-iam-authenticator/pkg/token"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/eks/ekstest"
	"github.com/awsauth-guard/awsauth-guard/test/controlplane"
)

const region = "eu-west-1" // the region of ekstest

// privateDNSName is the name of every EC2 instance.
const privateDNSName = "ip-10-0-0-1.eu-west-1.compute.internal"

// fakeAWS stands in for STS and EC2, which need an AWS account. STS finds a caller by the access key, and checks the
// signature of a token. A program uses fakeAWS if it has the environment variables of environ.
type fakeAWS struct {
	environ []string
	tokens  atomic.Int64 // number of tokens made
	ahead   atomic.Int64 // nanoseconds by which its clock is ahead of the real clock
}

func newFakeAWS(t *testing.T) *fakeAWS {
	t.Helper()
	certificate, key, err := certutil.GenerateSelfSignedCertKey("sts."+region+".amazonaws.com", nil, []string{"ec2." + region + ".amazonaws.com"})
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "aws.crt")
	if err := os.WriteFile(file, certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	a := &fakeAWS{}
	server := httptest.NewUnstartedServer(http.HandlerFunc(a.answerAWS))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	proxy := httptest.NewServer(connectTo(t.Context(), server.Listener.Addr().String()))
	t.Cleanup(proxy.Close)
	a.environ = []string{"HTTPS_PROXY=" + proxy.URL, "SSL_CERT_FILE=" + file, "AWS_CA_BUNDLE=" + file}
	return a
}

// connectTo returns an HTTP proxy that connects every client to the same address. With it, programs reach fakeAWS by the
// real names of STS and EC2.
func connectTo(ctx context.Context, address string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		connection, _, err := http.NewResponseController(w).Hijack()
		if err != nil || r.Method != http.MethodConnect {
			http.Error(w, "only CONNECT", http.StatusMethodNotAllowed)
			return
		}
		fmt.Fprint(connection, "HTTP/1.1 200 OK\r\n\r\n")
		go controlplane.Forward(ctx, connection, address)
	}
}

// answerAWS answers a call of STS or EC2. The authenticator sends a token as a presigned GET request. The SDK sends its
// calls as POST requests.
func (a *fakeAWS) answerAWS(w http.ResponseWriter, r *http.Request) {
	now := time.Now().Add(time.Duration(a.ahead.Load()))
	w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
	switch r.FormValue("Action") {
	case "GetCallerIdentity":
		answerGetCallerIdentity(w, r, now)
	case "AssumeRole":
		answerAssumeRole(w, r)
	case "DescribeInstances":
		fmt.Fprintf(w, `<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><reservationSet><item><instancesSet><item>`+
			`<instanceId>%s</instanceId><privateDnsName>%s</privateDnsName></item></instancesSet></item></reservationSet></DescribeInstancesResponse>`,
			r.FormValue("InstanceId.1"), privateDNSName)
	default:
		http.Error(w, "unknown action", http.StatusBadRequest)
	}
}

// expiredKey is the access key of temporary credentials that have expired.
const expiredKey = "ASIAEXPIREDEXPIRED00"

// answerGetCallerIdentity answers as STS does: a token in JSON, and a call of the SDK in XML. The texts of the errors are
// those of AWS.
func answerGetCallerIdentity(w http.ResponseWriter, r *http.Request, now time.Time) {
	key, _, _ := strings.Cut(r.FormValue("X-Amz-Credential"), "/")
	presigned := key != ""
	if !presigned {
		_, credential, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
		key, _, _ = strings.Cut(credential, "/")
	}
	refuse := func(code, message string) {
		w.WriteHeader(http.StatusForbidden)
		if presigned {
			fmt.Fprintf(w, `{"Error":{"Code":%q,"Message":%q,"Type":"Sender"},"RequestId":"b25f48e8-84fd-11e6-80d9-574e0c4664cb"}`, code, message)
			return
		}
		fmt.Fprintf(w, `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error></ErrorResponse>`, code, message)
	}
	arn, ok := callerOf(key)
	switch {
	case key == expiredKey:
		refuse("ExpiredToken", "The security token included in the request is expired")
		return
	case !ok:
		refuse("InvalidClientTokenId", "The security token included in the request is invalid")
		return
	case presigned && !validSignature(r, now):
		refuse("SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided. The Canonical String for this request should have been 'GET / "+r.URL.RawQuery+"'")
		return
	}
	id := uniqueID(arn)
	if _, session, ok := strings.Cut(arn, ":assumed-role/"); ok {
		id += ":" + session[strings.IndexByte(session, '/')+1:]
	}
	if !presigned {
		fmt.Fprintf(w, `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Arn>%s</Arn><UserId>%s</UserId>`+
			`<Account>%s</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`, arn, id, awsauth.AccountOf(arn))
		return
	}
	fmt.Fprintf(w, `{"GetCallerIdentityResponse":{"GetCallerIdentityResult":{"Account":%q,"Arn":%q,"UserId":%q},`+
		`"ResponseMetadata":{"RequestId":"b25f48e8-84fd-11e6-80d9-574e0c4664cb"}}}`, awsauth.AccountOf(arn), arn, id)
}

// validSignature reports whether a token is signed with the secret and for the cluster in the header, at most 15 minutes before
// or after now.
func validSignature(r *http.Request, now time.Time) bool {
	query := r.URL.Query()
	signed, err := time.Parse("20060102T150405Z", query.Get("X-Amz-Date"))
	if err != nil || now.Sub(signed).Abs() > 15*time.Minute {
		return false
	}
	key, _, _ := strings.Cut(query.Get("X-Amz-Credential"), "/")
	credentials := aws.Credentials{AccessKeyID: key, SecretAccessKey: secret, SessionToken: query.Get("X-Amz-Security-Token")}
	signature := query.Get("X-Amz-Signature")
	for name := range query {
		if strings.HasPrefix(name, "X-Amz-") && name != "X-Amz-Expires" {
			query.Del(name)
		}
	}
	again, err := http.NewRequestWithContext(r.Context(), http.MethodGet, "https://"+r.Host+"/?"+query.Encode(), http.NoBody)
	if err != nil {
		return false
	}
	again.Header.Set("X-K8s-Aws-Id", r.Header.Get("X-K8s-Aws-Id"))
	uri, _, err := v4.NewSigner().PresignHTTP(r.Context(), credentials, again, emptyPayload, "sts", region, signed)
	if err != nil {
		return false
	}
	expected, err := url.Parse(uri)
	return err == nil && expected.Query().Get("X-Amz-Signature") == signature
}

// secret is the secret access key of every caller. emptyPayload is the SHA-256 of an empty body.
const (
	secret       = "not-a-secret"
	emptyPayload = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

// answerAssumeRole returns the access key of the first caller that is a session of the role. It denies the call if there
// is none.
func answerAssumeRole(w http.ResponseWriter, r *http.Request) {
	role := r.FormValue("RoleArn")
	for i := range callers {
		if principalOf(callers[i].arn) == role && strings.Contains(callers[i].arn, ":assumed-role/") {
			fmt.Fprintf(w, `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials><AccessKeyId>%s</AccessKeyId>`+
				`<SecretAccessKey>%s</SecretAccessKey><SessionToken>session</SessionToken><Expiration>2100-01-01T00:00:00Z</Expiration></Credentials>`+
				`<AssumedRoleUser><Arn>%s</Arn><AssumedRoleId>%s:session</AssumedRoleId></AssumedRoleUser></AssumeRoleResult></AssumeRoleResponse>`,
				accessKey(i), secret, callers[i].arn, uniqueID(role))
			return
		}
	}
	w.WriteHeader(http.StatusForbidden)
	fmt.Fprintf(w, `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>AccessDenied</Code>`+
		`<Message>User: arn:aws:iam::111122223333:user/alice is not authorized to perform: sts:AssumeRole on resource: %s</Message></Error></ErrorResponse>`, role)
}

// uniqueID returns the unique id of a principal in IAM. A role, with or without its path, and its sessions have the same id.
func uniqueID(arn string) string {
	if canonical, err := awsauth.Canonicalize(arn); err == nil {
		arn = canonical
	}
	sum := sha256.Sum256([]byte(awsauth.PrincipalKey(arn)))
	return "AROA" + strings.ToUpper(hex.EncodeToString(sum[:8]))
}

// accessKey returns the access key id of the caller with an index in callers. callerOf returns the caller's ARN by the
// access key id.
func accessKey(caller int) string { return fmt.Sprintf("ASIA%016d", caller) }

func callerOf(key string) (arn string, ok bool) {
	n, err := strconv.Atoi(strings.TrimPrefix(key, "ASIA"))
	if err != nil || n >= len(callers) {
		return "", false
	}
	return callers[n].arn, true
}

// token makes a new token for a caller, with the authenticator's own package. The API server caches the answer to a
// token, so each token has its own session token.
func (a *fakeAWS) token(t *testing.T, caller int) string {
	t.Helper()
	session := fmt.Sprintf("session-%d", a.tokens.Add(1))
	client := sts.New(sts.Options{Region: region, Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: accessKey(caller), SecretAccessKey: secret, SessionToken: session, CanExpire: true, Expires: time.Now().Add(time.Hour)}, nil
	})})
	generator, err := token.NewGenerator(false, false)
	if err != nil {
		t.Fatal(err)
	}
	made, err := generator.GetWithSTS(ekstest.Name, client)
	if err != nil {
		t.Fatal(err)
	}
	return made.Token
}
