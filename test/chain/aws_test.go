package chain_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	certutil "k8s.io/client-go/util/cert"
	"sigs.k8s.io/aws-iam-authenticator/pkg/token"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/eks/ekstest"
	"github.com/awsauth-guard/awsauth-guard/test/controlplane"
)

const region = "eu-west-1" // that of ekstest

// privateDNSName is the name of every EC2 instance.
const privateDNSName = "ip-10-0-0-1.eu-west-1.compute.internal"

// fakeAWS stands in for STS and EC2, which can't be had without an AWS account. STS knows a caller by the access key, and
// doesn't check the signature. It counts as the AWS of the programs that get its environment variables.
type fakeAWS struct {
	environ []string
	tokens  atomic.Int64 // that were made
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
	server := httptest.NewUnstartedServer(http.HandlerFunc(answerAWS))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	proxy := httptest.NewServer(connectTo(t.Context(), server.Listener.Addr().String()))
	t.Cleanup(proxy.Close)
	return &fakeAWS{environ: []string{"HTTPS_PROXY=" + proxy.URL, "SSL_CERT_FILE=" + file, "AWS_CA_BUNDLE=" + file}}
}

// connectTo returns a proxy that leads every connection to an address. A program reaches STS and EC2 by their real names.
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

func answerAWS(w http.ResponseWriter, r *http.Request) {
	switch r.FormValue("Action") {
	case "GetCallerIdentity":
		key, _, _ := strings.Cut(r.FormValue("X-Amz-Credential"), "/")
		arn, ok := callerOf(key)
		if !ok || r.Header.Get("X-K8s-Aws-Id") != ekstest.Name {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"Error":{"Code":"InvalidClientTokenId","Message":"The security token included in the request is invalid","Type":"Sender"}}`)
			return
		}
		id := uniqueID(arn)
		if _, session, ok := strings.Cut(arn, ":assumed-role/"); ok {
			id += ":" + session[strings.IndexByte(session, '/')+1:]
		}
		fmt.Fprintf(w, `{"GetCallerIdentityResponse":{"GetCallerIdentityResult":{"Account":%q,"Arn":%q,"UserId":%q},`+
			`"ResponseMetadata":{"RequestId":"b25f48e8-84fd-11e6-80d9-574e0c4664cb"}}}`, awsauth.AccountOf(arn), arn, id)
	case "DescribeInstances":
		fmt.Fprintf(w, `<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><reservationSet><item><instancesSet><item>`+
			`<instanceId>%s</instanceId><privateDnsName>%s</privateDnsName></item></instancesSet></item></reservationSet></DescribeInstancesResponse>`,
			r.FormValue("InstanceId.1"), privateDNSName)
	default:
		http.Error(w, "unknown action", http.StatusBadRequest)
	}
}

// uniqueID returns the unique id that IAM gave a principal. It is the same for a role and its sessions, with or without
// the path of the role.
func uniqueID(arn string) string {
	if canonical, err := awsauth.Canonicalize(arn); err == nil {
		arn = canonical
	}
	sum := sha256.Sum256([]byte(awsauth.PrincipalKey(arn)))
	return "AROA" + strings.ToUpper(hex.EncodeToString(sum[:8]))
}

// accessKey returns the access key id of a caller, and callerOf its caller.
func accessKey(caller int) string { return fmt.Sprintf("ASIA%016d", caller) }

func callerOf(key string) (arn string, ok bool) {
	n, err := strconv.Atoi(strings.TrimPrefix(key, "ASIA"))
	if err != nil || n >= len(callers) {
		return "", false
	}
	return callers[n].arn, true
}

// token makes a new token for a caller, with the authenticator's own package. Each token contains a session token
// of its own, so that no two are the same: the API server caches the answer to a token.
func (a *fakeAWS) token(t *testing.T, caller int) string {
	t.Helper()
	session := fmt.Sprintf("session-%d", a.tokens.Add(1))
	client := sts.New(sts.Options{Region: region, Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: accessKey(caller), SecretAccessKey: "not-a-secret", SessionToken: session, CanExpire: true, Expires: time.Now().Add(time.Hour)}, nil
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
