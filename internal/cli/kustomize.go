package cli

import (
	"bytes"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/awsauth-guard/awsauth-guard/internal/extract"
	"github.com/awsauth-guard/awsauth-guard/internal/kustomize"
	"github.com/awsauth-guard/awsauth-guard/internal/report"
)

// build is the result of the build of a Kustomization. err says why the build failed; it is nil if the build succeeded.
type build struct {
	kustomize.Result

	err error
}

// withBuilds builds the Kustomizations in a list of files. In the list it replaces each kustomization file by the folder with the build.
// It removes the files that the builds read, such as bases and patches, because a cluster doesn't get these files as they are. It keeps
// files that the user named, and the files of a Kustomization that can't be built.
func withBuilds(list []source) []source {
	built := map[int]*build{}
	for i, s := range list {
		if s.err == nil && s.name != stdinName && kustomize.IsKustomization(s.name) {
			result, err := kustomize.Build(filepath.Dir(s.name), extract.Concerns)
			built[i] = &build{result, err}
		}
	}
	if len(built) == 0 {
		return list
	}
	readBy := map[string]int{} // the number of builds that have read a file
	for _, b := range built {
		if b.err == nil {
			for name := range b.Files {
				readBy[name]++
			}
		}
	}
	var kept []source
	for i, s := range list {
		readers := readBy[absolutePath(s.name)]
		if b := built[i]; b != nil {
			if b.err == nil {
				readers-- // the folder's own build also reads this file, and doesn't count
			}
			s.built, s.name = b, filepath.Dir(s.name)
		}
		if readers == 0 || !s.discovered {
			kept = append(kept, s)
		}
	}
	return kept
}

// absolutePath returns the absolute path of a file, with symbolic links resolved. If it can't resolve the links, it returns the absolute
// path with the links. If it can't find out the absolute path, it returns the name unchanged.
func absolutePath(name string) string {
	absolute, err := filepath.Abs(name)
	if err != nil {
		return name
	}
	if target, err := filepath.EvalSymlinks(absolute); err == nil {
		return target
	}
	return absolute
}

// lintBuild lints the result of the build of a Kustomization. If the build failed and the user named the Kustomization, the result is an
// error. If the build failed and lint found the Kustomization in a folder, the result has a note, but only if a file of the build concerns
// aws-auth or the user set --old.
func (l *lintRun) lintBuild(s source) fileResult {
	switch {
	case s.built.err == nil:
	case !s.discovered:
		return failedFile(s.name, fmt.Errorf("cannot build the Kustomization in %s: %w", s.name, s.built.err))
	default:
		o := fileResult{File: report.File{Name: s.name}}
		if l.oldName != "" || slices.ContainsFunc(slices.Collect(maps.Values(s.built.Files)), extract.Concerns) {
			o.skipped, o.Notes = true, []string{fmt.Sprintf("%s: not evaluated: cannot build its Kustomization: %v", s.name, s.built.err)}
		}
		return o
	}
	in, err := parseInput(s.name, s.built.Manifests)
	in.built = true
	for _, list := range [][]report.Problem{in.problems, in.unrendered, in.others} {
		for i := range list {
			list[i].Line, list[i].Column = 0, 0 // the position is in the built text, which the user does not see
		}
	}
	for i, o := range in.objects {
		in.objects[i] = s.written(o)
	}
	if !s.discovered {
		return l.lintParsed(in.named(), err)
	}
	in, skipped := in.discovered()
	o := l.lintParsed(in, err)
	o.skipped = skipped
	return o
}

// written looks for a source file of the build that has the same data as the built object o. It returns o with the positions in this
// file, so that findings have positions that the user can see. If there is no such file, it returns o without positions.
func (s source) written(o object) object {
	folder := absolutePath(s.name)
	for _, name := range slices.Sorted(maps.Keys(s.built.Files)) {
		src := s.built.Files[name]
		if kustomize.IsKustomization(name) || !bytes.Contains(src, []byte("aws-auth")) {
			continue
		}
		in, err := parseStored(name, src)
		if err != nil {
			continue
		}
		for _, raw := range in.objects {
			if raw.Object == nil || !maps.Equal(raw.Data, o.Data) || len(raw.NotText) > 0 {
				continue
			}
			if relative, err := filepath.Rel(folder, name); err == nil {
				raw.File = filepath.Join(s.name, relative)
			}
			raw.Object = raw.WithValues(o.Values())
			return raw
		}
	}
	o.Object, o.InText, o.Line = o.WithoutPositions(), true, 0
	return o
}
