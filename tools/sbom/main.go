// Command sbom writes an SPDX 2.3 document for an image with Go programs. It reads the build information in the programs, and lists
// the modules that are compiled into them. With -cas, it also lists a file with certificate authorities.
//
//	sbom -name NAME -version VERSION -created 2006-01-02T15:04:05Z [-cas FILE -cas-by PROGRAM] PROGRAM... >sbom.spdx.json
package main

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx/v2/common"
	"github.com/spdx/tools-golang/spdx/v2/v2_3"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "sbom: %s\n", err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

func run(args []string, stdout io.Writer) error {
	fs := flag.NewFlagSet("sbom", flag.ContinueOnError)
	name := fs.String("name", "", "`name` of what is described")
	version := fs.String("version", "", "its `version`")
	created := fs.String("created", "", "`time` of creation, RFC 3339 in UTC; that of the commit gives the same bytes twice")
	cas := fs.String("cas", "", "`file` with the certificate authorities of the image")
	casBy := fs.String("cas-by", "", "`program` that wrote this file; its modules have the certificates")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *name == "" || *version == "" || *created == "" || fs.NArg() == 0 {
		return fmt.Errorf("write -name, -version, -created and the programs")
	}
	b := builder{packages: map[common.ElementID]*v2_3.Package{}}
	root := b.add(&v2_3.Package{PackageName: *name, PackageVersion: *version, PrimaryPackagePurpose: "CONTAINER", PackageLicenseDeclared: "Apache-2.0"})
	sum := sha256.New()
	for _, program := range fs.Args() {
		digest, err := b.program(root, program, *version)
		if err != nil {
			return err
		}
		sum.Write(digest)
	}
	if *cas != "" {
		digest, err := b.authorities(root, *cas, *casBy)
		if err != nil {
			return err
		}
		sum.Write(digest)
	}
	return json.Write(b.document(root, *name+"-"+*version, *created, sum.Sum(nil)), stdout, json.Indent("  "))
}

// builder collects the packages of a document and their relationships. It keeps one package for each id.
type builder struct {
	packages      map[common.ElementID]*v2_3.Package
	relationships []*v2_3.Relationship
}

// document returns the document, in which DOCUMENT describes root. sum makes its namespace unique.
func (b *builder) document(root common.ElementID, name, created string, sum []byte) *v2_3.Document {
	d := &v2_3.Document{
		SPDXVersion: v2_3.Version, DataLicense: v2_3.DataLicense, SPDXIdentifier: "DOCUMENT", DocumentName: name,
		DocumentNamespace: fmt.Sprintf("https://github.com/awsauth-guard/awsauth-guard/spdx/%s-%x", name, sum),
		CreationInfo: &v2_3.CreationInfo{
			Creators: []common.Creator{{CreatorType: "Organization", Creator: "awsauth-guard"}, {CreatorType: "Tool", Creator: "tools/sbom"}},
			Created:  created,
		},
		Relationships: append([]*v2_3.Relationship{relationship("DOCUMENT", "DESCRIBES", root)}, b.relationships...),
	}
	for _, id := range slices.Sorted(maps.Keys(b.packages)) {
		d.Packages = append(d.Packages, b.packages[id])
	}
	return d
}

// program adds a program and its modules, and returns the SHA-256 digest of the program.
func (b *builder) program(root common.ElementID, file, version string) ([]byte, error) {
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the modules of %s: %w", file, err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading a program: %w", err)
	}
	digest := sha256.Sum256(data)
	setting := map[string]string{}
	for _, s := range info.Settings {
		setting[s.Key] = s.Value
	}
	program := b.add(&v2_3.Package{
		PackageName: path.Base(file) + "-" + setting["GOOS"] + "-" + setting["GOARCH"], PackageFileName: path.Base(file), PackageVersion: version, PrimaryPackagePurpose: "APPLICATION",
		PackageLicenseDeclared: "Apache-2.0",
		PackageChecksums:       []common.Checksum{{Algorithm: common.SHA256, Value: hex.EncodeToString(digest[:])}},
	})
	b.relate(root, "CONTAINS", program)
	b.relate(program, "DEPENDS_ON", b.add(&v2_3.Package{
		PackageName: "stdlib", PackageVersion: strings.TrimPrefix(info.GoVersion, "go"), PrimaryPackagePurpose: "LIBRARY",
		PackageLicenseDeclared: "BSD-3-Clause", PackageExternalReferences: purl("stdlib", strings.TrimPrefix(info.GoVersion, "go")),
	}))
	for _, module := range info.Deps {
		b.relate(program, "DEPENDS_ON", b.module(module))
	}
	return digest[:], nil
}

