package repository_test

import (
	"io/fs"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// dependabotUpdate is an entry of Dependabot's configuration.
type dependabotUpdate struct {
	Ecosystem     string   `yaml:"package-ecosystem"`
	Directories   []string `yaml:"directories"`
	CommitMessage struct {
		Prefix string `yaml:"prefix"`
	} `yaml:"commit-message"`
	Ignore []struct {
		Name string `yaml:"dependency-name"`
	} `yaml:"ignore"`
}

func dependabotUpdates(t *testing.T) []dependabotUpdate {
	t.Helper()
	var config struct {
		Updates []dependabotUpdate `yaml:"updates"`
	}
	if err := yaml.Unmarshal([]byte(read(t, ".github/dependabot.yml")), &config); err != nil {
		t.Fatal(err)
	}
	if len(config.Updates) == 0 {
		t.Fatal("Dependabot updates nothing")
	}
	return config.Updates
}

// TestDependabotUpdatesEveryModule: exactly one entry of Dependabot's configuration matches each go.mod of the repository, and one
// entry matches the actions.
func TestDependabotUpdatesEveryModule(t *testing.T) {
	updates := dependabotUpdates(t)
	matches := func(ecosystem, folder string) (n int) {
		for _, update := range updates {
			for _, pattern := range update.Directories {
				if ok, err := path.Match(pattern, folder); err != nil {
					t.Fatal(err)
				} else if ok && update.Ecosystem == ecosystem {
					n++
				}
			}
		}
		return n
	}
	modules := 0
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if base := entry.Name(); entry.IsDir() && name != root && (strings.HasPrefix(base, ".") || base == "testdata") {
			return filepath.SkipDir
		}
		if entry.Name() != "go.mod" {
			return nil
		}
		modules++
		folder := "/" + strings.TrimPrefix(strings.TrimPrefix(filepath.ToSlash(filepath.Dir(name)), root), "/")
		if n := matches("gomod", folder); n != 1 {
			t.Errorf("%d entries match the module %s, want 1", n, folder)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if modules < 10 {
		t.Errorf("found only %d modules", modules)
	}
	if matches("github-actions", "/") != 1 {
		t.Error("want one entry for the actions")
	}
}

// TestDependabotWritesGoodSubjects: with the prefixes of the configuration, Dependabot writes subjects that tools/verify-commits.sh
// admits. This script checks the commits of every pull request.
func TestDependabotWritesGoodSubjects(t *testing.T) {
	for _, update := range dependabotUpdates(t) {
		prefix := update.CommitMessage.Prefix
		if prefix == "" {
			t.Errorf("%s: the entry has no prefix for commit messages", update.Ecosystem)
			continue
		}
		// Dependabot adds a colon to a prefix that ends with a letter or digit. It writes the verb in lower case only if
		// the prefix begins with a letter in lower case: lib/dependabot/pull_request_creator/pr_name_prefixer.rb of
		// dependabot-core.
		if regexp.MustCompile(`[A-Za-z0-9)\]]$`).MatchString(prefix) {
			prefix += ":"
		}
		verb := "Bump"
		if regexp.MustCompile(`^[a-z]`).MatchString(prefix) {
			verb = "bump"
		}
		for _, rest := range []string{"actions/checkout from 6.0.1 to 6.0.2", "the others group across 3 directories with 12 updates"} {
			subject := prefix + " " + verb + " " + rest
			check := exec.CommandContext(t.Context(), root+"/tools/verify-commits.sh", "-")
			check.Stdin = strings.NewReader(subject + "\n")
			if out, err := check.CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", update.Ecosystem, err, out)
			}
		}
	}
}

// TestDependabotLeavesKubernetes: the configuration ignores k8s.io/kubernetes, and no other module. Dependabot doesn't update modules
// that go.mod replaces, such as k8s.io/api. If it updated k8s.io/kubernetes alone, the build would mix two versions of Kubernetes.
func TestDependabotLeavesKubernetes(t *testing.T) {
	if !strings.Contains(read(t, "tools/kubernetes/go.mod"), "\tk8s.io/api => k8s.io/api v") {
		t.Error("tools/kubernetes/go.mod no longer replaces k8s.io/api; Dependabot may update it")
	}
	for _, update := range dependabotUpdates(t) {
		if update.Ecosystem != "gomod" {
			continue
		}
		if len(update.Ignore) != 1 || update.Ignore[0].Name != "k8s.io/kubernetes" {
			t.Errorf("Dependabot ignores %+v, want only k8s.io/kubernetes", update.Ignore)
		}
	}
}

// TestDockerfileHasTheGoOfTheModule: the Go image of the Dockerfile has the Go version of go.mod. Dependabot doesn't update this image,
// because it is the value of an ARG.
func TestDockerfileHasTheGoOfTheModule(t *testing.T) {
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(read(t, "go.mod"))
	image := regexp.MustCompile(`(?m)^ARG GO_IMAGE=golang:(\d+\.\d+)-`).FindStringSubmatch(read(t, "Dockerfile"))
	if version == nil || image == nil || version[1] != image[1] {
		t.Errorf("go.mod has Go %q, and the Dockerfile %q", version, image)
	}
}
