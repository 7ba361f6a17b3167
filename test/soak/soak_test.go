package main

import (
	"bytes"
	"testing"
	"time"
)

// TestWebhookSurvivesLoadAndChanges is a short form of `make soak`. If the test has the race detector, the webhook has the race
// detector, too, and the test doesn't check the memory of the webhook.
func TestWebhookSurvivesLoadAndChanges(t *testing.T) {
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
