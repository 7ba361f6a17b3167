package admission_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/admission"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// directory is a Directory for tests. It gives every principal the same result. If hangs is set, it first waits until the context ends.
type directory struct {
	existence validate.Existence
	hangs     bool

	mu    sync.Mutex
	asked []string        // the principals of each call
	had   []time.Duration // the time until the deadline of each call
}

func (d *directory) Lookup(ctx context.Context, principals []awsauth.ARN) validate.IAM {
	known := validate.IAM{Principals: make(map[string]validate.Lookup)}
	var names []string
	for _, arn := range principals {
		names = append(names, arn.Name())
		known.Principals[arn.String()] = validate.Lookup{Existence: d.existence, Reason: "it hangs"}
	}
	d.mu.Lock()
	d.asked = append(d.asked, strings.Join(names, " "))
	if deadline, ok := ctx.Deadline(); ok {
		d.had = append(d.had, time.Until(deadline))
	}
	d.mu.Unlock()
	if d.hangs && len(principals) > 0 {
		<-ctx.Done()
	}
	return known
}

func TestNewPrincipalsAreLookedUp(t *testing.T) {
	t.Parallel()
	eks := func(r *admissionv1.AdmissionRequest) { r.UserInfo.Username = "eks:node-manager" }
	adds, removes := request("UPDATE", configMap(admin), configMap(admin+team)), request("UPDATE", configMap(admin+team), configMap(admin))
	for _, tt := range []struct {
		name    string
		mode    validate.Severity
		exists  validate.Existence
		request *admissionv1.AdmissionRequest
		observe bool
		allowed bool
		warning string
		asked   []string
	}{
		{"a missing role is refused", validate.Deny, validate.Missing, adds, false, false, "", []string{"team"}},
		{"a missing role is a warning", validate.Warn, validate.Missing, adds, false, true, "[principal-missing]", []string{"team"}},
		{"the result is unknown", validate.Deny, validate.Unknown, adds, false, true, "[principal-unverified]", []string{"team"}},
		{"the role exists", validate.Deny, validate.Exists, adds, false, true, "", []string{"team"}},
		{"off", validate.Off, validate.Missing, adds, false, true, "", nil},
		{"no mode is off", "", validate.Missing, adds, false, true, "", nil},
		{"an entry is removed", validate.Deny, validate.Missing, removes, false, true, "", []string{""}},
		{"the guard restores a version", validate.Deny, validate.Missing, request("UPDATE", configMap(admin), configMap(admin+team), func(r *admissionv1.AdmissionRequest) { r.UserInfo.Username = "guard" }), false, true, "", nil},
		{"EKS does not wait", validate.Deny, validate.Missing, request("UPDATE", configMap(admin), configMap(admin+team), eks), false, true, "", nil},
		{"an observed request does not wait", validate.Deny, validate.Missing, adds, true, true, "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := &directory{existence: tt.exists}
			h := admission.New(admission.Options{Directory: d, Self: func() string { return "guard" }, Restores: func() bool { return true }, Policy: func() validate.Policy { return validate.Policy{IAMMode: tt.mode} }})
			answer := h.Review
			if tt.observe {
				answer = h.Observe
			}
			response := answer(t.Context(), tt.request)
			if warnings := strings.Join(response.Warnings, "\n"); response.Allowed != tt.allowed || !strings.Contains(warnings, tt.warning) || tt.warning == "" && warnings != "" {
				t.Errorf("allowed %t, want %t; warnings:\n%s", response.Allowed, tt.allowed, warnings)
			}
			if !tt.allowed && !strings.Contains(response.Result.Message, "[principal-missing]") {
				t.Errorf("refused with %q", response.Result.Message)
			}
			if diff := cmp.Diff(tt.asked, d.asked); diff != "" {
				t.Errorf("asked about (-want +got):\n%s", diff)
			}
		})
	}
}

// While reviews wait for IAM, the guard evaluates other reviews. A review waits for at most half of its remaining time. The
// number of waiting reviews is limited.
func TestReviewsWaitingForIAMAreLimited(t *testing.T) {
	t.Parallel()
	adds := asReview(t, request("UPDATE", configMap(admin), configMap(admin+team)))
	removes := asReview(t, request("UPDATE", configMap(admin+team), configMap(admin)))
	synctest.Test(t, func(t *testing.T) {
		d := &directory{existence: validate.Unknown, hangs: true}
		recorded := &unasked{}
		h := admission.New(admission.Options{Directory: d, Recorder: recorded, Concurrency: 1, Policy: func() validate.Policy { return validate.Policy{IAMMode: validate.Deny} }})
		post := func(body string, want time.Duration, warning string) {
			start := time.Now()
			answer, status := send(t, h, "/?timeout=5s", jsonType, strings.NewReader(body))
			took := time.Since(start)
			if status != 200 || !answer.Response.Allowed || took != want || !strings.Contains(strings.Join(answer.Response.Warnings, "\n"), warning) {
				t.Errorf("status %d after %s, want 200 after %s: %+v", status, took, want, answer.Response)
			}
		}
		var waiting sync.WaitGroup
		for range 16 {
			waiting.Go(func() { post(adds, 2*time.Second, "it hangs") })
		}
		synctest.Wait()
		post(removes, 0, "")
		post(adds, 0, "too many reviews wait for IAM")
		if n := recorded.Load(); n != 1 {
			t.Errorf("%d are counted as unknown, want the one without a lookup", n)
		}
		waiting.Wait()
		if diff := cmp.Diff(16+1, len(d.asked)); diff != "" {
			t.Errorf("calls (-want +got):\n%s", diff)
		}
		if d.had[0] != 2*time.Second {
			t.Errorf("the first lookup had %s, want half of 4s", d.had[0])
		}
		post(adds, 2*time.Second, "it hangs") // the slots of the waiting reviews are free again
	})
}

