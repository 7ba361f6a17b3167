package cli_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/eks/ekstest"
)

// fakeAWS imitates the AWS CLI. It has the commands in the script of migrate plan, and sends them to the server that imitates EKS. Its errors
// have the form of the AWS CLI's errors.
func fakeAWS() {
	if err := callEKS(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(254)
	}
}

func callEKS(args []string) error {
	if len(args) < 2 || args[0] != "eks" || len(args)%2 != 0 {
		return fmt.Errorf("unexpected arguments %q", args)
	}
	flags := make(map[string]string)
	for i := 2; i < len(args); i += 2 {
		flags[args[i]] = args[i+1]
	}
	input := map[string]any{}
	if text := flags["--cli-input-json"]; text != "" {
		if err := json.Unmarshal([]byte(text), &input); err != nil {
			return err
		}
	}
	entries := os.Getenv("AWS_ENDPOINT_URL_EKS") + "/clusters/" + flags["--cluster-name"] + "/access-entries"
	entry := entries + "/" + url.PathEscape(flags["--principal-arn"])
	method, address := http.MethodPost, entries
	switch args[1] {
	case "create-access-entry":
		input["principalArn"] = flags["--principal-arn"]
	case "associate-access-policy":
		address = entry + "/access-policies"
	case "delete-access-entry":
		method, address = http.MethodDelete, entry
	default:
		return fmt.Errorf("unexpected command %q", args[1])
	}
	body, err := json.Marshal(input)
	if err != nil {
		return err
	}
	request, err := http.NewRequest(method, address, bytes.NewReader(body)) //nolint:noctx // a program of a script
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("An error occurred (%s) when calling the operation: %s", response.Header.Get("X-Amzn-Errortype"), text)
	}
	return nil
}

// migratedAWSAuth has a principal of each kind, with names that a shell must not interpret.
var migratedAWSAuth = strings.ReplaceAll(`apiVersion: v1
kind: ConfigMap
metadata: {name: aws-auth, namespace: kube-system}
data:
  mapRoles: |
    - {rolearn: "arn:aws:iam::111122223333:role/ops", username: "ops:{{SessionName}}", groups: ["system:masters", breakglass]}
    - {rolearn: "arn:aws:iam::111122223333:role/nodes", username: "system:node:{{EC2PrivateDNSName}}", groups: ["system:bootstrappers", "system:nodes"]}
    - {rolearn: "arn:aws:iam::111122223333:role/deploy", username: "it's <id> \"; exit 7; ü", groups: ["file:///etc/passwd"]}
    - {rolearn: "arn:aws:iam::111122223333:role/refused", username: "aws:x"}
  mapUsers: |
    - {userarn: "arn:aws:iam::111122223333:user/bob", username: bob, groups: [viewers]}
`, "<id>", "`id`")

// writeScript writes the script for migratedAWSAuth into a file.
func writeScript(t *testing.T) (name string) {
	t.Helper()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "aws-auth.yaml"), migratedAWSAuth)
	writeFile(t, filepath.Join(dir, "entries.json"), "[]")
	status, script, stderr := run(t.Context(), t, "", "migrate", "plan", "-f", filepath.Join(dir, "aws-auth.yaml"), "--no-role-paths",
		"--cluster-name", ekstest.Name, "--region", "eu-west-1", "--entries", filepath.Join(dir, "entries.json"), "-o", "cli")
	if status != 0 {
		t.Fatal(stderr)
	}
	name = filepath.Join(dir, "script")
	writeFile(t, name, script)
	return name
}

func bash(t *testing.T, script string) (output string, err error) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "bash", script).CombinedOutput()
	return string(out), err
}

// summary returns a short line for each access entry.
func summary(entries []access.AccessEntry) (lines []string) {
	for _, e := range entries {
		var policies []string
		for _, p := range e.Policies {
			policies = append(policies, p.Name()+" "+p.Scope)
		}
		lines = append(lines, fmt.Sprintf("%s %s %q %q %q", strings.TrimPrefix(e.PrincipalARN, "arn:aws:iam::111122223333:"), e.Type, e.Username, e.Groups, policies))
	}
	return lines
}

var migratedEntries = []string{
	`role/ops STANDARD "ops:{{SessionName}}" ["breakglass"] ["AmazonEKSClusterAdminPolicy cluster"]`,
	`role/nodes EC2_LINUX "system:node:{{EC2PrivateDNSName}}" ["system:nodes"] []`,
	strings.ReplaceAll(`role/deploy STANDARD "it's <id> \"; exit 7; ü" ["file:///etc/passwd"] []`, "<id>", "`id`"),
	`user/bob STANDARD "bob" ["viewers"] []`,
}

func TestScriptCreatesTheAccessEntriesOnce(t *testing.T) {
	eks := ekstest.New(t)
	eks.Set(access.ModeAPIAndConfigMap)
	script := writeScript(t)
	if out, err := bash(t, script); err != nil || strings.Count(out, "created ") != 4 {
		t.Fatalf("%v: %s", err, out)
	}
	if diff := cmp.Diff(migratedEntries, summary(eks.Entries())); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if out, err := bash(t, script); err != nil || strings.Count(out, "exists ") != 4 {
		t.Errorf("the second run: %v: %s", err, out)
	}
	if diff := cmp.Diff(migratedEntries, summary(eks.Entries())); diff != "" {
		t.Errorf("after the second run, -want +got:\n%s", diff)
	}
}

func TestScriptStopsAtTheFirstError(t *testing.T) {
	eks := ekstest.New(t)
	eks.Set(access.ModeConfigMap)
	out, err := bash(t, writeScript(t))
	if err == nil || !strings.Contains(out, ekstest.RefusedMode) || strings.Contains(out, "role/nodes") || eks.Calls("CreateAccessEntry") != 1 {
		t.Errorf("%v: %s", err, out)
	}
}

func TestScriptLeavesNoAccessEntryWithoutItsPolicy(t *testing.T) {
	eks := ekstest.New(t)
	eks.Set(access.ModeAPIAndConfigMap)
	eks.Answer("AssociateAccessPolicy", ekstest.AccessDenied("AssociateAccessPolicy"))
	out, err := bash(t, writeScript(t))
	if err == nil || !strings.Contains(out, "is deleted again") || len(eks.Entries()) > 0 {
		t.Errorf("%v: %s\n%v", err, out, eks.Entries())
	}
}

// An interrupted script deletes an access entry that lacks an access policy. Otherwise this access entry would stay as it is, because the
// next run changes no access entry that exists.
func TestInterruptedScriptLeavesNoAccessEntryWithoutItsPolicy(t *testing.T) {
	eks := ekstest.New(t)
	eks.Set(access.ModeAPIAndConfigMap)
	cmd := exec.CommandContext(t.Context(), "bash", writeScript(t))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	started := make(chan *os.Process, 1)
	late := ekstest.Error(http.StatusNotFound, "ResourceNotFoundException", "The specified principalArn could not be found.")
	eks.Answer("AssociateAccessPolicy", func(w http.ResponseWriter, r *http.Request) {
		select {
		case script := <-started:
			if err := script.Signal(syscall.SIGTERM); err != nil {
				t.Error(err)
			}
		case <-r.Context().Done():
			t.Error("a second call came, or the first call came from a script that did not start")
		}
		late(w, r)
	})
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	started <- cmd.Process
	if err := cmd.Wait(); err == nil || !strings.Contains(out.String(), "is deleted again") || len(eks.Entries()) > 0 ||
		eks.Calls("AssociateAccessPolicy") != 1 {
		t.Errorf("%v: %s\n%v", err, out.String(), eks.Entries())
	}
}
