package main

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/deb"
	"github.com/goreleaser/nfpm/v2/files"
	_ "github.com/goreleaser/nfpm/v2/rpm"
)

// maxUnpacked is the limit on the size of an unpacked archive, in bytes. kubectl-awsauth has about 80 MiB.
const maxUnpacked = 512 << 20

// packageLinux makes a deb and an rpm of the files in an archive, and writes them into a folder.
func packageLinux(r release, a archive, folder string) error {
	tmp, err := os.MkdirTemp("", "packages")
	if err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	names, err := unpack(a.file, tmp)
	if err != nil {
		return fmt.Errorf("unpacking %s: %w", a.file, err)
	}
	var contents files.Contents
	for _, name := range names {
		source := filepath.Join(tmp, filepath.FromSlash(name))
		mode := os.FileMode(0o644)
		if strings.HasPrefix(destination(name), "/usr/bin/") {
			mode = 0o755
		}
		if strings.HasPrefix(name, "man/") {
			if source, err = compress(source); err != nil {
				return err
			}
		}
		contents = append(contents, &files.Content{
			Source: source, Destination: destination(name),
			FileInfo: &files.ContentFileInfo{Owner: "root", Group: "root", Mode: mode, MTime: r.time},
		})
	}
	for _, format := range []string{"deb", "rpm"} {
		if err := writePackage(r, a, contents, format, folder); err != nil {
			return fmt.Errorf("packaging %s as %s: %w", a.file, format, err)
		}
	}
	return nil
}

// destination returns the path at which a package installs a file of an archive.
func destination(name string) string {
	switch dir, base := path.Split(name); {
	case base == program || base == completer:
		return "/usr/bin/" + base
	case dir == "man/":
		return "/usr/share/man/man1/" + base + ".gz"
	case strings.HasSuffix(base, ".bash"):
		return "/usr/share/bash-completion/completions/" + program
	case strings.HasSuffix(base, ".fish"):
		return "/usr/share/fish/vendor_completions.d/" + base
	case base == "_"+program:
		return "/usr/share/zsh/site-functions/" + base
	default:
		return "/usr/share/doc/" + program + "/" + base
	}
}

// unpack writes the files of an archive into a folder, and returns their names. It fails if the archive has another kind of file, or a
// file outside of the folder.
func unpack(file, folder string) (names []string, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	t := tar.NewReader(io.LimitReader(z, maxUnpacked))
	for {
		header, err := t.Next()
		if errors.Is(err, io.EOF) {
			return names, nil
		}
		if err != nil {
			return nil, err
		}
		if header.Typeflag == tar.TypeDir {
			continue
		}
		if header.Typeflag != tar.TypeReg || !filepath.IsLocal(header.Name) {
			return nil, fmt.Errorf("%q is not a regular file inside of the archive", header.Name)
		}
		target := filepath.Join(folder, filepath.FromSlash(header.Name))
		if err := os.MkdirAll(filepath.Dir(target), 0o750); err != nil {
			return nil, err
		}
		data, err := io.ReadAll(t)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(target, data, 0o600); err != nil {
			return nil, err
		}
		names = append(names, header.Name)
	}
}

// compress writes a compressed copy of a file, and returns the path of the copy. The copy has no name and time in its gzip
// header, so that equal files give equal copies.
func compress(file string) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("reading a man page: %w", err)
	}
	out, err := os.Create(file + ".gz")
	if err != nil {
		return "", fmt.Errorf("compressing a man page: %w", err)
	}
	z, err := gzip.NewWriterLevel(out, gzip.BestCompression)
	if err != nil {
		return "", fmt.Errorf("compressing a man page: %w", err)
	}
	_, err1 := z.Write(data)
	if err := errors.Join(err1, z.Close(), out.Close()); err != nil {
		return "", fmt.Errorf("compressing a man page: %w", err)
	}
	return out.Name(), nil
}

// writePackage writes one package under the name that is usual for its format.
func writePackage(r release, a archive, contents files.Contents, format, folder string) (err error) {
	info := nfpm.WithDefaults(&nfpm.Info{
		Name: program, Arch: a.Arch, Platform: "linux", Version: r.version(), Section: "admin", Priority: "optional",
		Maintainer: "The awsauth-guard maintainers <" + repository + ">", Vendor: "awsauth-guard",
		Description: summary + "\n" + description, Homepage: repository, License: "Apache-2.0", MTime: r.time,
	})
	info.Contents = contents
	info.Recommends = []string{"kubectl"}
	info.RPM.Summary = summary
	info.RPM.BuildHost = "localhost" // not the name of this machine, so that each machine makes the same bytes
	if err := nfpm.PrepareForPackager(info, format); err != nil {
		return err
	}
	packager, err := nfpm.Get(format)
	if err != nil {
		return err
	}
	out, err := os.Create(filepath.Join(folder, packager.ConventionalFileName(info)))
	if err != nil {
		return err
	}
	return errors.Join(packager.Package(info, out), out.Close())
}
