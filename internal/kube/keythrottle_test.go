package kube_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/kube"
)

func TestKeyThrottle(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	throttle := kube.NewKeyThrottle(time.Minute, func() time.Time { return now })
	for _, c := range []struct {
		after time.Duration
		key   string
		want  bool
	}{{0, "a", true}, {time.Second, "a", false}, {0, "b", true}, {time.Minute, "a", true}, {0, "b", false}, {time.Minute - time.Second, "a", false}} {
		now = now.Add(c.after)
		if got := throttle.Allow(c.key); got != c.want {
			t.Errorf("%s at %s: %t", c.key, now.UTC().Format(time.TimeOnly), got)
		}
	}
}

// A KeyThrottle with too many keys in an interval refuses further keys, so that the number of log lines is limited.
func TestKeyThrottleIsLimited(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	throttle := kube.NewKeyThrottle(time.Minute, func() time.Time { return now })
	count := func() (allowed int) {
		for i := range 2000 {
			if throttle.Allow(strconv.Itoa(i)) {
				allowed++
			}
		}
		return allowed
	}
	if n := count(); n != 256 {
		t.Errorf("%d allowed", n)
	}
	if n := count(); n != 0 {
		t.Errorf("%d allowed again", n)
	}
	now = now.Add(2 * time.Minute)
	if n := count(); n != 256 {
		t.Errorf("%d allowed later", n)
	}
}
