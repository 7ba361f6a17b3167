package kustomize

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"
)

// kustomization has the fields of a Kustomization that name files, folders or addresses, and the fields that make Kustomize run Helm or
// plugins (kustomize v0.21.2, api/types/kustomization.go).
type kustomization struct {
	Resources             []string    `json:"resources"`
	Bases                 []string    `json:"bases"`
	Components            []string    `json:"components"`
	Crds                  []string    `json:"crds"`
	Configurations        []string    `json:"configurations"`
	PatchesStrategicMerge []string    `json:"patchesStrategicMerge"`
	PatchesJSON6902       []withPath  `json:"patchesJson6902"`
	Patches               []withPath  `json:"patches"`
	Replacements          []withPath  `json:"replacements"`
	OpenAPI               withPath    `json:"openapi"`
	ConfigMapGenerator    []generator `json:"configMapGenerator"`
	SecretGenerator       []generator `json:"secretGenerator"`
	Generators            []any       `json:"generators"`
	Transformers          []any       `json:"transformers"`
	Validators            []any       `json:"validators"`
	HelmCharts            []any       `json:"helmCharts"`
	HelmInflation         []any       `json:"helmChartInflationGenerator"`
}

type withPath struct {
	Path string `json:"path"`
}

type generator struct {
	Files []string `json:"files"`
	Envs  []string `json:"envs"`
	Env   string   `json:"env"`
}

// unbuildable returns the reason why lint can't build a Kustomization: it does not parse, or needs more than local
// files. It returns "" if lint can build the Kustomization.
func unbuildable(data []byte) string {
	const instead = "build it with kubectl kustomize, and lint the result"
	text, err := yaml.YAMLToJSONStrict(data) // this refuses duplicate keys, because the library may use another value of the key
	if err != nil {
		return fmt.Sprintf("it does not parse: %v", err)
	}
	var k kustomization
	if err := json.Unmarshal(text, &k); err != nil {
		return fmt.Sprintf("it is no Kustomization: %v", err)
	}
	switch {
	case len(k.HelmCharts)+len(k.HelmInflation) > 0:
		return "it renders a Helm chart, which lint does not do; build it with kustomize build --enable-helm, and lint the result"
	case len(k.Generators)+len(k.Transformers)+len(k.Validators) > 0:
		return "it uses generators, transformers or validators of its own, which lint does not run; " + instead
	}
	for _, name := range k.paths() {
		if filepath.IsAbs(name) {
			return fmt.Sprintf("it needs the absolute path %s, and lint accepts only relative paths; write the path relative to the folder of the Kustomization", name)
		}
		if isRemote(name) {
			return fmt.Sprintf("it needs %s, and lint loads nothing from the network; %s", name, instead)
		}
	}
	return ""
}

// paths returns every path and address that a Kustomization names.
func (k *kustomization) paths() []string {
	var list []string
	for _, names := range [][]string{k.Resources, k.Bases, k.Components, k.Crds, k.Configurations} {
		list = append(list, names...)
	}
	for _, name := range k.PatchesStrategicMerge {
		if !strings.Contains(name, "\n") { // a text with a line break is the patch itself
			list = append(list, name)
		}
	}
	for _, entries := range [][]withPath{k.PatchesJSON6902, k.Patches, k.Replacements, {k.OpenAPI}} {
		for _, entry := range entries {
			list = append(list, entry.Path)
		}
	}
	for _, generators := range [][]generator{k.ConfigMapGenerator, k.SecretGenerator} {
		for _, g := range generators {
			for _, name := range append(append(g.Files, g.Envs...), g.Env) {
				if _, path, ok := strings.Cut(name, "="); ok {
					name = path
				}
				list = append(list, name)
			}
		}
	}
	return list
}

// isRemote reports whether the library may treat a name as a URL. Such a name has a scheme, a user or a query, or
// begins with the host of GitHub (kustomize v0.21.2, api/internal/git/repospec.go, NewRepoSpecFromURL;
// api/internal/loader, IsRemoteFile). isRemote also returns true for the name of a local file with a colon, an at sign
// or a question mark.
func isRemote(name string) bool {
	folded := strings.ToLower(strings.TrimSpace(name))
	return strings.ContainsAny(folded, ":@?") || strings.HasPrefix(folded, "github.com") || strings.HasPrefix(folded, "www.github.com")
}
