package kustomize_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/awsauth-guard/awsauth-guard/internal/kustomize"
)

const manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: aws-auth}\ndata: {a: b}\n"

// write writes files below a folder. A value that begins with -> is the target of a symbolic link.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		name = filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(name), 0o755)
		if target, ok := strings.CutPrefix(text, "->"); ok {
			err = errors.Join(err, os.Symlink(target, name))
		} else {
			err = errors.Join(err, os.WriteFile(name, []byte(text), 0o600))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func all([]byte) bool { return true }

// TestBuildRefusesNetworkAndOutside checks that a build reads only files below its root, and loads nothing from the
// network. It also refuses plugins, Helm charts, large files and cycles.
func TestBuildRefusesNetworkAndOutside(t *testing.T) {
	const network = "lint loads nothing from the network"
	for name, test := range map[string]struct {
		files map[string]string
		want  string
	}{
		"an address":                 {map[string]string{"kustomization.yaml": "resources: ['https://example.com/x.yaml']"}, network},
		"a repository":               {map[string]string{"kustomization.yaml": "resources: ['github.com/a/b']", "github.com/a/b/kustomization.yaml": "resources: []"}, network},
		"a repository, capitals":     {map[string]string{"kustomization.yaml": "bases: ['GitHub.com/a/b']"}, network},
		"a repository by SSH":        {map[string]string{"kustomization.yaml": "components: ['git@example.com:a/b']"}, network},
		"a query":                    {map[string]string{"kustomization.yaml": "resources: ['a/b?ref=x']"}, network},
		"an address of a patch":      {map[string]string{"kustomization.yaml": "patches: [{path: 'http://example.com/x'}]"}, network},
		"an address of a key":        {map[string]string{"kustomization.yaml": "configMapGenerator: [{name: x, files: ['a=http://example.com/x']}]"}, network},
		"an address of variables":    {map[string]string{"kustomization.yaml": "secretGenerator: [{name: x, envs: ['http://example.com/x']}]"}, network},
		"an address of a schema":     {map[string]string{"kustomization.yaml": "openapi: {path: 'http://example.com/x'}"}, network},
		"an address of a CRD":        {map[string]string{"kustomization.yaml": "crds: ['http://example.com/x']"}, network},
		"an address in a base":       {map[string]string{"kustomization.yaml": "resources: [base]", "base/kustomization.yml": "resources: ['http://example.com/x']"}, "base/kustomization.yml: it needs http://example.com/x, and " + network},
		"the same key twice":         {map[string]string{"kustomization.yaml": "resources: ['http://example.com/x']\nresources: []"}, "it does not parse"},
		"an absolute path":           {map[string]string{"kustomization.yaml": "resources: [/etc/hosts]"}, "it needs the absolute path /etc/hosts"},
		"a plugin":                   {map[string]string{"kustomization.yaml": "transformers: ['{kind: PatchTransformer}']"}, "lint does not run"},
		"a chart":                    {map[string]string{"kustomization.yaml": "helmCharts: [{name: x}]"}, "renders a Helm chart"},
		"a folder outside":           {map[string]string{"kustomization.yaml": "resources: [../outside]"}, "outside of"},
		"a file outside":             {map[string]string{"kustomization.yaml": "resources: [../outside/x.yaml]"}, "outside of"},
		"a link to a file outside":   {map[string]string{"kustomization.yaml": "resources: [x.yaml]", "x.yaml": "->../outside/x.yaml"}, "outside of"},
		"a link to a folder outside": {map[string]string{"kustomization.yaml": "resources: [x]", "x": "->../outside"}, "outside of"},
		"a Kustomization outside":    {map[string]string{"kustomization.yaml": "->../outside/kustomization.yaml"}, "outside of"},
		"a large file":               {map[string]string{"kustomization.yaml": "resources: [x.yaml]", "x.yaml": "# " + strings.Repeat("x", 3<<20)}, "x.yaml is larger than the limit of 3 MiB"},
		"a cycle":                    {map[string]string{"kustomization.yaml": "resources: [a]", "a/kustomization.yaml": "resources: [../]"}, "cycle"},
		"no Kustomization":           {map[string]string{"x.yaml": manifest}, "unable to find one of"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "outside"), map[string]string{"x.yaml": manifest, "kustomization.yaml": "resources: [x.yaml]"})
			write(t, filepath.Join(dir, "inside"), test.files)
			result, err := kustomize.Build(filepath.Join(dir, "inside"), all)
			if err == nil || !strings.Contains(err.Error(), test.want) || result.Manifests != nil {
				t.Errorf("%v, want %q\n%s", err, test.want, result.Manifests)
			}
		})
	}
}

