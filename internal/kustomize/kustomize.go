// Package kustomize builds a folder with a Kustomization. A build doesn't use the network, runs no programs or plugins,
// and reads no files outside of a root folder, see rootOf.
package kustomize

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/types"
)

// fileNames are the names that the file of a Kustomization may have (kustomize v0.21.2, api/konfig,
// RecognizedKustomizationFileNames).
var fileNames = []string{"kustomization.yaml", "kustomization.yml", "Kustomization"}

// IsKustomization reports whether a file has the name of a Kustomization.
func IsKustomization(name string) bool { return slices.Contains(fileNames, filepath.Base(name)) }

// Result is the result of a build.
type Result struct {
	// Manifests are the built objects that the filter accepts, as YAML documents.
	Manifests []byte
	// Files holds the content of each file that the build has read, by the file's absolute path. The path has no
	// symbolic links. Files is filled even if the build fails.
	Files map[string][]byte
}

// building allows only one build at a time, because the library keeps the schema of a build in global variables
// (kustomize v0.21.2, kyaml/openapi).
var building sync.Mutex

// Build builds a folder. filter gets the YAML of each built object, and tells whether the object is in the result.
func Build(folder string, filter func([]byte) bool) (Result, error) {
	building.Lock()
	defer building.Unlock()
	target, err := realPath(folder)
	if err != nil {
		return Result{}, err
	}
	fsys, err := openBelow(rootOf(target))
	if err != nil {
		return Result{}, err
	}
	defer fsys.close()
	options := krusty.MakeDefaultOptions()
	options.LoadRestrictions = types.LoadRestrictionsRootOnly
	options.PluginConfig = types.DisabledPluginConfig()
	built, err := run(krusty.MakeKustomizer(options), fsys, target)
	result := Result{Files: fsys.files}
	switch {
	case fsys.refused != nil:
		return result, fsys.refused
	case err != nil:
		return result, oneCause(err, fsys.path)
	}
	for _, object := range built.Resources() {
		text, err := object.AsYAML()
		if err != nil {
			return result, fmt.Errorf("writing a built object: %w", err)
		}
		if filter(text) {
			result.Manifests = append(append(result.Manifests, "---\n"...), text...)
		}
	}
	return result, nil
}

// run builds a folder. It returns a panic of the library as an error, because the library panics on some malformed
// inputs.
func run(k *krusty.Kustomizer, fsys *files, folder string) (built resmap.ResMap, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("kustomize failed: %v", v)
		}
	}()
	return k.Run(fsys, folder)
}

// oneCause returns an error of the library as one line. The line has at most 300 bytes of the error, and its paths are
// relative to the root.
func oneCause(err error, root string) error {
	const limit = 300
	text := strings.ReplaceAll(strings.Join(strings.Fields(err.Error()), " "), root+string(filepath.Separator), "")
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "") + "…"
	}
	return errors.New(text)
}

// realPath returns the absolute path of a file or folder, without symbolic links.
func realPath(folder string) (string, error) {
	absolute, err := filepath.Abs(folder)
	if err != nil {
		return "", fmt.Errorf("finding the folder: %w", err)
	}
	return filepath.EvalSymlinks(absolute)
}

// rootOf returns the root for the build of a folder. A build reads no files outside of the root. The root is the first
// of these that exists:
//
//   - the repository that contains the folder
//   - the working directory, if it contains the folder
//   - the folder itself
func rootOf(folder string) string {
	for at := folder; at != filepath.Dir(at); at = filepath.Dir(at) {
		if _, err := os.Lstat(filepath.Join(at, ".git")); err == nil {
			return at
		}
	}
	if here, err := realPath("."); err == nil {
		if relative, err := filepath.Rel(here, folder); err == nil && filepath.IsLocal(relative) {
			return here
		}
	}
	return folder
}
