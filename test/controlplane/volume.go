package controlplane

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// volume is a folder like the one that the kubelet mounts for a Secret or a ConfigMap. Each file is a symbolic link
// into ..data, which is itself a symbolic link to the folder with the current version (kubernetes v1.36,
// pkg/volume/util/atomic_writer.go).
type volume struct {
	dir     string
	version int
}

// write replaces all files at once, as the kubelet does.
func (v *volume) write(files map[string][]byte) error {
	v.version++
	present := fmt.Sprintf("..version-%d", v.version)
	if err := os.MkdirAll(filepath.Join(v.dir, present), 0o700); err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(v.dir, present, name), content, 0o600); err != nil {
			return err
		}
	}
	next := filepath.Join(v.dir, "..data_tmp")
	if err := os.Symlink(present, next); err != nil {
		return err
	}
	if err := os.Rename(next, filepath.Join(v.dir, "..data")); err != nil {
		return err
	}
	for name := range files {
		err := os.Symlink(filepath.Join("..data", name), filepath.Join(v.dir, name))
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return os.RemoveAll(filepath.Join(v.dir, fmt.Sprintf("..version-%d", v.version-1)))
}
