package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx/v2/common"
	"github.com/spdx/tools-golang/spdx/v2/v2_3"
)

// TestRun writes the document of this test's own program. The document names the modules of the program, and its relationships are
// between packages that it has. A second run writes the same bytes.
func TestRun(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"-name", "guard", "-version", "v1.2.3", "-created", "2026-01-02T03:04:05Z", program}
	var first, second bytes.Buffer
	for _, out := range []*bytes.Buffer{&first, &second} {
		if err := run(args, out); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("two documents of one program differ")
	}
	var document v2_3.Document
	if err := json.ReadInto(&first, &document); err != nil {
		t.Fatal(err)
	}
	packages := map[common.ElementID]string{}
	for _, p := range document.Packages {
		packages[p.PackageSPDXIdentifier] = p.PackageName
	}
	var names []string
	for _, r := range document.Relationships {
		if r.RefA.ElementRefID != "DOCUMENT" && packages[r.RefA.ElementRefID] == "" || packages[r.RefB.ElementRefID] == "" {
			t.Errorf("a relationship names a package that the document does not have: %+v", r)
		}
		if r.Relationship == "DEPENDS_ON" {
			names = append(names, packages[r.RefB.ElementRefID])
		}
	}
	if !slices.Contains(names, "github.com/spdx/tools-golang") || !slices.Contains(names, "stdlib") {
		t.Errorf("the program depends on %s", strings.Join(names, ", "))
	}
	if err := run([]string{"-name", "guard"}, new(bytes.Buffer)); err == nil {
		t.Error("run accepts arguments without a version and a program")
	}
}

// With -cas, the document names the file with the certificate authorities, its digest and the number of certificates. It relates the
// file to the modules of the program that wrote it.
func TestAuthorities(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cas := filepath.Join(t.TempDir(), "ca-certificates.crt")
	text := strings.Repeat("-----BEGIN CERTIFICATE-----\n", 2)
	if err := os.WriteFile(cas, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"-name", "guard", "-version", "v1.2.3", "-created", "2026-01-02T03:04:05Z", "-cas", cas, "-cas-by", program, program}
	var out bytes.Buffer
	if err := run(args, &out); err != nil {
		t.Fatal(err)
	}
	var document v2_3.Document
	if err := json.ReadInto(&out, &document); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(document.Packages, func(p *v2_3.Package) bool { return p.PackageName == "ca-certificates.crt" })
	if i < 0 {
		t.Fatal("the document does not name the file")
	}
	p := document.Packages[i]
	if digest := fmt.Sprintf("%x", sha256.Sum256([]byte(text))); p.PackageChecksums[0].Value != digest || p.PackageComment != "2 certificates" {
		t.Errorf("the file has the comment %q and the digest %s, want %s", p.PackageComment, p.PackageChecksums[0].Value, digest)
	}
	if !slices.ContainsFunc(document.Relationships, func(r *v2_3.Relationship) bool {
		return r.Relationship == "GENERATED_FROM" && r.RefA.ElementRefID == p.PackageSPDXIdentifier
	}) {
		t.Error("the document does not relate the file to a module")
	}
	args[7] = cas + ".none"
	if err := run(args, new(bytes.Buffer)); err == nil {
		t.Error("run accepts a file that does not exist")
	}
}
