package main_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// root is the root folder of the repository.
const root = "../.."

// action holds the inputs and steps of action.yml.
type action struct {
	Inputs map[string]struct{ Default string }
	Runs   struct {
		Using string
		Steps []struct {
			Uses, Shell, Run string
			Env              map[string]string
		}
	}
}

// readYAML reads a YAML file of the repository into a value, and returns its text.
func readYAML(t *testing.T, name string, into any) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The action names other actions by digest. Its scripts contain no expressions, because a runner would insert the values
// of these expressions into the script.
func TestActionPinsItsActions(t *testing.T) {
	var a action
	text := readYAML(t, "action.yml", &a)
	pinned := regexp.MustCompile(`^[a-z-]+/[a-z-]+@[0-9a-f]{40}$`)
	for _, step := range a.Runs.Steps {
		if step.Uses != "" && (!pinned.MatchString(step.Uses) || !regexp.MustCompile(regexp.QuoteMeta(step.Uses)+` # v\d+\.\d+\.\d+\n`).MatchString(text)) {
			t.Errorf("%s is not pinned by digest with its version in a comment", step.Uses)
		}
		if strings.Contains(step.Run, "${{") || (step.Run != "") != (step.Shell == "bash") {
			t.Errorf("a script has an expression, or its shell is %q and not bash:\n%s", step.Shell, step.Run)
		}
	}
}

// The action lints the files that its inputs name. It treats an input as a file name even if the input looks like a flag
// or a shell command. The test runs the scripts of the action as a runner does.
func TestActionLintsItsInputs(t *testing.T) {
	var a action
	readYAML(t, "action.yml", &a)
	source, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	temp, workspace := t.TempDir(), t.TempDir()
	for name, text := range map[string]string{
		"aws-auth.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: aws-auth}\ndata:\n  mapRoles: |\n    - rolearn: arn:aws:iam::111122223333:role/a/b\n      username: b\n",
		"a b/x.yaml":    "kind: Secret\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(workspace, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(workspace, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	build, lint := a.Runs.Steps[1], a.Runs.Steps[2]
	kubeconfig := filepath.Join(temp, "kubeconfig")
	const cluster = "{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c}}], clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]}"
	if err := os.WriteFile(kubeconfig, []byte(cluster), 0o600); err != nil {
		t.Fatal(err)
	}
	script := func(run string, inputs map[string]string) (string, int) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", run)
		cmd.Dir = workspace
		// A job may set these variables for its own code and its own cluster. The action must ignore them.
		cmd.Env = append(os.Environ(), "GITHUB_ACTION_PATH="+source, "RUNNER_TEMP="+temp,
			"GOFLAGS=-tags=integration -mod=vendor", "GOOS=plan9", "GOARCH=arm", "GOWORK="+filepath.Join(workspace, "go.work"), "KUBECONFIG="+kubeconfig)
		for name, value := range build.Env {
			if run == build.Run {
				cmd.Env = append(cmd.Env, name+"="+value)
			}
		}
		for name, value := range lint.Env {
			if !strings.HasPrefix(value, "${{") {
				cmd.Env = append(cmd.Env, name+"="+value)
				continue
			}
			input := strings.TrimSuffix(strings.TrimPrefix(value, "${{ inputs."), " }}")
			if _, ok := a.Inputs[input]; !ok {
				t.Fatalf("%s has no input %s", name, input)
			}
			given, ok := inputs[input]
			if !ok {
				given = a.Inputs[input].Default
			}
			cmd.Env = append(cmd.Env, name+"="+given)
		}
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return out.String(), cmd.ProcessState.ExitCode()
	}
	if out, status := script(build.Run, nil); status != 0 {
		t.Fatal(out)
	}
	const wantError = "::error file=aws-auth.yaml,line=6,col=16,title=role-path::"
	for _, test := range []struct {
		inputs map[string]string
		status int
		want   string
	}{
		{nil, 1, wantError},
		{map[string]string{"paths": "aws-auth.yaml\na b\n", "args": "--rule=role-path=warn\n"}, 0, "::warning file=aws-auth.yaml,line=6"},
		{map[string]string{"paths": "a b"}, 0, "note: no aws-auth in a b"},
		{map[string]string{"paths": "$(touch pwned)\n`touch pwned`\n; touch pwned"}, 2, "touch pwned"},
		{map[string]string{"paths": "--help"}, 2, "file=--help"},
		{map[string]string{"config": "missing.yaml"}, 2, "open missing.yaml"},
		{map[string]string{"paths": ""}, 2, "::error title=awsauth-guard::the input paths is empty"},
		{map[string]string{"paths": " \n\t\n"}, 2, "::error title=awsauth-guard::the input paths is empty"},
	} {
		out, status := script(lint.Run, test.inputs)
		if status != test.status || !strings.Contains(out, test.want) {
			t.Errorf("%v: status %d, want %d and %q in\n%s", test.inputs, status, test.status, test.want, out)
		}
	}
	if _, err := os.Stat(filepath.Join(workspace, "pwned")); err == nil {
		t.Error("the action ran an input as a command")
	}
}

// The pre-commit hook runs a program of this repository on files that may be an aws-auth.
func TestPreCommitHookMatchesAWSAuthFiles(t *testing.T) {
	var hooks []struct{ ID, Name, Entry, Language, Files, Exclude string }
	readYAML(t, ".pre-commit-hooks.yaml", &hooks)
	for _, hook := range hooks {
		program, _, _ := strings.Cut(hook.Entry, " ")
		if _, err := os.Stat(filepath.Join(root, "cmd", program, "main.go")); err != nil || hook.ID == "" || hook.Name == "" || hook.Language != "golang" {
			t.Errorf("%+v: %v", hook, err)
		}
		files, exclude := regexp.MustCompile(hook.Files), regexp.MustCompile(hook.Exclude)
		for name, want := range map[string]bool{
			"aws-auth.yaml": true, "clusters/prod/aws-auth-cm.yml": true, "x/eks_aws_auth.json": true, "awsauth.yaml": true,
			"AWS-Auth.YAML": true, "clusters/aws-auth/prod/eu.yaml": true, "awsAuth/prod.yaml": true,
			"deployment.yaml": false, "aws-auth.md": false, "aws-auth/README.md": false, "awsauth-guard/charts/values.yaml": false,
			"chart/templates/aws-auth.yaml": false, "templates/sub/aws-auth.yaml": false,
		} {
			if matches := files.MatchString(name) && !exclude.MatchString(name); matches != want {
				t.Errorf("%s: the hook runs on it: %t, want %t", name, !want, want)
			}
		}
	}
}