// module adds a module and returns its id.
func (b *builder) module(module *debug.Module) common.ElementID {
	if module.Replace != nil {
		module = module.Replace
	}
	p := &v2_3.Package{
		PackageName: module.Path, PackageVersion: module.Version, PrimaryPackagePurpose: "LIBRARY",
		PackageExternalReferences: purl(module.Path, module.Version),
	}
	if module.Sum != "" { // not a checksum of SPDX, because go.sum has a hash over the hashes of several files
		p.PackageComment = "go.sum " + module.Sum
	}
	return b.add(p)
}

// authorities adds the file with the certificate authorities, and the modules of the program that wrote this file. It
// returns the SHA-256 digest of the file.
func (b *builder) authorities(root common.ElementID, file, program string) ([]byte, error) {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return nil, fmt.Errorf("reading the modules of %s: %w", program, err)
	}
	if len(info.Deps) == 0 {
		return nil, fmt.Errorf("%s has no module that could hold certificates", program)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate authorities: %w", err)
	}
	digest := sha256.Sum256(data)
	p := b.add(&v2_3.Package{
		PackageName: path.Base(file), PackageFileName: "etc/ssl/certs/" + path.Base(file), PackageVersion: info.Deps[0].Version, PrimaryPackagePurpose: "FILE",
		PackageChecksums: []common.Checksum{{Algorithm: common.SHA256, Value: hex.EncodeToString(digest[:])}},
		PackageComment:   fmt.Sprintf("%d certificates", bytes.Count(data, []byte("-----BEGIN CERTIFICATE-----"))),
	})
	b.relate(root, "CONTAINS", p)
	for _, module := range info.Deps {
		b.relate(p, "GENERATED_FROM", b.module(module))
	}
	return digest[:], nil
}

// add adds a package if the builder doesn't have its id yet. It returns the id.
func (b *builder) add(p *v2_3.Package) common.ElementID {
	p.PackageDownloadLocation, p.PackageLicenseConcluded, p.PackageCopyrightText = "NOASSERTION", "NOASSERTION", "NOASSERTION"
	p.IsFilesAnalyzedTagPresent = true
	if p.PackageLicenseDeclared == "" {
		p.PackageLicenseDeclared = "NOASSERTION"
	}
	id := strings.Map(func(r rune) rune { // an id may have letters, digits, dots and hyphens
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' {
			return r
		}
		return '-'
	}, p.PackageName+"-"+p.PackageVersion)
	p.PackageSPDXIdentifier = common.ElementID("Package-" + id)
	if _, ok := b.packages[p.PackageSPDXIdentifier]; !ok {
		b.packages[p.PackageSPDXIdentifier] = p
	}
	return p.PackageSPDXIdentifier
}

func (b *builder) relate(from common.ElementID, how string, to common.ElementID) {
	b.relationships = append(b.relationships, relationship(from, how, to))
}

func relationship(from common.ElementID, how string, to common.ElementID) *v2_3.Relationship {
	return &v2_3.Relationship{RefA: common.DocElementID{ElementRefID: from}, Relationship: how, RefB: common.DocElementID{ElementRefID: to}}
}

// purl returns the package URL of a module.
func purl(module, version string) []*v2_3.PackageExternalReference {
	return []*v2_3.PackageExternalReference{{Category: "PACKAGE-MANAGER", RefType: "purl", Locator: "pkg:golang/" + module + "@" + version}}
}
