package admission_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/awsauth-guard/awsauth-guard/internal/admission"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// authorizer is an Authorizer for tests. It records the users that the Handler asks about.
type authorizer struct {
	granted bool
	err     error
	panics  bool
	asked   []string
}

func (a *authorizer) MayBreakGlass(_ context.Context, user *authenticationv1.UserInfo) (bool, error) {
	a.asked = append(a.asked, user.Username)
	if a.panics {
		panic("a bug")
	}
	return a.granted, a.err
}

// The guard asks the API server whether the requester has the right break-glass. It asks only if the verdict depends on the answer.
func TestRightToBreakGlass(t *testing.T) {
	t.Parallel()
	set, member := annotated("break-glass", "incident"), []string{"system:masters"}
	for name, tt := range map[string]struct {
		authorizer authorizer
		user       string
		groups     []string
		off        bool // the policy does not count the right
		observe    bool
		edit       func(map[string]any)
		allowed    bool
		message    string
		asked      int
		warning    string
	}{
		"with the right":                             {authorizer{granted: true}, "dev", nil, false, false, set, true, "", 1, ""},
		"without the right":                          {authorizer{}, "dev", nil, false, false, set, false, `"dev" may not break the glass`, 1, ""},
		"without an answer":                          {authorizer{err: errors.New("no answer")}, "dev", nil, false, false, set, false, `the API server did not say whether "dev" may break the glass`, 1, ""},
		"after a panic":                              {authorizer{panics: true}, "dev", nil, false, false, set, false, "did not say", 1, ""},
		"a member of an override group":              {authorizer{}, "dev", member, false, false, set, true, "", 0, ""},
		"a service account with the right":           {authorizer{granted: true}, "system:serviceaccount:a:b", nil, false, false, set, false, "a service account may not", 0, ""},
		"the policy does not count the right":        {authorizer{granted: true}, "dev", nil, true, false, set, false, `"dev" may not`, 0, ""},
		"without the annotation":                     {authorizer{granted: true}, "dev", nil, false, false, func(map[string]any) {}, false, "node-role-removed", 0, ""},
		"an observed request with the right":         {authorizer{granted: true}, "dev", nil, false, true, set, true, "", 1, ""},
		"an observed request without the right":      {authorizer{}, "dev", nil, false, true, set, true, "", 1, `"dev" may not break the glass`},
		"an observed request without an answer":      {authorizer{err: errors.New("no answer")}, "dev", nil, false, true, set, true, "", 1, "did not say"},
		"an observed member of an override group":    {authorizer{}, "dev", member, false, true, set, true, "", 0, ""},
		"an observed request without the annotation": {authorizer{granted: true}, "dev", nil, false, true, func(map[string]any) {}, true, "", 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := admission.New(admission.Options{Authorizer: &tt.authorizer, Policy: func() validate.Policy { return validate.Policy{OverrideByRight: !tt.off} }})
			change := request("UPDATE", configMap(admin+node), configMap(admin, tt.edit))
			change.UserInfo.Username, change.UserInfo.Groups = tt.user, tt.groups
			answer := h.Review
			if tt.observe {
				answer = h.Observe
			}
			response := answer(t.Context(), change)
			message := ""
			if response.Result != nil {
				message = response.Result.Message
			}
			if response.Allowed != tt.allowed || !strings.Contains(message, tt.message) {
				t.Errorf("allowed %t, want %t: %s", response.Allowed, tt.allowed, message)
			}
			if warnings := strings.Join(response.Warnings, "\n"); tt.observe && (tt.warning == "") == strings.Contains(warnings, "break-glass is not honoured") || !strings.Contains(warnings, tt.warning) {
				t.Errorf("warnings %q, want %q", warnings, tt.warning)
			}
			if len(tt.authorizer.asked) != tt.asked {
				t.Errorf("asked about %q, want %d questions", tt.authorizer.asked, tt.asked)
			}
		})
	}
}

// A stored break-glass annotation allows a deletion only if the requester also has the right break-glass.
func TestRightToDeleteByAStoredAnnotation(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 30, 9, 0, 0, 0, time.UTC)
	stored := configMap(admin, annotated("break-glass", "delete 2026-11-30T09:30:00Z moved"))
	for _, granted := range []bool{true, false} {
		a := &authorizer{granted: granted}
		h := admission.New(admission.Options{
			Authorizer: a, Now: func() time.Time { return now }, Policy: func() validate.Policy { return validate.Policy{OverrideByRight: true} },
		})
		deletion := request("DELETE", stored, runtime.RawExtension{})
		deletion.UserInfo = authenticationv1.UserInfo{Username: "dev"}
		if response := h.Review(t.Context(), deletion); response.Allowed != granted || len(a.asked) != 1 {
			t.Errorf("allowed %t after %d questions, want %t after one", response.Allowed, len(a.asked), granted)
		}
	}
}

// hangingAuthorizer is an Authorizer that waits until the context ends.
type hangingAuthorizer struct{}

func (hangingAuthorizer) MayBreakGlass(ctx context.Context, _ *authenticationv1.UserInfo) (bool, error) {
	<-ctx.Done()
	return false, ctx.Err()
}

// While the API server hangs, the reviews that ask it are limited in number and time. Without an answer of the API server, the guard refuses
// the change. It admits a change by a member of an override group at once.
func TestReviewsWaitingForTheAPIServerAreLimited(t *testing.T) {
	t.Parallel()
	asked := func(groups ...string) string {
		return asReview(t, request("UPDATE", configMap(admin+node), configMap(admin, annotated("break-glass", "incident")), func(r *admissionv1.AdmissionRequest) {
			r.UserInfo = authenticationv1.UserInfo{Username: "dev", Groups: groups}
		}))
	}
	member, other := asked("system:masters"), asked("developers")
	synctest.Test(t, func(t *testing.T) {
		h := admission.New(admission.Options{Authorizer: hangingAuthorizer{}, Policy: func() validate.Policy { return validate.Policy{OverrideByRight: true} }})
		post := func(body string, allowed bool, want time.Duration) {
			start := time.Now()
			answer, status := send(t, h, "/?timeout=5s", jsonType, strings.NewReader(body))
			if took := time.Since(start); status != 200 || answer.Response.Allowed != allowed || took != want {
				t.Errorf("status %d after %s, allowed %t, want %t after %s", status, took, answer.Response.Allowed, allowed, want)
			}
		}
		var waiting sync.WaitGroup
		for range 16 {
			waiting.Go(func() { post(other, false, 2*time.Second) })
		}
		synctest.Wait()
		post(other, false, 0)
		post(member, true, 0)
		waiting.Wait()
		post(other, false, 2*time.Second)
	})
}
