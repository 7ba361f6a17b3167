package authenticator_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	authenticationv1beta1 "k8s.io/api/authentication/v1beta1"

	"sigs.k8s.io/aws-iam-authenticator/pkg/metrics"

	"github.com/awsauth-guard/awsauth-guard/test/oracle/authenticator"
)

// TestRenderAgreesWithEndpoint sends TokenReviews to the released program's endpoint. It compares the responses with
// Resolve and Render. The oracle uses these two, because they are faster.
func TestRenderAgreesWithEndpoint(t *testing.T) {
	metrics.InitMetrics(prometheus.NewRegistry())
	a, err := authenticator.New()
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	a.Load(map[string]string{
		"mapRoles": `
- {rolearn: "arn:aws:iam::111122223333:role/Node", username: "system:node:{{EC2PrivateDNSName}}", groups: ["system:nodes", "a:{{AccountID}}"]}
- {rolearn: "arn:aws:iam::111122223333:role/Ops", username: "ops:{{SessionName}}:{{SessionNameRaw}}", groups: ["key:{{AccessKeyID}}", "", "{{unknown}}"]}
`,
		"mapUsers":    `[{userarn: "arn:aws:sts::111122223333:federated-user/erin", username: "f:{{SessionName}}"}]`,
		"mapAccounts": `["999988887777"]`,
	})
	answered := 0
	for _, caller := range []string{
		"arn:aws:sts::111122223333:assumed-role/Node/i-0123456789abcdef0",
		"arn:aws:sts::111122223333:assumed-role/Node/alice@example.com",
		"arn:aws:sts::111122223333:assumed-role/Ops/alice@example.com",
		"arn:aws:sts::111122223333:assumed-role/Absent/alice",
		"arn:aws:sts::111122223333:federated-user/erin",
		"arn:aws:iam::999988887777:user/anybody",
		"arn:aws:iam::111122223333:user/absent",
		"arn:aws:s3:::bucket",
	} {
		want := authenticate(t, a, caller)
		if got := a.Render(caller, a.Resolve(caller)); !cmp.Equal(got, want) {
			t.Errorf("%s: %s", caller, cmp.Diff(want, got))
		}
		if want.OK {
			answered++
		}
	}
	if answered != 4 {
		t.Errorf("%d callers may log in, want 4", answered)
	}
}

// authenticate sends a TokenReview to the endpoint and returns the login in the response.
func authenticate(t *testing.T, a *authenticator.Authenticator, caller string) authenticator.Login {
	t.Helper()
	body, err := json.Marshal(authenticationv1beta1.TokenReview{Spec: authenticationv1beta1.TokenReviewSpec{Token: caller}})
	if err != nil {
		t.Fatal(err)
	}
	recorder := httptest.NewRecorder()
	a.Authenticate(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/authenticate", bytes.NewReader(body)))
	var review authenticationv1beta1.TokenReview
	if err := json.Unmarshal(recorder.Body.Bytes(), &review); err != nil {
		t.Fatalf("%s: %v: %q", caller, err, recorder.Body)
	}
	if !review.Status.Authenticated {
		return authenticator.Login{}
	}
	return authenticator.Login{OK: true, Username: review.Status.User.Username, Groups: append([]string{}, review.Status.User.Groups...)}
}
