package integration_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/internal/kube"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// TestConcurrentAddsAreAllStored: 20 processes add different roles at the same time. Each role gets exactly one entry, and no other entry
// changes.
func TestConcurrentAddsAreAllStored(t *testing.T) {
	const roles = 20
	p := newPlugin(t)
	store(t, base())
	var wait sync.WaitGroup
	for i := range roles {
		wait.Go(func() {
			arn := fmt.Sprintf("arn:aws:iam::111122223333:role/team-%02d", i)
			if status, stdout, stderr := p.run(t.Context(), t, "", "awsauth", "add", "role", arn, "--group", "deployers", "--yes"); status != 0 {
				t.Errorf("%s: status %d\n%s%s", arn, status, stdout, stderr)
			}
		})
	}
	wait.Wait()
	got := stored(t)
	if !strings.HasPrefix(got.Data["mapRoles"], admin+node) || got.Data["mapUsers"] != alice {
		t.Errorf("the other entries changed:\n%s%s", got.Data["mapRoles"], got.Data["mapUsers"])
	}
	loaded := kube.Object(got).Load()
	if len(loaded.Roles) != 2+roles {
		t.Errorf("%d entries, want %d", len(loaded.Roles), 2+roles)
	}
	for i := range roles {
		if r := loaded.Resolve(fmt.Sprintf("arn:aws:iam::111122223333:role/team-%02d", i)); !r.Mapped || !cmp.Equal(r.Groups, []string{"deployers"}) {
			t.Errorf("role %d: %+v", i, r)
		}
	}
}

// TestEditCommandsGoThroughWebhook: add, set and remove send their edit to the webhook, and print its answer. If the webhook or the
// rules refuse an edit, they write nothing.
func TestEditCommandsGoThroughWebhook(t *testing.T) {
	p := newPlugin(t)
	added := base().with("mapRoles", admin+node+ci)
	for name, test := range map[string]struct {
		before         data
		args           string
		status         int
		stdout, stderr string // a part of each output
		after          data
		annotations    map[string]string
	}{
		"add": {
			base(), "add role arn:aws:sts::111122223333:assumed-role/CI/build-7 --group deployers --username ci --yes", 0,
			"+ arn:aws:iam::111122223333:role/CI\n    username: ci\n    groups:   deployers\nconfigmap/aws-auth edited\n",
			"note: the entry has arn:aws:iam::111122223333:role/CI: an entry needs the ARN of the role", added, nil,
		},
		"a server dry run": {base(), "add role CI --account 111122223333 --group deployers --dry-run", 0, "configmap/aws-auth edited (server dry run)\n", "", base(), nil},
		"a client dry run": {base(), "add role CI --account 111122223333 --group deployers --dry-run=client", 0, "configmap/aws-auth edited (dry run)\n", "", base(), nil},
		"nothing to add":   {added, "add role CI --account 111122223333 --group deployers --yes", 0, "configmap/aws-auth unchanged\n", "", added, nil},
		"no confirmation":  {base(), "add role CI --account 111122223333 --group deployers", 2, "", "cannot ask for confirmation without a terminal", base(), nil},
		"aws-auth does not exist": {
			nil, "add role CI --account 111122223333 --group deployers --username ci --yes", 0, "configmap/aws-auth created\n", "", data{"mapRoles": ci}, nil,
		},
		"the rules deny": {
			base(), "add role CI --account 111122223333 --group deployers --username eks:ci --yes", 1, "[reserved-username]", "the rules deny the edit, and nothing was written", base(), nil,
		},
		"the webhook denies": {
			base(), "remove " + adminARN + " --yes", 1, "- " + adminARN, "denied the request: data.mapRoles: the protected principal", base(), nil,
		},
		"the dry run of the webhook denies": {base(), "remove " + adminARN + " --dry-run", 1, "- " + adminARN, "[protected-principal]", base(), nil},
		"break-glass": {
			base(), "remove " + adminARN + " --yes --force incident-4711", 0, "configmap/aws-auth edited\n", "the annotation stays until you remove it",
			base().with("mapRoles", node),
			map[string]string{validate.BreakGlassAnnotation: "incident-4711"},
		},
		"a node role": {
			base(), "remove " + nodeARN + " --yes", 0, "- " + nodeARN, "Warning: allow-removal overrules the guard for this node role: " + nodeARN,
			base().with("mapRoles", admin),
			map[string]string{validate.AllowRemovalAnnotation: nodeARN},
		},
		"set": {
			added, "set CI --account 111122223333 --group viewers --yes", 0, "groups:   deployers → viewers\n", "",
			base().with("mapRoles", admin+node+strings.Replace(ci, "deployers", "viewers", 1)), nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if test.before == nil {
				remove(t)
			} else {
				store(t, test.before)
			}
			status, stdout, stderr := p.run(t.Context(), t, "", append([]string{"awsauth"}, strings.Fields(test.args)...)...)
			if status != test.status || !strings.Contains(stdout, test.stdout) || !strings.Contains(stderr, test.stderr) {
				t.Errorf("status %d, stdout\n%sstderr\n%s", status, stdout, stderr)
			}
			got := stored(t)
			if diff := cmp.Diff(map[string]string(test.after), got.Data); diff != "" || !cmp.Equal(test.annotations, got.Annotations) {
				t.Errorf("annotations %v (-want +got):\n%s", got.Annotations, diff)
			}
		})
	}
}

