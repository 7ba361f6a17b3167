package enforcement_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

var errRefused = apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, "aws-auth",
	errors.New(`admission webhook "aws-auth.awsauth-guard.io" denied the request: data: … [deleted]`))

// The self-test is a dry run that deletes aws-auth. The guard counts as not enforced if, for a period of the self-test, every answer of the
// API server shows that it doesn't call the guard or gets no answer from it. An answer that doesn't show this, such as the denial of another
// webhook, doesn't count as a failure.
func TestSelfTestFailsOnUnexpectedAnswer(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		mode     validate.Mode
		roles    string
		warnings []string
		err      error
		want     float64
	}{
		{"refused", validate.Enforce, admin, nil, errRefused, 1},
		{"admitted", validate.Enforce, admin, nil, nil, 0},
		{"only warned of", validate.Enforce, admin, []string{"data: … [deleted]"}, nil, 0},
		{"warned of in mode warn", validate.WarnMode, admin, []string{"data: … [deleted]"}, nil, 1},
		{"not warned of", validate.WarnMode, admin, []string{"other"}, nil, 0},
		{"by another webhook", validate.Enforce, admin, nil, errors.New(`admission webhook "other" denied the request`), 1},
		{"not answered", validate.Enforce, admin, nil, errors.New(`Internal error occurred: failed calling webhook "aws-auth.awsauth-guard.io": failed to call webhook: Post "https://x": EOF`), 0},
		{"another one is not answered", validate.Enforce, admin, nil, errors.New(`Internal error occurred: failed calling webhook "other": failed to call webhook: Post "https://x": EOF`), 1},
		{"not found", validate.Enforce, admin, nil, apierrors.NewNotFound(schema.GroupResource{}, "aws-auth"), 1},
		{"no principal is mapped", validate.Enforce, "[]", nil, nil, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				config, cert := charts(t)
				r := start(t, test.roles, func(r *replica) {
					r.cert, r.selfTest, r.mode = cert, true, test.mode
					r.answer = func() ([]string, error) { return test.warnings, test.err }
				})
				defer r.stop()
				state := func() []float64 { r.mu.Lock(); defer r.mu.Unlock(); return []float64{float64(r.tests), r.enforced} }
				r.set(config)
				after(20 * time.Second)
				if diff := cmp.Diff([]float64{1, 1}, state()); diff != "" {
					t.Errorf("tested once (-want +got):\n%s", diff)
				}
				r.Wake() // tests again, too soon to count
				after(5 * time.Second)
				if diff := cmp.Diff([]float64{2, 1}, state()); diff != "" {
					t.Errorf("tested twice (-want +got):\n%s", diff)
				}
				after(60 * time.Second)
				if got := state(); got[1] != test.want || got[0] < 3 || got[0] > 5 {
					t.Errorf("tests and enforced: %v", got)
				}
				r.change(func() { r.answer = func() ([]string, error) { return nil, errRefused } })
				after(40 * time.Second)
				if got := state(); got[1] != 1 {
					t.Error("the guard is not enforced again")
				}
				r.change(func() { r.selfTest = false })
				tests := state()[0]
				after(5 * time.Minute)
				if got := state()[0]; got > tests+1 {
					t.Errorf("%v tests although they are off", got-tests)
				}
			})
		})
	}
}
