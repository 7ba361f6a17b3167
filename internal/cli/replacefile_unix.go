//go:build unix

package cli

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// keepOwner gives a new file the owner and the group of another file. It fails if the user may not do this.
func keepOwner(f *os.File, of fs.FileInfo) error {
	own, err := f.Stat()
	if err != nil {
		return err
	}
	was, ok := of.Sys().(*syscall.Stat_t)
	is, same := own.Sys().(*syscall.Stat_t)
	if !ok || !same || was.Uid == is.Uid && was.Gid == is.Gid {
		return nil
	}
	if err := f.Chown(int(was.Uid), int(was.Gid)); err != nil {
		return errors.New("the file belongs to another user or group, which a new file can't keep; write to standard output instead")
	}
	return nil
}
