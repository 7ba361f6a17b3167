package main

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx/v2/common"
	"github.com/spdx/tools-golang/spdx/v2/v2_3"
)

// TestRun writes the document of this test's own program. The document names the program's modules and is valid SPDX. A
// second run writes the same bytes.
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
			t.Errorf("a relationship with nothing: %+v", r)
		}
		if r.Relationship == "DEPENDS_ON" {
			names = append(names, packages[r.RefB.ElementRefID])
		}
	}
	if !slices.Contains(names, "github.com/spdx/tools-golang") || !slices.Contains(names, "stdlib") {
		t.Errorf("the program depends on %s", strings.Join(names, ", "))
	}
	if err := run([]string{"-name", "guard"}, new(bytes.Buffer)); err == nil {
		t.Error("without a version and a program it should fail")
	}
}
