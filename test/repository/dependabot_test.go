package repository_test

import (
	"io/fs"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestDependabotUpdatesEveryModule: each go.mod of the repository matches exactly one entry of Dependabot, and there is
// one entry for the actions and one for the Dockerfile.
func TestDependabotUpdatesEveryModule(t *testing.T) {
	var config struct {
		Updates []struct {
			Ecosystem   string   `yaml:"package-ecosystem"`
			Directories []string `yaml:"directories"`
		} `yaml:"updates"`
	}
	if err := yaml.Unmarshal([]byte(read(t, ".github/dependabot.yml")), &config); err != nil {
		t.Fatal(err)
	}
	matches := func(ecosystem, folder string) (n int) {
		for _, update := range config.Updates {
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
	for _, ecosystem := range []string{"github-actions", "docker"} {
		if matches(ecosystem, "/") != 1 {
			t.Errorf("no entry is for %s", ecosystem)
		}
	}
}
