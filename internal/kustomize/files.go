package kustomize

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"sigs.k8s.io/kustomize/kyaml/filesys"
)

const (
	// maxFile limits the bytes of a file. The limit of lint for a manifest is the same.
	maxFile = 3 << 20
	// maxRead limits the total size of all files of a build, in bytes. It equals the limit of lint for the output of
	// other tools, which lint reads from standard input.
	maxRead = 64 << 20
	// maxReads limits how many files a build reads. A file counts once for each time that a folder names it. Without
	// this limit, a chain of folders that each name the next folder twice would double the number of objects at each
	// level.
	maxReads = 2000
)

// files is a file system for a build. It reads only below a root, and follows no symbolic link out of the root. It
// writes nothing.
type files struct {
	path    string // the root, absolute and without symbolic links
	root    *os.Root
	files   map[string][]byte // by absolute path
	read    int               // the number of bytes that the build has read
	reads   int               // the number of reads; a file counts once for each read
	refused error             // the reason why this package ended the build; the library may hide it behind other errors
}

func openBelow(path string) (*files, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("opening the folder: %w", err)
	}
	return &files{path: path, root: root, files: map[string][]byte{}}, nil
}

func (f *files) close() { _ = f.root.Close() }

// refuse returns an error that ends the build, and stores it in refused. If refused has an earlier error, refuse
// returns that error.
func (f *files) refuse(format string, args ...any) error {
	if f.refused == nil {
		f.refused = fmt.Errorf(format, args...)
	}
	return f.refused
}

// relative returns the path relative to the root. It refuses a path outside of the root.
func (f *files) relative(path string) (string, error) {
	relative, err := filepath.Rel(f.path, path)
	if err != nil || !filepath.IsLocal(relative) {
		return "", f.refuse("it needs %s, which is outside of %s, and lint reads nothing there; build it with kubectl kustomize, and lint the result", path, f.path)
	}
	return relative, nil
}

// ReadFile implements filesys.FileSystem. It refuses a Kustomization that needs more than local files, such as Helm or
// the network. It also refuses a file outside of the root, and files over a limit.
func (f *files) ReadFile(path string) ([]byte, error) {
	relative, err := f.relative(path)
	if err != nil {
		return nil, err
	}
	f.reads++
	if f.reads > maxReads {
		return nil, f.refuse("it reads more than %d files; build it with kubectl kustomize, and lint the result", maxReads)
	}
	switch info, err := f.root.Stat(relative); {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular() && !info.IsDir(): // opening a pipe would wait until another process writes to it
		return nil, f.refuse("%s is not a regular file", relative)
	}
	opened, err := f.root.Open(relative)
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	data, err := io.ReadAll(io.LimitReader(opened, maxFile+1))
	if err != nil {
		return nil, err
	}
	f.read += len(data)
	switch {
	case len(data) > maxFile:
		return nil, f.refuse("%s is larger than the limit of %d MiB for a file", relative, maxFile>>20)
	case f.read > maxRead:
		return nil, f.refuse("it reads more than %d MiB", maxRead>>20)
	}
	f.files[path] = data
	if IsKustomization(path) {
		if problem := unbuildable(data); problem != "" {
			return nil, f.refuse("%s: %s", relative, problem)
		}
	}
	return data, nil
}

// CleanedAbs implements filesys.FileSystem. It refuses a path outside of the root.
func (f *files) CleanedAbs(path string) (filesys.ConfirmedDir, string, error) {
	target, err := realPath(path)
	if err != nil {
		return "", "", err
	}
	relative, err := f.relative(target)
	if err != nil {
		return "", "", err
	}
	info, err := f.root.Stat(relative)
	switch {
	case err != nil:
		return "", "", err
	case info.IsDir():
		return filesys.ConfirmedDir(target), "", nil
	}
	return filesys.ConfirmedDir(filepath.Dir(target)), filepath.Base(target), nil
}

func (f *files) stat(path string) (os.FileInfo, error) {
	relative, err := f.relative(path)
	if err != nil {
		return nil, err
	}
	return f.root.Stat(relative)
}

// IsDir implements filesys.FileSystem.
func (f *files) IsDir(path string) bool {
	info, err := f.stat(path)
	return err == nil && info.IsDir()
}

// Exists implements filesys.FileSystem.
func (f *files) Exists(path string) bool {
	_, err := f.stat(path)
	return err == nil
}

var errUnsupported = errors.New("a build only reads files")

// Create implements filesys.FileSystem. Create and all methods below fail.
func (*files) Create(string) (filesys.File, error) { return nil, errUnsupported }

// Mkdir implements filesys.FileSystem.
func (*files) Mkdir(string) error { return errUnsupported }

// MkdirAll implements filesys.FileSystem.
func (*files) MkdirAll(string) error { return errUnsupported }

// RemoveAll implements filesys.FileSystem.
func (*files) RemoveAll(string) error { return errUnsupported }

// Open implements filesys.FileSystem.
func (*files) Open(string) (filesys.File, error) { return nil, errUnsupported }

// ReadDir implements filesys.FileSystem.
func (*files) ReadDir(string) ([]string, error) { return nil, errUnsupported }

// Glob implements filesys.FileSystem.
func (*files) Glob(string) ([]string, error) { return nil, errUnsupported }

// WriteFile implements filesys.FileSystem.
func (*files) WriteFile(string, []byte) error { return errUnsupported }

// Walk implements filesys.FileSystem.
func (*files) Walk(string, filepath.WalkFunc) error { return errUnsupported }
