package server_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// guard writes a GuardConfig file with the given fields.
func guard(t *testing.T, path, rest string) {
	t.Helper()
	text := "apiVersion: awsauth-guard.io/v1alpha1\nkind: GuardConfig\n" + rest + "\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestConfigIsReloaded(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "guard.yaml")
	guard(t, file, "adminGroups: [dev]")
	p := start(t, newCertDir(t), "--config", file, "--log-level", "debug")
	rules := func() string { return deleted(t, p, "/validate-aws-auth").AuditAnnotations["rules"] }
	shows := func(generation, success, failure, successful string) {
		t.Helper()
		code, body := get(t, "http://"+p.metrics+"/metrics")
		for _, want := range []string{
			"awsauth_guard_config_generation " + generation + "\n",
			`awsauth_guard_config_reloads_total{result="success"} ` + success + "\n",
			`awsauth_guard_config_reloads_total{result="failure"} ` + failure + "\n",
			"awsauth_guard_config_last_reload_successful " + successful + "\n",
		} {
			if code != http.StatusOK || !strings.Contains(body, want) {
				t.Errorf("metrics (%d) lack %s", code, want)
			}
		}
		want := "configuration: generation " + generation + " in use"
		if successful == "0" {
			want += "; the newest file is refused, see the log"
		}
		if code, body := get(t, "http://"+p.health+"/readyz?verbose"); code != http.StatusOK || !strings.HasSuffix(body, want+"\n") {
			t.Errorf("readyz says %d and %q, want %q", code, body, want)
		}
	}
	if got := rules(); got != "deleted,last-admin" {
		t.Errorf("with dev as admin group the rules are %q", got)
	}
	shows("1", "0", "0", "1")

	guard(t, file, "adminGroups: [ops]")
	eventually(t, "the new configuration is used", func() bool { return rules() == "deleted" })
	shows("2", "1", "0", "1")

	guard(t, file, "adminGroups: [dev]\nmode: loud\nrules: {deletd: off}")
	eventually(t, "the bad configuration is refused", func() bool { return len(p.log.lines("the new configuration is refused")) == 2 })
	lines := p.log.lines("the new configuration is refused")
	if lines[0]["err"] != file+`:4: mode: is "loud"; write enforce or warn` || lines[1]["err"] != file+`:5: rules.deletd: is not a rule; write deleted` || lines[0]["generation"] != 2. {
		t.Errorf("log: %v", lines)
	}
	if got := rules(); got != "deleted" {
		t.Errorf("with a bad configuration the rules are %q", got)
	}
	shows("2", "1", "1", "0")

	guard(t, file, "mode: warn")
	eventually(t, "mode warn is used", func() bool { return deleted(t, p, "/validate-aws-auth").Allowed })
	shows("3", "2", "1", "1")
	if lines := p.log.lines("the configuration is reloaded"); len(lines) != 2 || lines[1]["generation"] != 3. || lines[1]["mode"] != "warn" {
		t.Errorf("log: %v", lines)
	}
}

// The guard logs an error if overrides.subjectAccessReview is on and --state is missing, because it then can't ask the API server
// whether a requester has the RBAC verb break-glass. It logs the error at the start and when a new configuration turns the option on.
func TestSubjectAccessReviewWithoutStateIsLogged(t *testing.T) {
	t.Parallel()
	const message = "overrides.subjectAccessReview needs --state: without it the guard cannot ask the API server who has the RBAC verb break-glass, and refuses break-glass to requesters who have only this verb"
	on, off := filepath.Join(t.TempDir(), "on.yaml"), filepath.Join(t.TempDir(), "off.yaml")
	guard(t, on, "overrides: {subjectAccessReview: true}")
	guard(t, off, "overrides: {subjectAccessReview: false}")
	if lines := start(t, newCertDir(t), "--config", on).log.lines(message); len(lines) != 1 || lines[0]["level"] != "ERROR" {
		t.Errorf("log: %v", lines)
	}
	p := start(t, newCertDir(t), "--config", off)
	if lines := p.log.lines(message); len(lines) > 0 {
		t.Errorf("log: %v", lines)
	}
	guard(t, off, "overrides: {subjectAccessReview: true}")
	eventually(t, "the new configuration is reported", func() bool { return len(p.log.lines(message)) == 1 })
}
