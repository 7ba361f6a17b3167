package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// given writes the files of an image for two platforms into a folder, and returns the folder.
func given(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	for name, mode := range map[string]os.FileMode{"amd64/guard": 0o755, "arm64/guard": 0o755, "LICENSE": 0o644} {
		file := filepath.Join(folder, name)
		err1 := os.MkdirAll(filepath.Dir(file), 0o755)
		err2 := os.WriteFile(file, []byte("this is "+name), 0o600)
		err3 := os.Chmod(file, mode)
		if err := errors.Join(err1, err2, err3); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// packed returns the archive that the command makes of the files in the folder of given.
func packed(t *testing.T, folder string) []byte {
	t.Helper()
	output := filepath.Join(t.TempDir(), "image.tar")
	if err := run([]string{
		"-tag", "registry.example:5000/guard:v1", "-output", output, "-platforms", "linux/amd64,linux/arm64", "-label", "b=2", "-label", "a=1=1",
		folder + "/{arch}/guard", folder + "/LICENSE=/doc/of/guard/LICENSE",
	}, io.Discard); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(output)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestSameFilesGiveSameBytes packs the same files twice, in different folders and with different times. The archives are
// equal. After a change of a file, the archive differs.
func TestSameFilesGiveSameBytes(t *testing.T) {
	t.Parallel()
	folder := given(t)
	first := packed(t, given(t))
	past := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	if err := os.Chtimes(filepath.Join(folder, "LICENSE"), past, past); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, packed(t, folder)) {
		t.Error("the same files give different archives")
	}
	if err := os.WriteFile(filepath.Join(folder, "LICENSE"), []byte("another"), 0o600); err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(first, packed(t, folder)) {
		t.Error("a changed file gives the same archive")
	}
}

// TestLayout reads the archive as a container engine does. It checks the digests, the configuration, the files and their modes
// for each platform, and that the image uses every blob.
func TestLayout(t *testing.T) {
	t.Parallel()
	blobs, _ := untar(t, packed(t, given(t)))
	if got := string(blobs["oci-layout"]); got != `{"imageLayoutVersion":"1.0.0"}` {
		t.Errorf("oci-layout is %s", got)
	}
	top := decoded[manifest](t, blobs["index.json"])
	delete(blobs, "oci-layout")
	delete(blobs, "index.json")
	take := func(d descriptor) []byte {
		t.Helper()
		name := "blobs/" + strings.Replace(d.Digest, ":", "/", 1)
		data := blobs[name]
		if digest(data) != d.Digest || len(data) != d.Size {
			t.Fatalf("%s has %d bytes with the digest %s, want %d", name, len(data), digest(data), d.Size)
		}
		delete(blobs, name)
		return data
	}
	if want := map[string]string{"io.containerd.image.name": "registry.example:5000/guard:v1", "org.opencontainers.image.ref.name": "v1"}; len(top.Manifests) != 1 || !maps.Equal(top.Manifests[0].Annotations, want) {
		t.Fatalf("index.json: %+v", top)
	}
	var platforms []platform
	for _, d := range decoded[manifest](t, take(top.Manifests[0])).Manifests {
		platforms = append(platforms, *d.Platform)
		image := decoded[manifest](t, take(d))
		got := decoded[config](t, take(*image.Config))
		layer, err := gzip.NewReader(bytes.NewReader(take(image.Layers[0])))
		if err != nil {
			t.Fatal(err)
		}
		unpacked, err := io.ReadAll(layer)
		if err != nil {
			t.Fatal(err)
		}
		want := config{
			platform: *d.Platform,
			Config:   process{User: user, Entrypoint: []string{"/guard"}, Labels: map[string]string{"a": "1=1", "b": "2"}},
			RootFS:   rootFS{"layers", []string{digest(unpacked)}},
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(config{})); diff != "" {
			t.Errorf("config (-want +got):\n%s", diff)
		}
		files, modes := untar(t, unpacked)
		if string(files["guard"]) != "this is "+d.Platform.Architecture+"/guard" || string(files["doc/of/guard/LICENSE"]) != "this is LICENSE" {
			t.Errorf("files %q", files)
		}
		if diff := cmp.Diff(map[string]int64{"guard": 0o755, "doc/": 0o755, "doc/of/": 0o755, "doc/of/guard/": 0o755, "doc/of/guard/LICENSE": 0o644}, modes); diff != "" {
			t.Errorf("modes (-want +got):\n%s", diff)
		}
	}
	if diff := cmp.Diff([]platform{{"amd64", "linux"}, {"arm64", "linux"}}, platforms); diff != "" {
		t.Errorf("platforms (-want +got):\n%s", diff)
	}
	for name := range blobs {
		t.Errorf("the image does not use the file %s of the archive", name)
	}
}

// TestArguments checks that the command fails if its arguments are wrong.
func TestArguments(t *testing.T) {
	t.Parallel()
	file := filepath.Join(given(t), "LICENSE")
	for name, args := range map[string][]string{
		"no tag":      {file},
		"no file":     {"-tag", "x:1"},
		"no such":     {"-tag", "x:1", file + ".no"},
		"no platform": {"-tag", "x:1", "-platforms", "linux", file},
		"no value":    {"-tag", "x:1", "-label", "x", file},
	} {
		if err := run(append([]string{"-output", filepath.Join(t.TempDir(), "image.tar")}, args...), io.Discard); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestDockerfile: the Makefile and the Dockerfile make the same image, with the same labels, user, entry point, build
// flags and files.
func TestDockerfile(t *testing.T) {
	t.Parallel()
	dockerfile, makefile := text(t, "Dockerfile"), text(t, "Makefile")
	labels := func(text, pattern string) map[string]string {
		found := make(map[string]string)
		for _, match := range all(t, text, pattern) {
			found[match[1]] = braced.Replace(match[2])
		}
		return found
	}
	if diff := cmp.Diff(labels(dockerfile, `(?m)^(?:LABEL)? +(org\.[a-z.]+)="([^"]*)"`), labels(makefile, `(?m)^\t-label "(org\.[a-z.]+)=([^"]*)"`)); diff != "" {
		t.Errorf("labels (-Dockerfile +Makefile):\n%s", diff)
	}
	for _, line := range []string{"USER " + user, `ENTRYPOINT ["/awsauth-guard-webhook"]`, "COPY --from=build /out/ /"} {
		if !strings.Contains(dockerfile, "\n"+line+"\n") {
			t.Errorf("the Dockerfile lacks the line %s", line)
		}
	}
	if !regexp.MustCompile(`\$\(LABELS\) \\\n\s+dist/image/\{arch\}/awsauth-guard-webhook `).MatchString(makefile) {
		t.Error("the Makefile packs the image without the labels, or with another first file than awsauth-guard-webhook")
	}
	if diff := cmp.Diff(ofDockerfile(t, dockerfile), ofMakefile(t, makefile)); diff != "" {
		t.Errorf("build flags, programs and files (-Dockerfile +Makefile):\n%s", diff)
	}
}

// contents describes how an image is built, and its files.
type contents struct {
	Flags    []string          // the flags of go build
	Programs map[string]string // by name of the program: the folder in cmd with its source
	Files    map[string]string // by path in the image: the source of the file; empty for a program
}

// ofDockerfile returns the contents of the image that the Dockerfile makes.
func ofDockerfile(t *testing.T, dockerfile string) contents {
	t.Helper()
	c := contents{Programs: make(map[string]string), Files: make(map[string]string)}
	ldflags := all(t, dockerfile, `(?m)ldflags="(.*)" &&`)[0][1]
	cgo := all(t, dockerfile, `(?m)^ENV (CGO_ENABLED=\d) `)[0][1]
	for _, build := range all(t, dockerfile, `go build (.*) -o /out/(\S+) \./cmd/(\S+)`) {
		c.Flags = append(c.Flags, cgo+" "+strings.Replace(build[1], `"$ldflags"`, ldflags, 1))
		c.Programs[build[2]] = build[3]
		c.Files["/"+build[2]] = ""
	}
	for _, copied := range all(t, dockerfile, `cp (\S+) /out(\S*/) `) {
		c.Files[copied[2]+path.Base(copied[1])] = copied[1]
	}
	for _, written := range all(t, dockerfile, `go run -C (\S+) \. >/out(\S+) `) {
		c.Files[written[2]] = written[1]
	}
	return c
}

// ofMakefile returns the contents of the image that the target image-archive of the Makefile makes.
func ofMakefile(t *testing.T, makefile string) contents {
	t.Helper()
	c := contents{Programs: make(map[string]string), Files: make(map[string]string)}
	module := all(t, makefile, `(?m)^PACKAGE := (.*)$`)[0][1]
	ldflags := braced.Replace(strings.ReplaceAll(all(t, makefile, `(?m)^LDFLAGS := (.*)$`)[0][1], "$(PACKAGE)", module))
	build := all(t, makefile, `(?m)^BUILD := (CGO_ENABLED=\d) go build (.*)$`)[0]
	flags := build[1] + " " + strings.Replace(build[2], "'$(LDFLAGS)'", ldflags, 1)
	recipe := all(t, makefile, `(?ms)^image-archive: .*?\n((?:\t.*?\n)+)`)[0][1]
	all(t, recipe, `\$\(BUILD\) \\\n\s+-o dist/image/\$\$\{platform#\*/\}/\$\$\{command#\*:\} \./cmd/\$\$\{command%:\*\};`)
	for program := range strings.FieldsSeq(all(t, recipe, `for command in (.*); do`)[0][1]) {
		command, name, _ := strings.Cut(program, ":")
		c.Flags = append(c.Flags, flags)
		c.Programs[name] = command
	}
	written := map[string]string{}
	for _, match := range all(t, recipe, `go run -C (\S+) \. >(\S+)\n`) {
		written[match[2]] = match[1]
	}
	for file := range strings.FieldsSeq(all(t, recipe, `(?s)\$\(LABELS\) \\\n(.*)`)[0][1]) {
		from, to, given := strings.Cut(file, "=")
		switch name, built := strings.CutPrefix(from, "dist/image/{arch}/"); {
		case file == `\`:
		case built:
			c.Files["/"+name] = ""
		case given:
			if tool, ok := written[from]; ok {
				from = tool
			}
			c.Files[to] = from
		default:
			c.Files["/"+path.Base(from)] = from
		}
	}
	return c
}

// braced replaces the variables of make by variables of the shell.
var braced = strings.NewReplacer("$(", "${", ")", "}")

// text returns a file of the repository.
func text(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile("../../../" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// all returns the matches of a pattern with their groups. It fails the test if there is no match.
func all(t *testing.T, text, pattern string) [][]string {
	t.Helper()
	found := regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1)
	if len(found) == 0 {
		t.Fatalf("nothing matches %s", pattern)
	}
	return found
}

// decoded decodes JSON. It fails the test if the JSON has a field that T lacks.
func decoded[T any](t *testing.T, data []byte) T {
	t.Helper()
	var v T
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, data)
	}
	return v
}

// untar returns the files of an archive, and the modes of files and folders. It reports an error if a file or folder has
// a time other than the Unix epoch, or an owner other than root.
func untar(t *testing.T, data []byte) (files map[string][]byte, modes map[string]int64) {
	t.Helper()
	files, modes = make(map[string][]byte), make(map[string]int64)
	r := tar.NewReader(bytes.NewReader(data))
	for {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files, modes
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Uid != 0 || header.Gid != 0 || header.ModTime.Unix() != 0 {
			t.Errorf("%s: user %d, group %d, %s", header.Name, header.Uid, header.Gid, header.ModTime)
		}
		modes[header.Name] = header.Mode
		if header.Typeflag == tar.TypeDir {
			continue
		}
		if files[header.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}
