package integration_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/awsauth-guard/awsauth-guard/test/controlplane"
)

// many returns n elements of mapRoles. The ARNs of their roles have the path, such as /team, or no path if it is empty.
func many(n int, path string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "- rolearn: arn:aws:iam::111122223333:role%s/Role-%05d\n  username: role-%05[2]d\n  groups:\n  - viewers\n", path, i)
	}
	return b.String()
}

// TestLargestMapIsReviewedInTime: the webhook reviews the largest map that a ConfigMap can hold within the five seconds for
// which the API server waits.
func TestLargestMapIsReviewedInTime(t *testing.T) {
	n := 10_000 // enough to fill the 1 MiB of a ConfigMap
	if controlplane.Race() {
		n /= 10 // with the race detector, the evaluation takes ten times as long
	}
	c := as(t, operator)
	before := roles(admin + node + many(n, ""))
	if size := len(before["mapRoles"]) * 10_000 / n; size < 900<<10 || size > 1000<<10 {
		t.Fatalf("mapRoles has %d bytes, want nearly 1 MiB", size)
	}
	store(t, before)
	wantAdmitted(t, c, update(t.Context(), c, roles(admin+node+ci+many(n, ""))))
	wantRefused(t, update(t.Context(), c, roles(admin+many(n, ""))), "node-role-removed")
}

// TestAnswerToManyFaultsReachesClient: the client gets an answer even if every element of the map is faulty. The guard
// shortens this answer.
func TestAnswerToManyFaultsReachesClient(t *testing.T) {
	c := as(t, operator)
	const n = 1000
	bad := roles(admin + node + many(n, "/team"))

	store(t, base())
	err := update(t.Context(), c, bad)
	wantRefused(t, err, "role-path")
	list := causes(err)
	if last := list[len(list)-1]; len(list) != 100 || !strings.Contains(last, "more findings") {
		t.Errorf("%d causes, the last is %q; want 100, the last of which counts the rest", len(list), last)
	}
	status := new(apierrors.StatusError)
	if !errors.As(err, &status) || len(status.ErrStatus.Message) > 4<<10+len(webhookPrefix) {
		t.Errorf("the message has %d bytes, want at most 4 KiB", len(status.ErrStatus.Message))
	}

	store(t, bad)
	if err := update(t.Context(), c, bad.with("mapRoles", bad["mapRoles"]+ci)); err != nil {
		t.Fatal(err)
	}
	warned := c.Take()
	if last := warned[len(warned)-1]; len(warned) > 30 || !strings.Contains(last, "more findings") {
		t.Errorf("%d warnings, the last is %q; want at most 30, the last of which counts the rest", len(warned), last)
	}
}

// webhookPrefix is the API server's text before the webhook's message.
const webhookPrefix = `admission webhook "aws-auth.awsauth-guard.io" denied the request: `

// TestControlCharacters: messages have no control characters, even if the value in aws-auth has some. The API server
// drops a warning with control characters.
func TestControlCharacters(t *testing.T) {
	c := as(t, operator)
	bad := admin + node + "- rolearn: \"arn:aws:iam::111122223333:role/a\\tb\\nc\\x1b[31m\\u00a0\"\n  username: x\n"
	store(t, base())
	wantRefused(t, update(t.Context(), c, roles(bad)), "malformed-arn")
	if text := strings.Join(causes(update(t.Context(), c, roles(bad))), ""); strings.ContainsAny(text, "\t\n\x1b\u00a0") {
		t.Errorf("the causes hold a control character: %q", text)
	}
	store(t, roles(bad))
	wantAdmitted(t, c, update(t.Context(), c, roles(bad+ci)), "malformed-arn")
}
