package eks_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/internal/awsapi"
	"github.com/awsauth-guard/awsauth-guard/internal/eks"
	"github.com/awsauth-guard/awsauth-guard/internal/eks/ekstest"
)

// ListClusters returns the clusters of all pages, sorted.
func TestListClustersFollowsAllPages(t *testing.T) {
	server := ekstest.New(t)
	server.Answer("ListClusters", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("nextToken") == "" {
			fmt.Fprint(w, `{"clusters":["b","c"],"nextToken":"2"}`)
			return
		}
		fmt.Fprint(w, `{"clusters":["a"]}`)
	})
	got, err := eks.ListClusters(t.Context(), "eu-west-1")
	if want := []string{"a", "b", "c"}; !slices.Equal(got, want) || err != nil {
		t.Errorf("%v, %v", got, err)
	}
}

// ListClusters names the missing permission, and doesn't read an unlimited number of clusters.
func TestListClustersReportsErrors(t *testing.T) {
	server := ekstest.New(t)
	server.Answer("ListClusters", ekstest.AccessDenied("ListClusters"))
	_, err := eks.ListClusters(t.Context(), "eu-west-1")
	if call, ok := errors.AsType[*eks.CallError](err); !ok || call.Action != "ListClusters" || call.Err.Reason != awsapi.ReasonDenied {
		t.Error(err)
	}
	n := 0
	hundred := strings.Repeat(`"c",`, 99) + `"c"`
	server.Answer("ListClusters", func(w http.ResponseWriter, _ *http.Request) {
		n++
		fmt.Fprintf(w, `{"clusters":[%s],"nextToken":"%d"}`, hundred, n)
	})
	if _, err := eks.ListClusters(t.Context(), "eu-west-1"); err == nil || n > 21 {
		t.Errorf("%v after %d pages", err, n)
	}
}

// A token is a presigned URL of the region's STS with the parameters that the authenticator allows. It names the public host even if the
// environment sets another endpoint of STS, because the authenticator refuses other hosts.
func TestTokenHasTheFormatOfTheAuthenticator(t *testing.T) {
	ekstest.New(t)
	t.Setenv("AWS_ENDPOINT_URL_STS", "https://vpce.example.com")
	t.Setenv("AWS_ENDPOINT_URL", "https://vpce.example.com")
	token, err := eks.Token(t.Context(), "prod", "eu-central-1")
	if err != nil {
		t.Fatal(err)
	}
	encoded, ok := strings.CutPrefix(token, "k8s-aws-v1.")
	text, err := base64.RawURLEncoding.DecodeString(encoded)
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	u, err := url.Parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{"host": u.Scheme + "://" + u.Host + u.Path}
	for name, values := range u.Query() {
		got[name] = strings.Join(values, ",")
	}
	for _, name := range []string{"X-Amz-Signature", "X-Amz-Date", "X-Amz-Credential"} {
		if got[name] == "" {
			t.Errorf("no %s", name)
		}
		delete(got, name)
	}
	want := map[string]string{
		"host": "https://sts.eu-central-1.amazonaws.com/", "Action": "GetCallerIdentity", "Version": "2011-06-15", "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
		"X-Amz-Expires": "60", "X-Amz-SignedHeaders": "host;x-k8s-aws-id",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Without credentials Token returns a TokenError with this reason.
func TestTokenWithoutCredentials(t *testing.T) {
	ekstest.New(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	t.Setenv("HOME", t.TempDir())
	_, err := eks.Token(t.Context(), "prod", "eu-west-1")
	if failed, ok := errors.AsType[*eks.TokenError](err); !ok || failed.Err.Reason != awsapi.ReasonNoCredentials {
		t.Error(err)
	}
}
