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

// source is a file to read.
type source struct {
	name string
	// discovered: the file was found in a folder or by a pattern. The user did not name it, and it may have nothing to do
	// with aws-auth.
	discovered bool
	err        error // the reason why it can't be read
	// built is the result of the Kustomization in the folder name; nil for a file.
	built *build
}

// manifestExtensions are the extensions of the files that are read in a folder.
var manifestExtensions = []string{".yaml", ".yml", ".json"}

// templateExtensions are the extensions of files from which other tools make manifests. In a folder they are only searched for an aws-auth,
// so that the user gets a note.
var templateExtensions = []string{".tf", ".tofu", ".tpl", ".tftpl", ".tmpl"}

// expandArgs returns the files to read, in the order of the arguments. A folder stands for the manifests below it, and a
// pattern that the shell did not expand for the files that it matches. A folder with a Kustomization stands for what it builds. The list takes some hundred bytes a file; no
// other memory grows with the number of files.
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

// sources is a list of files without duplicates.
type sources struct {
	list []source
	at   map[string]int // absolute path to index in list
}

// add appends files that are not in the list. A file that the user names is no longer a discovered one.
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

// listFolder lists the manifests below a folder, sorted by name. It skips hidden folders and node_modules. It follows no
// links to folders, which may form a cycle, except root itself.
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
			list = append(list, source{name: name, discovered: !ofRoot}) // to name a folder is to name its Kustomization
		}
		return nil
	})
	if err != nil { // can't happen: the function above returns only nil and SkipDir
		list = append(list, source{name: root, err: err})
	}
	return list
}

// isListed reports whether a file in a folder is read.
func isListed(name string) bool {
	extension := strings.ToLower(filepath.Ext(name))
	return slices.Contains(manifestExtensions, extension) || slices.Contains(templateExtensions, extension) || kustomize.IsKustomization(name)
}

func isSkippedFolder(folder string) bool {
	return strings.HasPrefix(folder, ".") || folder == "node_modules"
}

// isFile reports whether an entry of a folder is a file or a link to one. A dangling link counts as a file, so that the
// user gets an error.
func isFile(name string, entry fs.DirEntry) bool {
	if entry.Type()&fs.ModeSymlink == 0 {
		return entry.Type().IsRegular()
	}
	info, err := os.Stat(name)
	return err != nil || info.Mode().IsRegular()
}

// matchPattern lists the files that a pattern matches, sorted by name. ** stands for any number of folders, except those
// that listFolder skips.
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
