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
)

// source is a file that is to be read.
type source struct {
	name string
	// found: nobody has named the file. It was found in a folder or by a pattern, and most such files
	// have nothing to do with aws-auth.
	found bool
	err   error // what keeps it from being read
}

// manifestExtensions are those of the files that are read in a folder.
var manifestExtensions = []string{".yaml", ".yml", ".json"}

// expand returns the files that arguments stand for, in their order: a file is itself, a folder
// the manifests below it, and a pattern that the shell has left as it is what it matches. The list
// takes some hundred bytes a file, and is all that grows with their number.
func expand(args []string) []source {
	var list sources
	for _, arg := range args {
		info, err := os.Stat(arg)
		switch {
		case arg == stdinName:
			list.add(source{name: arg})
		case err == nil && info.IsDir():
			list.add(folder(arg)...)
		case errors.Is(err, fs.ErrNotExist) && strings.ContainsAny(arg, "*?[{"):
			list.add(matches(arg)...)
		default:
			list.add(source{name: arg})
		}
	}
	return list.list
}

// sources are files, each once.
type sources struct {
	list []source
	at   map[string]int // in list, by what the name leads to
}

func (s *sources) add(more ...source) {
	for _, m := range more {
		key := filepath.Clean(m.name)
		if absolute, err := filepath.Abs(m.name); err == nil && m.name != stdinName {
			key = absolute
		}
		if i, ok := s.at[key]; ok {
			s.list[i].found = s.list[i].found && m.found
			continue
		}
		if s.at == nil {
			s.at = make(map[string]int)
		}
		s.at[key] = len(s.list)
		s.list = append(s.list, m)
	}
}

// folder lists the manifests below a folder, in the order of their names. Hidden folders and
// node_modules are left out, and links to folders are not followed, so that they cannot go round;
// but for the folder itself, which may be a link.
func folder(root string) []source {
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
			if !top && skipped(entry.Name()) {
				return fs.SkipDir
			}
		case slices.Contains(manifestExtensions, strings.ToLower(filepath.Ext(name))) && isFile(name, entry):
			list = append(list, source{name: name, found: true})
		}
		return nil
	})
	if err != nil { // the function above returns none
		list = append(list, source{name: root, err: err})
	}
	return list
}

func skipped(folder string) bool { return strings.HasPrefix(folder, ".") || folder == "node_modules" }

// isFile reports whether an entry of a folder is a file or a link to one. A link that leads nowhere
// counts: reading it is an error that somebody should see.
func isFile(name string, entry fs.DirEntry) bool {
	if entry.Type()&fs.ModeSymlink == 0 {
		return entry.Type().IsRegular()
	}
	info, err := os.Stat(name)
	return err != nil || info.Mode().IsRegular()
}

// matches lists the files that a pattern matches; ** stands for any number of folders, those
// left out that a folder leaves out.
func matches(pattern string) []source {
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
		list[i] = source{name: name, found: true}
	}
	return list
}
