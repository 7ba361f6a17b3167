package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const (
	tag  = "v1.2.3-rc.1"
	unix = "1700000000"
)

// runs runs the command with the arguments. It fails the test if the command fails.
func runs(t *testing.T, args ...string) {
	t.Helper()
	if err := run(args); err != nil {
		t.Fatal(err)
	}
}

// archives makes the archives of a release, with a script instead of the program, and returns their folder.
func archives(t *testing.T, platforms ...string) string {
	t.Helper()
	docs, folder := t.TempDir(), t.TempDir()
	runs(t, "docs", "-version", tag, "-time", unix, docs)
	for name, text := range map[string]string{program: "#!/bin/sh\n", "LICENSE": "a licence"} {
		if err := os.WriteFile(filepath.Join(docs, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	w := tar.NewWriter(z)
	err1 := w.AddFS(os.DirFS(docs))
	err2 := w.Close()
	err3 := z.Close()
	if err1 != nil || err2 != nil || err3 != nil {
		t.Fatal(err1, err2, err3)
	}
	for _, platform := range platforms {
		name := fmt.Sprintf("%s-%s-%s.tar.gz", program, tag, platform)
		if err := os.WriteFile(filepath.Join(folder, name), packed.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func read(t *testing.T, name ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(name...))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// docs writes man pages with the version and the date of the commit, and completion scripts for the name kubectl-awsauth. A second
// run writes the same files.
func TestDocs(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	for _, folder := range []string{first, second} {
		runs(t, "docs", "-version", tag, "-time", unix, folder)
	}
	page := read(t, first, "man", "kubectl-awsauth-lint.1")
	if !strings.Contains(page, tag) || !strings.Contains(page, "Nov 2023") {
		t.Errorf("the page begins with\n%.200s", page)
	}
	if !strings.Contains(page, "envs/**/") || strings.Contains(page, `\\<`) {
		t.Error("the page of lint lacks the pattern envs/**/, or has the escapes of Markdown")
	}
	for _, name := range []string{"man/kubectl-awsauth.1", "man/kubectl-awsauth-config-check.1", "completions/_kubectl-awsauth", "completions/kubectl-awsauth.bash", "completions/kubectl-awsauth.fish", completer} {
		if text := read(t, first, name); text == "" || text != read(t, second, name) {
			t.Errorf("%s is empty, or a second run writes another", name)
		}
	}
	for _, name := range []string{"_kubectl-awsauth", "kubectl-awsauth.bash", "kubectl-awsauth.fish"} {
		if strings.Contains(read(t, first, "completions", name), "kubectl awsauth") {
			t.Errorf("%s completes another name than the program's", name)
		}
	}
}

// From the archives of all platforms, build makes a deb and an rpm for each architecture of Linux, and manifests that name each
// archive. A second run writes the same packages.
func TestBuild(t *testing.T) {
	folder := archives(t, "darwin-amd64", "darwin-arm64", "linux-amd64", "linux-arm64")
	runs(t, "build", "-version", tag, "-time", unix, folder)
	for _, name := range []string{
		"kubectl-awsauth_1.2.3~rc.1_amd64.deb", "kubectl-awsauth_1.2.3~rc.1_arm64.deb",
		"kubectl-awsauth-1.2.3~rc.1-1.x86_64.rpm", "kubectl-awsauth-1.2.3~rc.1-1.aarch64.rpm",
	} {
		first := read(t, folder, name)
		runs(t, "build", "-version", tag, "-time", unix, folder)
		if first != read(t, folder, name) {
			t.Errorf("a second run writes another %s", name)
		}
	}
	var plugin struct {
		Metadata struct{ Name string }
		Spec     struct {
			Version          string
			ShortDescription string `yaml:"shortDescription"`
			Platforms        []struct{ URI, Bin string }
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, folder, "awsauth.yaml")), &plugin); err != nil {
		t.Fatal(err)
	}
	if plugin.Metadata.Name != "awsauth" || plugin.Spec.Version != tag || len(plugin.Spec.Platforms) != 4 {
		t.Errorf("the manifest is of %+v", plugin)
	}
	if len(plugin.Spec.ShortDescription) > 80 {
		t.Errorf("%q is too long for a list", plugin.Spec.ShortDescription)
	}
	formula := read(t, folder, program+".rb")
	for _, p := range plugin.Spec.Platforms {
		if !strings.Contains(formula, `url "`+p.URI+`"`) || !strings.HasPrefix(p.URI, repository+"/releases/download/"+tag+"/"+program+"-"+tag+"-") {
			t.Errorf("the formula does not have %s", p.URI)
		}
	}
	if sums := regexp.MustCompile(`sha256 "[0-9a-f]{64}"`).FindAllString(formula, -1); len(sums) != 4 {
		t.Errorf("the formula has the sums %q", sums)
	}
}

// build fails without an archive for linux/amd64, if an archive has a file outside of its folder, and for a version without v.
func TestBuildRefuses(t *testing.T) {
	if err := run([]string{"build", "-version", tag, "-time", unix, archives(t, "darwin-arm64")}); err == nil {
		t.Error("build accepts a folder without an archive for linux/amd64")
	}
	folder := t.TempDir()
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	w := tar.NewWriter(z)
	if err := w.WriteHeader(&tar.Header{Name: "../x", Typeflag: tar.TypeReg}); err != nil {
		t.Fatal(err)
	}
	err1 := w.Close()
	err2 := z.Close()
	err3 := os.WriteFile(filepath.Join(folder, program+"-"+tag+"-linux-amd64.tar.gz"), packed.Bytes(), 0o600)
	if err1 != nil || err2 != nil || err3 != nil {
		t.Fatal(err1, err2, err3)
	}
	if err := run([]string{"build", "-version", tag, "-time", unix, folder}); err == nil {
		t.Error("build accepts an archive with a file outside of its folder")
	}
	if err := run([]string{"build", "-version", "1.2.3", folder}); err == nil {
		t.Error("build accepts a version without v")
	}
}

// The packages install every file of an archive, each at its usual path.
func TestDestinations(t *testing.T) {
	names := []string{program, completer, "LICENSE", "man/kubectl-awsauth.1", "completions/_kubectl-awsauth", "completions/kubectl-awsauth.bash", "completions/kubectl-awsauth.fish"}
	var got []string
	for _, name := range names {
		got = append(got, destination(name))
	}
	want := []string{
		"/usr/bin/kubectl-awsauth", "/usr/bin/kubectl_complete-awsauth", "/usr/share/doc/kubectl-awsauth/LICENSE",
		"/usr/share/man/man1/kubectl-awsauth.1.gz", "/usr/share/zsh/site-functions/_kubectl-awsauth",
		"/usr/share/bash-completion/completions/kubectl-awsauth", "/usr/share/fish/vendor_completions.d/kubectl-awsauth.fish",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

// chart adds annotations with the image and the changes of the version to Chart.yaml, and keeps the other annotations and the icon.
func TestChart(t *testing.T) {
	folder := t.TempDir()
	chart := read(t, "../../charts/awsauth-guard/Chart.yaml")
	changelog := "# Changelog\n\n## Unreleased\n\n- Later.\n\n## 1.2.3-rc.1\n\n- `one`: two\n  lines.\n- \"Another\".\n\n## 1.2.2\n\n- Old.\n"
	err1 := os.WriteFile(filepath.Join(folder, "Chart.yaml"), []byte(chart), 0o600)
	err2 := os.WriteFile(filepath.Join(folder, "CHANGELOG.md"), []byte(changelog), 0o600)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	runs(t, "chart", "-version", tag, "-time", unix, folder, filepath.Join(folder, "CHANGELOG.md"))
	var got, before struct {
		Name, Icon  string
		Annotations map[string]string
	}
	if err := yaml.Unmarshal([]byte(read(t, folder, "Chart.yaml")), &got); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal([]byte(chart), &before); err != nil {
		t.Fatal(err)
	}
	var changes []string
	if err := yaml.Unmarshal([]byte(got.Annotations["artifacthub.io/changes"]), &changes); err != nil {
		t.Fatal(err)
	}
	if want := []string{"one: two lines.", `"Another".`}; !slices.Equal(changes, want) {
		t.Errorf("the changes are %q, want %q", changes, want)
	}
	if !strings.Contains(got.Annotations["artifacthub.io/images"], imageName+":1.2.3-rc.1") || got.Annotations["artifacthub.io/prerelease"] != "true" {
		t.Errorf("the annotations are %q", got.Annotations)
	}
	for key, value := range before.Annotations {
		if got.Annotations[key] != value {
			t.Errorf("%s is %q, want %q", key, got.Annotations[key], value)
		}
	}
	if got.Icon != before.Icon || got.Icon == "" {
		t.Errorf("the icon is %q", got.Icon)
	}
}
