package kube_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/internal/kube"
)

// Throttle allows the same error once an hour, and a different error once a minute. A success in between doesn't
// shorten the minute.
func TestThrottle(t *testing.T) {
	t.Parallel()
	a, b := errors.New("a"), errors.New("b")
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var throttle kube.Throttle
	for i, step := range []struct {
		after time.Duration
		err   error
		want  bool
	}{
		{0, nil, false},
		{0, a, true},
		{time.Second, a, false},
		{time.Second, b, false},
		{time.Minute, b, true},
		{59 * time.Minute, b, false},
		{time.Minute, b, true},
		{time.Second, nil, false},
		{time.Second, b, false},
		{time.Minute, b, true},
	} {
		if now = now.Add(step.after); throttle.ShouldLog(now, step.err) != step.want {
			t.Errorf("step %d is not %t", i, step.want)
		}
	}
}

// The pauses double up to a maximum, and start again after a success.
func TestBackoff(t *testing.T) {
	t.Parallel()
	var b kube.Backoff
	var got []time.Duration
	for range 7 {
		got = append(got, b.Next())
	}
	b.Reset()
	got = append(got, b.Next())
	want := []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 15 * time.Second, 15 * time.Second, 500 * time.Millisecond}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A shortened text is one line of valid UTF-8 and has at most as many bytes as the limit.
func TestShorten(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"a\nb\x1b": "a b ", "ok": "ok", "\xff": " ", strings.Repeat("é", 10): strings.Repeat("é", 6) + "…"} {
		if got := kube.Shorten(text, 16); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