// TestBuildEndsSoon checks that a build ends with an error in two cases. In one, each folder names the same base several
// times, so each level multiplies the number of files. In the other, a file is a pipe to which no process writes.
func TestBuildEndsSoon(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{"0/kustomization.yaml": "resources: [x.yaml]", "0/x.yaml": manifest}
	for i := 1; i <= 30; i++ {
		files[fmt.Sprintf("%d/kustomization.yaml", i)] = fmt.Sprintf("resources: [a, b, ../%d]\nnamePrefix: x-\n", i-1)
		for _, name := range []string{"a", "b"} {
			files[fmt.Sprintf("%d/%s/kustomization.yaml", i, name)] = fmt.Sprintf("resources: [../../%d]\nnamePrefix: %s-\n", i-1, name)
		}
	}
	write(t, dir, files)
	write(t, dir, map[string]string{".git/HEAD": ""})
	if _, err := kustomize.Build(filepath.Join(dir, "30"), all); err == nil || !strings.Contains(err.Error(), "it reads more than 2000 files") {
		t.Errorf("%v", err)
	}
	write(t, dir, map[string]string{"pipe/kustomization.yaml": "resources: [x.yaml]"})
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe", "x.yaml"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := kustomize.Build(filepath.Join(dir, "pipe"), all); err == nil || !strings.Contains(err.Error(), "pipe/x.yaml is not a regular file") {
		t.Errorf("%v", err)
	}
}

// TestBuildReadsRepository checks that a build may read the repository around its folder, also through links to folders. A
// base may not read a file outside of its own folder.
func TestBuildReadsRepository(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{
		".git/HEAD": "", "base/kustomization.yaml": "resources: [x.yaml]", "base/x.yaml": "->../files/x.yaml", "files/x.yaml": manifest,
		"prod/kustomization.yaml": "resources: [../link]\nnamespace: kube-system\n", "link": "->base",
	})
	_, err := kustomize.Build(filepath.Join(dir, "prod"), all)
	if err == nil || !strings.Contains(err.Error(), "security; file") { // kubectl kustomize also refuses a file outside of the folder of the base
		t.Errorf("%v", err)
	}
	write(t, dir, map[string]string{"base/y.yaml": manifest})
	write(t, dir, map[string]string{"prod2/kustomization.yaml": "resources: [../link2]\nnamespace: kube-system\n", "link2": "->base2", "base2/kustomization.yaml": "resources: [y.yaml, z.yaml]", "base2/y.yaml": manifest, "base2/z.yaml": "apiVersion: v1\nkind: Service\nmetadata: {name: z}\n"})
	result, err := kustomize.Build(filepath.Join(dir, "prod2"), func(text []byte) bool { return bytes.Contains(text, []byte("aws-auth")) })
	want := "---\napiVersion: v1\ndata:\n  a: b\nkind: ConfigMap\nmetadata:\n  name: aws-auth\n  namespace: kube-system\n"
	if err != nil || string(result.Manifests) != want || len(result.Files) != 4 {
		t.Errorf("%v, %d files\n%s", err, len(result.Files), result.Manifests)
	}
}
