package main

import (
	"bytes"
	"testing"
	"time"
)

// TestSoak is the short form of `make soak`. Under the race detector the webhook has it, too, and
// its memory says nothing and is not looked at.
func TestSoak(t *testing.T) {
	var out bytes.Buffer
	failed, err := run(t.Context(), options{duration: 6 * time.Second, reviews: 500, now: time.Now}, &out)
	t.Logf("\n%s", &out)
	if err != nil {
		t.Fatal(err)
	}
	for _, failure := range failed {
		t.Error(failure)
	}
}
