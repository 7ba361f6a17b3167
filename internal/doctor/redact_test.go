package doctor_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/awsauth-guard/awsauth-guard/internal/doctor"
)

func TestRedactHidesCredentials(t *testing.T) {
	t.Parallel()
	const secret = "/wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKE" // 40 characters, as those of AWS
	for _, test := range []struct{ text, hide string }{
		{"token " + encode(signedURL), "aHR0"},
		{"Could not connect to " + signedURL, "5ca1ab1e"},
		{"at https://user:hunter2@proxy.example.org:3128", "hunter2"},
		{"X-Amz-Signature: 5ca1ab1e", "5ca1ab1e"},
		{"the key AKIAIOSFODNN7EXAMPLE is unknown", "AKIA"},
		{"the secret is " + secret, secret[1:20]},
		{"Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "c2ln"},
		{"AWS_SECRET_ACCESS_KEY=short aws eks get-token", "short"},
		{"client_secret=hunter2", "hunter2"},
		{`{"SessionToken": "hunter2"}`, "hunter2"},
		{"sh: kubelogin --client-secret hunter2", "hunter2"},
	} {
		if got := doctor.Redact(test.text); strings.Contains(got, test.hide) {
			t.Errorf("%q became %q", test.text, got)
		}
	}
}

func TestRedactKeepsWhatTheUserNeeds(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"User: arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_AdministratorAccess_0123456789abcdef/alice@example.com is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::111122223333:role/a-role-with-a-rather-long-name-for-the-cluster",
		"Error loading SSO Token: Token for https://example.awsapps.com/start does not exist",
		"The config profile (ops) could not be found",
		"sh -c aws eks get-token --cluster-name prod --region eu-west-1",
	} {
		if got := doctor.Redact(text); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}

// A shell reads a quoted word as the same word, and runs no command in it.
func TestQuotedWordsAreHarmless(t *testing.T) {
	t.Parallel()
	for _, word := range []string{
		"", "prod", "a b", "$(touch /tmp/x)", "`id`", "it's", `"; id #`, "a\nb", "*", "~root", "a;b", "!x", `\`, "'$(id)'", "a&&b", "{a,b}", "<x", "é",
	} {
		out, err := exec.CommandContext(t.Context(), "sh", "-c", "printf %s "+doctor.Quote(word)).Output()
		if err != nil || string(out) != word {
			t.Errorf("%q became %q, %v", word, out, err)
		}
	}
}

// The command creates the access entry for the role in the principal's account, even if the administrator's account has
// a role of the same name.
func TestTheEntryIsForThePrincipalOfItsAccount(t *testing.T) {
	t.Parallel()
	const cluster = "arn:aws:eks:eu-west-1:444455556666:cluster/prod"
	const principal = "arn:aws:sts::111122223333:assumed-role/dev/alice"
	if got := doctor.CreateEntry(principal, cluster); !strings.Contains(got, "--principal-arn arn:aws:iam::111122223333:role/dev ") {
		t.Errorf("the cluster has another account: %s", got)
	}
	if got := doctor.CreateEntry(principal, ""); !strings.Contains(got, ":111122223333:") {
		t.Errorf("the account is unknown: %s", got)
	}
}
