// Command image packs files into a container image without a base image. It doesn't need Docker.
//
//	image -tag NAME:TAG -output FILE.tar [-platforms linux/amd64,linux/arm64] [-label KEY=VALUE]... FILE[=/PATH]...
//
// The container runs the first file. {arch} in a file's name stands for the architecture of the platform. The output
// is an OCI layout in a tar archive. containerd, skopeo, crane and Docker 25 can read it. The same files give the
// same bytes.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path"
	"runtime"
	"strings"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "image: %s\n", err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

// labels are the values of the flag -label.
type labels map[string]string

func (l labels) String() string { return "" }

func (l labels) Set(text string) error {
	key, value, ok := strings.Cut(text, "=")
	if !ok {
		return fmt.Errorf("%q is not KEY=VALUE", text)
	}
	l[key] = value
	return nil
}

func run(args []string, stdout io.Writer) error {
	fs := flag.NewFlagSet("image", flag.ContinueOnError)
	tag := fs.String("tag", "", "`name` and tag of the image")
	output := fs.String("output", "image.tar", "`file` to write")
	platforms := fs.String("platforms", "linux/"+runtime.GOARCH, "`platforms`, separated by commas")
	given := labels{}
	fs.Var(given, "label", "a label `KEY=VALUE` of the image; may be given more than once")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *tag == "" || fs.NArg() == 0 {
		return fmt.Errorf("give -tag NAME:TAG and at least one file")
	}
	l := newLayout()
	for platform := range strings.SplitSeq(*platforms, ",") {
		system, arch, ok := strings.Cut(platform, "/")
		if !ok {
			return fmt.Errorf("-platforms: %q is not SYSTEM/ARCHITECTURE", platform)
		}
		files, err := read(fs.Args(), arch)
		if err != nil {
			return err
		}
		size, err := l.add(system, arch, files, given)
		if err != nil {
			return err
		}
		fmt.Fprintf(stdout, "%s: %.1f MB compressed\n", platform, float64(size)/1e6)
	}
	digest, archive, err := l.archive(*tag)
	if err != nil {
		return err
	}
	if err := os.WriteFile(*output, archive, 0o644); err != nil { //nolint:gosec // the image is public
		return fmt.Errorf("writing the image: %w", err)
	}
	fmt.Fprintf(stdout, "%s@%s\n", *tag, digest)
	return nil
}

// file is a file in the image.
type file struct {
	path string
	mode int64
	data []byte
}

// read reads the files of the command line for one architecture. A file that its owner may execute gets the mode 0755 in the image, and any
// other file the mode 0644.
func read(args []string, arch string) ([]file, error) {
	var files []file
	for _, arg := range args {
		name, to, ok := strings.Cut(strings.ReplaceAll(arg, "{arch}", arch), "=")
		if !ok {
			to = "/" + path.Base(name)
		}
		info, err := os.Stat(name)
		if err != nil {
			return nil, fmt.Errorf("reading a file of the image: %w", err)
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("reading a file of the image: %w", err)
		}
		mode := int64(0o644)
		if info.Mode()&0o100 != 0 {
			mode = 0o755
		}
		files = append(files, file{path.Clean(to), mode, data})
	}
	return files, nil
}