// TestSelfLockoutIsShownBeforeTheEdit: if the command impersonates a user, it evaluates the edit as an edit by this user.
func TestSelfLockoutIsShownBeforeTheEdit(t *testing.T) {
	p := newPlugin(t)
	store(t, base())
	status, stdout, stderr := p.run(t.Context(), t, "", "awsauth", "remove", aliceARN, "--yes",
		"--as", "alice", "--as-group", "system:masters", "--as-user-extra", "arn="+aliceARN, "--as-user-extra", "canonicalArn="+aliceARN)
	if status != 1 || !strings.Contains(stdout, "[self-lockout]") || !strings.Contains(stderr, "the rules deny the edit") {
		t.Errorf("status %d\n%s%s", status, stdout, stderr)
	}
	if diff := cmp.Diff(map[string]string(base()), stored(t).Data); diff != "" {
		t.Error(diff)
	}
}

// TestEditInEditor: edit evaluates the text that the user saves, and opens the editor again with the findings if the rules deny it. If it
// doesn't store a text that the user has changed, it keeps the text in a file.
func TestEditInEditor(t *testing.T) {
	p := newPlugin(t)
	kubectl := cluster.Kubectl() + " --kubeconfig " + cluster.Kubeconfig
	viewers := base().with("mapUsers", strings.Replace(alice, "alice\n  groups", "bob\n  groups", 1))
	const good = `sed -i 's/username: alice/username: bob/' "$1"`
	conflict := base().with("mapRoles", admin+node+ci)
	for name, test := range map[string]struct {
		script         string
		args           string
		status         int
		stdout, stderr string
		after          data
		kept           string // a part of the text that is kept in a file; empty if none is
	}{
		"good":          {good, "--yes", 0, "    username: alice → bob\n", "", viewers, ""},
		"unchanged":     {"exit 0", "--yes", 0, "", "note: edit cancelled: no changes made\n", base(), ""},
		"emptied":       {`: > "$1"`, "--yes", 0, "", "note: edit cancelled: the saved file is empty\n", base(), ""},
		"only comments": {`grep '^#' "$1" > "$1.new"; mv "$1.new" "$1"`, "--yes", 0, "", "note: edit cancelled: the saved file is empty\n", base(), ""},
		"bad, then good": {
			`if grep -q '^# deny: data.mapUsers\[0\].*\[reserved-username\]' "$1"; then sed -i 's/eks:bob/bob/' "$1"; else sed -i 's/username: alice/username: eks:bob/' "$1"; fi`,
			"--yes", 0, "    username: alice → bob\n", "", viewers, "",
		},
		"not YAML, then good": {
			`if grep -q '^# error: ' "$1"; then sed -i 's/^ mapUsers/mapUsers/' "$1"; else sed -i 's/^mapUsers/ mapUsers/; s/username: alice/username: bob/' "$1"; fi`,
			"--yes", 0, "    username: alice → bob\n", "", viewers, "",
		},
		"bad, then unchanged": {`sed -i 's/username: alice/username: eks:bob/' "$1"`, "--yes", 1, "", "error: edit cancelled: the text was not corrected\n", base(), "username: eks:bob"},
		"the webhook denies":  {`sed -i '/role.Admin/,/system:masters/d; s/username: alice/username: bob/' "$1"`, "--yes", 1, "- " + adminARN, "[protected-principal]", base(), "username: bob"},
		"not confirmed":       {good, "", 2, "", "cannot ask for confirmation", base(), "username: bob"},
		"conflict": {
			good + "\n" + kubectl + ` --as=fixture -n kube-system patch configmap aws-auth --type merge -p "$CONFLICT" >&2`,
			"--yes", 2, "", "it changed in the meantime", conflict, "username: bob",
		},
		"the editor fails": {"exit 3", "--yes", 2, "", "failed (exit status 3), and nothing was written", base(), ""},
	} {
		t.Run(name, func(t *testing.T) {
			store(t, base())
			dir := t.TempDir()
			editor := filepath.Join(dir, "editor")
			if err := os.WriteFile(editor, []byte("#!/bin/sh\n"+test.script+"\n"), 0o700); err != nil {
				t.Fatal(err)
			}
			t.Setenv("TMPDIR", dir)
			t.Setenv("KUBE_EDITOR", editor)
			t.Setenv("CONFLICT", fmt.Sprintf(`{"data":{"mapRoles":%q}}`, conflict["mapRoles"]))
			status, stdout, stderr := p.run(t.Context(), t, "", append([]string{"awsauth", "edit"}, strings.Fields(test.args)...)...)
			if status != test.status || !strings.Contains(stdout, test.stdout) || !strings.Contains(stderr, test.stderr) {
				t.Errorf("status %d, stdout\n%sstderr\n%s", status, stdout, stderr)
			}
			if diff := cmp.Diff(map[string]string(test.after), stored(t).Data); diff != "" {
				t.Error(diff)
			}
			kept := ""
			if m := regexp.MustCompile(`note: your text is kept in (\S+)`).FindStringSubmatch(stderr); m != nil {
				text, err := os.ReadFile(m[1])
				if err != nil {
					t.Fatal(err)
				}
				kept = string(text)
			}
			if (kept != "") != (test.kept != "") || !strings.Contains(kept, test.kept) {
				t.Errorf("kept %q, stderr\n%s", kept, stderr)
			}
			if left, err := filepath.Glob(filepath.Join(dir, "aws-auth-*")); err != nil || test.kept == "" && len(left) > 0 || len(left) > 1 {
				t.Errorf("files are left behind: %v, %v", left, err)
			}
		})
	}
}
