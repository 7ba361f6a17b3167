package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// errFileChanged means that a file no longer has the content from which an edit was made.
var errFileChanged = errors.New("another program changed the file in the meantime, and nothing was written; run the command again")

// replaceFile replaces a file whose content is old by one with the new content, in one step. The file keeps its permissions and, on Unix,
// its owner. If name is a symbolic link, replaceFile keeps the link, and replaces the file that the link leads to. It fails if the file has
// another content than old, if it is not a regular file, if checkWritable refuses it, or if the user can't make a file in its folder.
func replaceFile(name string, old, content []byte) (err error) {
	target, err := filepath.EvalSymlinks(name)
	if err != nil {
		return err
	}
	info, err := os.Stat(target)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("it is not a regular file; write to standard output instead")
	}
	if err := checkWritable(target, info.Mode()); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(target), "."+filepath.Base(target)+".*")
	if cause := (*fs.PathError)(nil); errors.As(err, &cause) {
		return fmt.Errorf("no new file can be made in the folder %s: %w", filepath.Dir(target), cause.Err)
	}
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = bytes.NewReader(content).WriteTo(f)
	if err := errors.Join(err, keepOwner(f, info), f.Chmod(info.Mode().Perm()), f.Sync(), f.Close()); err != nil {
		return err
	}
	current, err := os.ReadFile(target)
	if err != nil {
		return err
	}
	if !bytes.Equal(current, old) {
		return errFileChanged
	}
	return os.Rename(f.Name(), target)
}

// checkWritable returns an error if the user may not write a file, or if the file is read-only for every user. Root can write a read-only
// file, too, but the owner has protected it.
func checkWritable(name string, mode fs.FileMode) error {
	const anyWrite = 0o222
	if mode.Perm()&anyWrite == 0 {
		return errors.New("the file is read-only, and nothing was written; make it writable first")
	}
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("you may not write the file, and nothing was written: %w", err)
	}
	return f.Close()
}