// unasked is a Recorder that counts the principals that the guard didn't look up.
type unasked struct {
	admission.Silent
	atomic.Int32
}

func (u *unasked) Unasked(principals int) { u.Add(int32(principals)) }

// Large reviews that wait for IAM hold no slot. At most two of them wait at the same time.
func TestLargeReviewsWaitingForIAMAreLimited(t *testing.T) {
	t.Parallel()
	large := entries(1500)
	adds := asReview(t, request("UPDATE", configMap(admin+large), configMap(admin+large+team)))
	removes := asReview(t, request("UPDATE", configMap(admin+large+team), configMap(admin+large)))
	if len(adds) < 128<<10 {
		t.Fatalf("%d bytes are not large", len(adds))
	}
	synctest.Test(t, func(t *testing.T) {
		d := &directory{existence: validate.Unknown, hangs: true}
		h := admission.New(admission.Options{Directory: d, Concurrency: 2, Policy: func() validate.Policy { return validate.Policy{IAMMode: validate.Deny} }})
		start := time.Now()
		post := func(body string) (took time.Duration) {
			if answer, status := send(t, h, "/?timeout=5s", jsonType, strings.NewReader(body)); status != 200 || !answer.Response.Allowed {
				t.Errorf("status %d: %+v", status, answer.Response)
			}
			return time.Since(start)
		}
		var waiting sync.WaitGroup
		for range 2 {
			waiting.Go(func() {
				if took := post(adds); took != 2*time.Second {
					t.Errorf("a review of the first two waits %s for IAM", took)
				}
			})
		}
		synctest.Wait()
		if took := post(adds); took > 0 {
			t.Errorf("a third one waits %s", took)
		}
		if took := post(removes); took > 0 {
			t.Errorf("a removal waits %s", took)
		}
		waiting.Wait()
	})
}

// The guard answers a review that gets no slot after its lookup. It answers at the deadline of the review.
func TestReviewWithoutASlotAfterItsLookupIsAnswered(t *testing.T) {
	t.Parallel()
	adds := asReview(t, request("UPDATE", configMap(admin), configMap(admin+team)))
	denied := asReview(t, request("UPDATE", configMap(admin), configMap(team)))
	synctest.Test(t, func(t *testing.T) {
		evaluating := make(chan struct{})
		var reviews atomic.Int32
		h := admission.New(admission.Options{Directory: &directory{existence: validate.Unknown, hangs: true}, Concurrency: 1, Policy: func() validate.Policy {
			if reviews.Add(1) == 2 {
				<-evaluating
			}
			return validate.Policy{IAMMode: validate.Deny}
		}})
		start, done := time.Now(), make(chan struct{})
		go func() {
			defer close(done)
			if answer, status := send(t, h, "/?timeout=5s", jsonType, strings.NewReader(denied)); status != 200 || answer.Response.Allowed || time.Since(start) != 4*time.Second {
				t.Errorf("status %d after %s, want a denial after 4s: %+v", status, time.Since(start), answer.Response)
			}
		}()
		synctest.Wait() // the first review waits for IAM
		second := make(chan struct{})
		go func() {
			defer close(second)
			_, _ = send(t, h, "/?timeout=30s", jsonType, strings.NewReader(adds)) // holds the slot
		}()
		<-done
		close(evaluating)
		<-second
	})
}

// If the Directory panics, the guard still admits the change.
func TestPanicOfDirectoryDoesNotRefuse(t *testing.T) {
	t.Parallel()
	recorded := &counts{}
	h := admission.New(admission.Options{Directory: panics{}, Recorder: recorded, Policy: func() validate.Policy { return validate.Policy{IAMMode: validate.Deny} }})
	for _, r := range []*admissionv1.AdmissionRequest{
		request("UPDATE", configMap(admin), configMap(admin+team)), request("UPDATE", configMap(admin+team), configMap(admin)),
	} {
		if response := h.Review(t.Context(), r); !response.Allowed {
			t.Errorf("refused: %v", response.Result)
		}
	}
	for _, event := range []string{"panicked internal-error", "unasked 1"} {
		if !slices.Contains(recorded.events, event) {
			t.Errorf("no %s in the metrics: %q", event, recorded.events)
		}
	}
}

type panics struct{}

func (panics) Lookup(context.Context, []awsauth.ARN) validate.IAM { panic("no") }

// If the guard can't read the cluster's access entries, it evaluates the change by aws-auth alone. The response has one warning about this,
// and the metrics count the review.
func TestUnknownAccessEntriesAreAWarning(t *testing.T) {
	t.Parallel()
	recorded := &counts{}
	h := admission.New(admission.Options{Recorder: recorded, Policy: func() validate.Policy {
		return validate.Policy{ClusterUnknown: "eks:DescribeCluster: access denied"}
	}})
	response := h.Review(t.Context(), request("UPDATE", configMap(admin), configMap(admin+team)))
	if text := strings.Join(response.Warnings, "\n"); !response.Allowed || strings.Count(text, "cannot read the cluster's access entries: eks:DescribeCluster: access denied") != 1 {
		t.Errorf("allowed %t, warnings:\n%s", response.Allowed, text)
	}
	if !slices.Contains(recorded.events, "without access entries") {
		t.Errorf("not counted: %q", recorded.events)
	}
	if response = h.Review(t.Context(), request("UPDATE", configMap(admin), configMap(team))); response.Allowed {
		t.Error("the last admin was removed")
	}
}
