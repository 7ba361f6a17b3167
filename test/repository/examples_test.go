package repository_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/awsauth-guard/awsauth-guard/internal/cli"
	"github.com/awsauth-guard/awsauth-guard/internal/kustomize"
)

// TestArgoCDHook builds the example for Argo CD, and runs the command of its Job on the files that the Job mounts. The command admits
// the aws-auth of the example, and refuses an aws-auth in which the roles have a path.
func TestArgoCDHook(t *testing.T) {
	build, err := kustomize.Build(filepath.Join(root, "examples", "argo-cd"), func([]byte) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	var data map[string]string
	var command []string
	for decoder := yaml.NewDecoder(bytes.NewReader(build.Manifests)); ; {
		var object struct {
			Kind     string
			Metadata struct {
				Name        string
				Annotations map[string]string
			}
			Data map[string]string
			Spec struct {
				Template struct {
					Spec struct{ Containers []struct{ Command []string } }
				}
			}
		}
		if decoder.Decode(&object) != nil {
			break
		}
		if object.Metadata.Name != "aws-auth-lint" {
			continue
		}
		if object.Metadata.Annotations["argocd.argoproj.io/hook"] != "PreSync" {
			t.Errorf("the %s is no hook", object.Kind)
		}
		switch object.Kind {
		case "ConfigMap":
			data = object.Data
		case "Job":
			command = object.Spec.Template.Spec.Containers[0].Command
		}
	}
	folder := t.TempDir()
	lint := func(change func(text string) string) int {
		for name, text := range data {
			if name == "aws-auth.yaml" {
				text = change(text)
			}
			if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		args := slices.Clone(command)
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], "/lint/", folder+"/")
		}
		return cli.Main(t.Context(), args, strings.NewReader(""), t.Output(), t.Output())
	}
	if status := lint(func(text string) string { return text }); status != 0 {
		t.Errorf("the hook refuses the example with the status %d", status)
	}
	if status := lint(func(text string) string { return strings.Replace(text, ":role/", ":role/path/", 1) }); status != 1 {
		t.Errorf("the hook admits a role with a path, with the status %d", status)
	}
}

// TestGitLabJob runs the command of the example for GitLab on the folder examples, which has faulty files. The command reports them
// as a JUnit report.
func TestGitLabJob(t *testing.T) {
	var pipeline struct {
		Job struct{ Script []string } `yaml:"aws-auth"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "examples/gitlab/.gitlab-ci.yml")), &pipeline); err != nil {
		t.Fatal(err)
	}
	if len(pipeline.Job.Script) != 1 {
		t.Fatalf("the script is %q", pipeline.Job.Script)
	}
	command, _, _ := strings.Cut(pipeline.Job.Script[0], " >")
	args := strings.Fields(command)
	for i := range args {
		switch args[i] {
		case "clusters":
			args[i] = root + "/examples"
		case "guard.yaml":
			args[i] = root + "/examples/guard.yaml"
		}
	}
	var out bytes.Buffer
	if status := cli.Main(t.Context(), args, strings.NewReader(""), &out, t.Output()); status != 1 || !strings.Contains(out.String(), "<testsuite") {
		t.Errorf("status %d:\n%s", status, out.String())
	}
}
