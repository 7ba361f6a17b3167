package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// Media types of the OCI image specification, v1.1.
const (
	typeIndex    = "application/vnd.oci.image.index.v1+json"
	typeManifest = "application/vnd.oci.image.manifest.v1+json"
	typeConfig   = "application/vnd.oci.image.config.v1+json"
	typeLayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
)

// user is the user and the group of the container. They have no name, and no rights on a host. The Dockerfile has the same user.
const user = "65532:65532"

// descriptor is the descriptor of a blob: its media type, digest and size.
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Platform    *platform         `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
}

type manifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Config        *descriptor  `json:"config,omitempty"`
	Layers        []descriptor `json:"layers,omitempty"`
	Manifests     []descriptor `json:"manifests,omitempty"`
}

type config struct {
	platform
	Config process `json:"config"`
	RootFS rootFS  `json:"rootfs"`
}

type process struct {
	User       string            `json:"User"`
	Entrypoint []string          `json:"Entrypoint"`
	Labels     map[string]string `json:"Labels,omitempty"`
}

type rootFS struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

// layout is an OCI image layout under construction.
type layout struct {
	blobs     map[string][]byte // by path in the archive, with a leading slash
	manifests []descriptor      // of the images that add added, one for each platform
}

func newLayout() *layout { return &layout{blobs: map[string][]byte{}} }

// add adds an image for a platform and returns its compressed size in bytes. The container runs the first file.
func (l *layout) add(system, arch string, files []file, labels map[string]string) (size int, err error) {
	unpacked, err := pack(files)
	if err != nil {
		return 0, err
	}
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return 0, fmt.Errorf("compressing the layer: %w", err)
	}
	if _, err := w.Write(unpacked); err != nil {
		return 0, fmt.Errorf("compressing the layer: %w", err)
	}
	if err := w.Close(); err != nil {
		return 0, fmt.Errorf("compressing the layer: %w", err)
	}
	on := platform{arch, system}
	configured, err := l.json(typeConfig, config{
		platform: on,
		Config:   process{User: user, Entrypoint: []string{files[0].path}, Labels: labels},
		RootFS:   rootFS{"layers", []string{digest(unpacked)}},
	})
	if err != nil {
		return 0, err
	}
	layer := l.blob(typeLayer, packed.Bytes())
	image, err := l.json(typeManifest, manifest{2, typeManifest, &configured, []descriptor{layer}, nil})
	if err != nil {
		return 0, err
	}
	image.Platform = &on
	l.manifests = append(l.manifests, image)
	return image.Size + configured.Size + layer.Size, nil
}

// archive returns the digest of the image for all platforms, and the layout as a tar archive.
func (l *layout) archive(tag string) (digest string, data []byte, err error) {
	image, err := l.json(typeIndex, manifest{2, typeIndex, nil, nil, l.manifests})
	if err != nil {
		return "", nil, err
	}
	image.Annotations = map[string]string{ // containerd reads the first, and other engines read the second
		"io.containerd.image.name":          tag,
		"org.opencontainers.image.ref.name": tag[strings.LastIndexByte(tag, ':')+1:],
	}
	index, err := json.Marshal(manifest{2, typeIndex, nil, nil, []descriptor{image}})
	if err != nil {
		return "", nil, fmt.Errorf("writing the index: %w", err)
	}
	files := []file{
		{"/oci-layout", 0o644, []byte(`{"imageLayoutVersion":"1.0.0"}`)},
		{"/index.json", 0o644, index},
	}
	for _, name := range slices.Sorted(maps.Keys(l.blobs)) {
		files = append(files, file{name, 0o644, l.blobs[name]})
	}
	data, err = pack(files)
	return image.Digest, data, err
}

// json adds a value as a blob in JSON, and returns the descriptor of the blob.
func (l *layout) json(mediaType string, v any) (descriptor, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return descriptor{}, fmt.Errorf("writing %s: %w", mediaType, err)
	}
	return l.blob(mediaType, data), nil
}

// blob adds a blob and returns its descriptor.
func (l *layout) blob(mediaType string, data []byte) descriptor {
	d := digest(data)
	l.blobs["/blobs/"+strings.Replace(d, ":", "/", 1)] = data
	return descriptor{MediaType: mediaType, Digest: d, Size: len(data)}
}

func digest(data []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(data)) }

// pack returns a tar archive with files and their folders. The archive does not depend on the time and the users of this
// machine.
func pack(files []file) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	made := map[string]bool{"/": true}
	var folder func(string) error
	folder = func(name string) error {
		if made[name] {
			return nil
		}
		made[name] = true
		if err := folder(path.Dir(name)); err != nil {
			return err
		}
		return w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name[1:] + "/", Mode: 0o755})
	}
	for _, f := range files {
		if err := folder(path.Dir(f.path)); err != nil {
			return nil, fmt.Errorf("packing %s: %w", f.path, err)
		}
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f.path[1:], Mode: f.mode, Size: int64(len(f.data))}); err != nil {
			return nil, fmt.Errorf("packing %s: %w", f.path, err)
		}
		if _, err := w.Write(f.data); err != nil {
			return nil, fmt.Errorf("packing %s: %w", f.path, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("packing: %w", err)
	}
	return b.Bytes(), nil
}
