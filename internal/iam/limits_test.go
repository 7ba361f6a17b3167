package iam_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/iam"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

const (
	tooMany  = "the change has too many principals to look up"
	tooOften = "too many principals were looked up within a minute"
)

func count(known validate.IAM, answer validate.Lookup) (n int) {
	for _, got := range known.Principals {
		if got == answer {
			n++
		}
	}
	return n
}

// A forged review of 2,000 roles causes a limited number of lookups.
func TestLookupsAreLimited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := inProcess(t, func(w *world) { w.limits = iam.WebhookLimits })
		w.aws.Add(manyRoles(2000)...)
		known := w.lookupAll(t, ample, manyRoles(2000)...)
		if n := w.aws.Count("GetRole"); n != 64 || count(known, exists) != 64 || count(known, unknown(tooMany)) != 1936 {
			t.Errorf("%d calls, %d exist", n, count(known, exists))
		}
		if w.recorder.unasked != 1936 {
			t.Errorf("%d counted as not asked", w.recorder.unasked)
		}
		w.counts(t, 0, map[string]int{"exists": 64})
		// Cached principals don't count against the limit, so the next 64 are looked up.
		known = w.lookupAll(t, ample, manyRoles(128)...)
		if count(known, exists) != 128 {
			t.Errorf("%d exist", count(known, exists))
		}
		w.counts(t, 64, map[string]int{"exists": 128})
	})
}

// Forged reviews of eight new roles a second cause a limited rate of lookups.
func TestLookupRateIsLimited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := inProcess(t, func(w *world) { w.limits = iam.WebhookLimits })
		arns := manyRoles(60 * 8)
		w.aws.Add(arns...)
		for second := range 60 {
			known := w.lookupAll(t, 500*time.Millisecond, arns[8*second:8*(second+1)]...)
			if n := count(known, exists) + count(known, unknown(tooOften)); n != 8 {
				t.Errorf("second %d: %d answers", second, n)
			}
			time.Sleep(time.Second - time.Duration(time.Now().Nanosecond()))
		}
		if n := w.aws.Count("GetRole"); n > 248 || n < 240 {
			t.Errorf("%d calls within a minute", n)
		}
		time.Sleep(time.Minute)
		is(t, w.lookup(t, ample, arns[len(arns)-1]), exists)
	})
}

// With the zero Limits a Client looks up all principals of one Lookup, here 300.
func TestNoLimits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := inProcess(t)
		w.aws.Add(manyRoles(300)...)
		if known := w.lookupAll(t, ample, manyRoles(300)...); count(known, exists) != 300 {
			t.Errorf("%d exist", count(known, exists))
		}
	})
}
