package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/awsauth-guard/awsauth-guard/internal/kustomize"
)

// source is a file, standard input, or a folder with a Kustomization. If err is set, it is a file, folder or pattern that can't be read.
type source struct {
	name string
	// discovered reports whether lint found the file in a folder or by a pattern. The user did not name such a file, and the file may be
	// unrelated to aws-auth. The Kustomization of a folder that the user named does not count as discovered.
	discovered bool
	err        error // why the source can't be read; nil if it can
	// built is the result of the build of the Kustomization in a folder. It is nil for a file.
	built *build
}

// manifestExtensions are the extensions of the files that lint reads as manifests in a folder.
var manifestExtensions = []string{".yaml", ".yml", ".json"}

// templateExtensions are the extensions of files from which other tools generate manifests. In a folder, lint prints a note if such a file
// names an aws-auth that lint can't evaluate before the other tool has run.
var templateExtensions = []string{".tf", ".tofu", ".tpl", ".tftpl", ".tmpl"}

// expandArgs returns the sources for the arguments, in the order of the arguments and without duplicates. For a folder it returns the files
// that lint reads in the folder. For a pattern that the shell did not expand, it returns the files that match. For the files of a
// Kustomization, it returns the build of the folder.
func expandArgs(args []string) []source {
	var list sources
	for _, arg := range args {
		info, err := os.Stat(arg)
		switch {
		case arg == stdinName:
			list.add(source{name: arg})
		case err == nil && info.IsDir():
			list.add(listFolder(arg)...)
		case errors.Is(err, fs.ErrNotExist) && strings.ContainsAny(arg, "*?[{"):
			list.add(matchPattern(arg)...)
		default:
			list.add(source{name: arg})
		}
	}
	return withBuilds(list.list)
}

// sources is a list of sources without duplicates.
type sources struct {
	list []source
	at   map[string]int // index in list by absolute path
}

// add appends the sources that are not yet in the list. If the user names a file that is in the list as discovered, the file no longer
// counts as discovered.
func (s *sources) add(more ...source) {
	for _, m := range more {
		key := filepath.Clean(m.name)
		if absolute, err := filepath.Abs(m.name); err == nil && m.name != stdinName {
			key = absolute
		}
		if i, ok := s.at[key]; ok {
			s.list[i].discovered = s.list[i].discovered && m.discovered
			continue
		}
		if s.at == nil {
			s.at = make(map[string]int)
		}
		s.at[key] = len(s.list)
		s.list = append(s.list, m)
	}
}

// listFolder lists the files that lint reads in a folder and its subfolders, sorted by name. It skips hidden folders and node_modules.
// It doesn't follow links to folders, because they may form a cycle. Only root may be a link to a folder.
func listFolder(root string) []source {
	var list []source
	target, err := filepath.EvalSymlinks(root)
	if err != nil {
		return []source{{name: root, err: err}}
	}
	err = filepath.WalkDir(target, func(name string, entry fs.DirEntry, err error) error {
		top := name == target
		if relative, e := filepath.Rel(target, name); e == nil {
			name = filepath.Join(root, relative)
		}
		switch {
		case err != nil:
			list = append(list, source{name: name, err: err})
		case entry.IsDir():
			if !top && isSkippedFolder(entry.Name()) {
				return fs.SkipDir
			}
		case isListed(name) && isFile(name, entry):
			ofRoot := kustomize.IsKustomization(name) && filepath.Dir(name) == filepath.Clean(root)
			list = append(list, source{name: name, discovered: !ofRoot}) // a user who names a folder also names the Kustomization in it
		}
		return nil
	})
	if err != nil { // can't happen: the function above returns only nil and SkipDir
		list = append(list, source{name: root, err: err})
	}
	return list
}

// isListed reports whether lint reads a file with this name when it finds the file in a folder.
func isListed(name string) bool {
	extension := strings.ToLower(filepath.Ext(name))
	return slices.Contains(manifestExtensions, extension) || slices.Contains(templateExtensions, extension) || kustomize.IsKustomization(name)
}

func isSkippedFolder(folder string) bool {
	return strings.HasPrefix(folder, ".") || folder == "node_modules"
}

// isFile reports whether a directory entry is a file or a link to a file. A dangling link counts as a file, so that the user gets an
// error.
func isFile(name string, entry fs.DirEntry) bool {
	if entry.Type()&fs.ModeSymlink == 0 {
		return entry.Type().IsRegular()
	}
	info, err := os.Stat(name)
	return err != nil || info.Mode().IsRegular()
}

// matchPattern lists the files that match a pattern, sorted by name. ** matches any number of folders. Wildcards match no hidden files and
// folders. If the pattern doesn't name node_modules, matchPattern leaves out the files in such a folder. If no file matches, or if a folder
// can't be read, the result is a source with an error.
func matchPattern(pattern string) []source {
	names, err := doublestar.FilepathGlob(pattern, doublestar.WithFilesOnly(), doublestar.WithNoHidden(), doublestar.WithNoFollow(), doublestar.WithFailOnIOErrors())
	names = slices.DeleteFunc(names, func(name string) bool {
		if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() { // a link to a folder, or a device
			return true
		}
		return !strings.Contains(pattern, "node_modules") && slices.Contains(strings.Split(filepath.ToSlash(name), "/"), "node_modules")
	})
	switch {
	case err != nil:
		return []source{{name: pattern, err: fmt.Errorf("the pattern %s: %w", pattern, err)}}
	case len(names) == 0:
		return []source{{name: pattern, err: fmt.Errorf("no file matches %s", pattern)}}
	}
	slices.Sort(names)
	list := make([]source, len(names))
	for i, name := range names {
		list[i] = source{name: name, discovered: true}
	}
	return list
}
