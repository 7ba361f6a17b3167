// Package repository_test checks the workflows of GitHub, the configuration of Dependabot, the Dockerfile, the examples for Argo CD
// and GitLab, and the scripts of tools that the workflows use.
package repository_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// root is the folder of the repository.
const root = "../.."

type (
	workflow struct {
		text        string
		Permissions map[string]string `yaml:"permissions"`
		Env         map[string]string `yaml:"env"`
		Defaults    any               `yaml:"defaults"`
		Jobs        map[string]job    `yaml:"jobs"`
	}
	job struct {
		If          string            `yaml:"if"`
		Timeout     int               `yaml:"timeout-minutes"`
		Permissions map[string]string `yaml:"permissions"`
		Environment string            `yaml:"environment"`
		Env         map[string]string `yaml:"env"`
		Needs       any               `yaml:"needs"` // a name, or a list of names
		Strategy    struct {
			Matrix struct {
				Version []string `yaml:"version"`
			} `yaml:"matrix"`
		} `yaml:"strategy"`
		Steps []step `yaml:"steps"`
	}
	step struct {
		Uses string         `yaml:"uses"`
		Run  string         `yaml:"run"`
		With map[string]any `yaml:"with"`
	}
)

// workflows reads the workflows, by file name without extension.
func workflows(t *testing.T) map[string]workflow {
	t.Helper()
	names, err := filepath.Glob(root + "/.github/workflows/*")
	if err != nil {
		t.Fatal(err)
	}
	list := map[string]workflow{}
	for _, name := range names {
		w := workflow{text: read(t, strings.TrimPrefix(name, root+"/"))}
		if err := yaml.Unmarshal([]byte(w.text), &w); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		base, isYAML := strings.CutSuffix(filepath.Base(name), ".yaml")
		if !isYAML || len(w.Jobs) == 0 {
			t.Errorf("%s is no workflow, or its name doesn't end in .yaml, and make lint doesn't check it", name)
		}
		list[base] = w
	}
	if len(list) == 0 {
		t.Fatal("there are no workflows")
	}
	return list
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestActionsArePinned: workflows and action.yml name other actions by the hash of a commit, with the version in a comment. They use
// only one version of each repository of actions.
func TestActionsArePinned(t *testing.T) {
	texts := map[string]string{"action.yml": read(t, "action.yml")}
	for name, w := range workflows(t) {
		texts[name] = w.text
	}
	uses := regexp.MustCompile(`(?m)\buses: (.*)$`)
	pinned := regexp.MustCompile(`^([a-z-]+/[a-z-]+)((?:/[a-z-]+)*)@([0-9a-f]{40} # v\d+\.\d+\.\d+)(?:, .*)?$`)
	pins := map[string]string{}
	for name, text := range texts {
		for _, use := range uses.FindAllStringSubmatch(text, -1) {
			match := pinned.FindStringSubmatch(use[1])
			if match == nil {
				t.Errorf("%s: %s is not pinned by digest with its version in a comment", name, use[1])
				continue
			}
			if pin, ok := pins[match[1]]; ok && pin != match[3] {
				t.Errorf("%s: %s is at %s here and at %s in another place", name, match[1], match[3], pin)
			}
			pins[match[1]] = match[3]
		}
	}
}

// TestPermissionsAreLeast: a workflow has no permissions, and each of its jobs lists its own. Only the jobs that this test names have a
// permission to write. Of the jobs of the release, only the one that signs runs in the environment release, which asks for approval.
func TestPermissionsAreLeast(t *testing.T) {
	got := map[string]string{}
	for name, w := range workflows(t) {
		if w.Permissions == nil || len(w.Permissions) > 0 {
			t.Errorf("%s: want permissions: {}", name)
		}
		if strings.Contains(w.text, "pull_request_target") || strings.Contains(w.text, "workflow_run") {
			t.Errorf("%s: such a trigger gives the rights of this repository to the text of a fork", name)
		}
		for id, j := range w.Jobs {
			if j.Permissions == nil || j.Timeout == 0 {
				t.Errorf("%s: the job %s has no permissions or no timeout-minutes", name, id)
			}
			var writes []string
			for _, scope := range slices.Sorted(maps.Keys(j.Permissions)) {
				if j.Permissions[scope] != "read" {
					writes = append(writes, scope+": "+j.Permissions[scope])
				}
			}
			if writes != nil {
				got[name+" "+id] = strings.Join(writes, ", ")
			}
			if signs := j.Permissions["id-token"] == "write" && name == "release"; signs != (j.Environment == "release") {
				t.Errorf("%s: the job %s signs: %t, in the environment %q", name, id, signs, j.Environment)
			}
		}
	}
	want := map[string]string{
		"codeql analyze":    "security-events: write",
		"release publish":   "attestations: write, id-token: write, packages: write",
		"release release":   "contents: write",
		"scorecard analyze": "id-token: write, security-events: write",
		"site deploy":       "id-token: write, pages: write",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("jobs that write (-want +got):\n%s", diff)
	}
}

// TestStepsAreSafe: no script has an expression ${{ … }}, because the runner would insert its value into the script, where the shell
// would run it. No checkout leaves its token behind.
func TestStepsAreSafe(t *testing.T) {
	for name, w := range workflows(t) {
		for id, j := range w.Jobs {
			for _, s := range j.Steps {
				if strings.Contains(s.Run, "${{") {
					t.Errorf("%s: the job %s has an expression in a script:\n%s", name, id, s.Run)
				}
				if strings.HasPrefix(s.Uses, "actions/checkout@") && s.With["persist-credentials"] != false {
					t.Errorf("%s: the checkout of the job %s keeps its token", name, id)
				}
			}
		}
	}
}

// TestReleaseBuildsWithoutRights: the job publish, which signs the release, doesn't build any of its files. The job build builds them.
// By TestPermissionsAreLeast, it has no permission to write.
func TestReleaseBuildsWithoutRights(t *testing.T) {
	jobs := workflows(t)["release"].Jobs
	for _, s := range jobs["publish"].Steps {
		if regexp.MustCompile(`\bmake |docker buildx|go build`).MatchString(s.Run) {
			t.Errorf("the job that signs builds:\n%s", s.Run)
		}
	}
	if !slices.ContainsFunc(jobs["build"].Steps, func(s step) bool { return strings.HasPrefix(s.Run, "make dist ") }) {
		t.Error("the job build does not run make dist")
	}
	if diff := cmp.Diff([]any{"test", "build"}, jobs["publish"].Needs); diff != "" {
		t.Errorf("publish needs (-want +got):\n%s", diff)
	}
}

// TestSiteDeploysOnlyWithApproval: every run builds and checks the site, but a run for a pull request doesn't deploy it. The job that
// deploys runs in an environment, which asks for approval, and runs no script of the repository.
func TestSiteDeploysOnlyWithApproval(t *testing.T) {
	w := workflows(t)["site"]
	if j := w.Jobs["build"]; !slices.ContainsFunc(j.Steps, func(s step) bool { return s.Run == "make verify-site" }) || j.If != "" {
		t.Error("the job build does not always run make verify-site")
	}
	j := w.Jobs["deploy"]
	if j.If != "github.event_name != 'pull_request'" || j.Environment != "github-pages" {
		t.Errorf("the job deploy runs if %q, in the environment %q", j.If, j.Environment)
	}
	for _, s := range j.Steps {
		if s.Run != "" || strings.HasPrefix(s.Uses, "actions/checkout@") {
			t.Errorf("the job deploy runs %q, %q", s.Run, s.Uses)
		}
	}
}

// TestScorecardAcceptsItsJob: the job of the workflow scorecard has no scripts, and the workflow has no variables and no defaults.
// Otherwise scorecard.dev would refuse the results.
func TestScorecardAcceptsItsJob(t *testing.T) {
	w := workflows(t)["scorecard"]
	j := w.Jobs["analyze"]
	if len(w.Env) > 0 || w.Defaults != nil || len(j.Env) > 0 || len(w.Jobs) != 1 {
		t.Error("the workflow has variables, defaults or a second job")
	}
	for _, s := range j.Steps {
		if s.Run != "" {
			t.Errorf("the job has a script:\n%s", s.Run)
		}
	}
}

// TestChecksRunWhatCIRuns: the jobs of check.yaml run every step of .ci/run, and make has each target that a workflow
// names.
func TestChecksRunWhatCIRuns(t *testing.T) {
	target := regexp.MustCompile(`(?m)\bmake ([a-z0-9-]+(?: COUNT=\d+)?)`)
	commands := func(text string) (list []string) {
		for _, match := range target.FindAllStringSubmatch(text, -1) {
			list = append(list, match[1])
		}
		return list
	}
	checks := map[string]bool{}
	makefile := read(t, "Makefile")
	for name, w := range workflows(t) {
		for id, j := range w.Jobs {
			for _, s := range j.Steps {
				for _, command := range commands(s.Run) {
					if name == "check" {
						checks[command] = true
					}
					if target, _, _ := strings.Cut(command, " "); !strings.Contains(makefile, "\n.PHONY: "+target+"\n") {
						t.Errorf("%s: the job %s runs make %s, which does not exist", name, id, target)
					}
				}
			}
		}
	}
	steps := regexp.MustCompile(`(?m)^step (.*)$`).FindAllString(regexp.MustCompile(` #.*`).ReplaceAllString(read(t, ".ci/run"), ""), -1)
	if len(steps) < 5 {
		t.Fatalf(".ci/run has the steps %q", steps)
	}
	for _, command := range commands(strings.Join(steps, "\n")) {
		if !checks[command] {
			t.Errorf("check.yaml does not run make %s, and .ci/run does", command)
		}
	}
}

// TestJobsCacheTheirPrograms: the jobs of check and scheduled that run an API server cache the programs that tools/programs.bash
// builds. Two jobs have the same key only if they build the same programs. setup-go derives the key of its cache from the files that
// the job names, so each job of check names other files, to have its own cache.
func TestJobsCacheTheirPrograms(t *testing.T) {
	all := workflows(t)
	got := map[string]string{}
	for _, name := range []string{"check", "scheduled"} {
		files := map[any]string{}
		for id, j := range all[name].Jobs {
			for _, s := range j.Steps {
				switch {
				case strings.HasPrefix(s.Uses, "actions/cache@"):
					if s.With["path"] != "~/.cache/awsauth-guard" {
						t.Errorf("%s: the job %s caches %v, want ~/.cache/awsauth-guard", name, id, s.With["path"])
					}
					key, _, _ := strings.Cut(s.With["key"].(string), "${{ hashFiles(")
					got[name+" "+id] = key
				case name == "check" && strings.HasPrefix(s.Uses, "actions/setup-go@"):
					if other, ok := files[s.With["cache-dependency-path"]]; ok {
						t.Errorf("the jobs %s and %s of check have the same cache of setup-go", id, other)
					}
					files[s.With["cache-dependency-path"]] = id
				}
			}
		}
	}
	want := map[string]string{
		"check verify":         "control-plane-",
		"check test":           "control-plane-",
		"check oracle":         "control-plane-",
		"check e2e":            "cluster-",
		"check kubernetes":     "kubernetes-${{ matrix.version }}-",
		"scheduled kubernetes": "kubernetes-${{ matrix.version }}-",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the keys of the caches (-want +got):\n%s", diff)
	}
}
