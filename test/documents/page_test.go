// Package documents_test checks the Markdown of the repository. It runs the commands of the pages and compares their output, follows
// every relative link, compares generated text, and compares the code of the Japanese pages with that of the English pages.
// UPDATE_GOLDEN=1 writes outputs and generated text into the pages.
package documents_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/awsauth-guard/awsauth-guard/test/markdown"
)

// root is the folder of the repository.
const root = "../.."

// page is a Markdown file, split into lines.
type page struct {
	name  string // relative to root, with slashes
	lines []string
}

// readPage reads a page. name is relative to root.
func readPage(t *testing.T, name string) *page {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return &page{name: name, lines: strings.Split(string(text), "\n")}
}

// pages reads every Markdown file of the repository, except for test data.
func pages(t *testing.T) (list []*page) {
	t.Helper()
	for _, name := range files(t, func(name string) bool { return strings.HasSuffix(name, ".md") }) {
		list = append(list, readPage(t, name))
	}
	if len(list) < 50 {
		t.Fatalf("found only %d pages", len(list))
	}
	return list
}

// files returns the names of the files of the repository for which match returns true. It leaves out hidden folders,
// test data and build results.
func files(t *testing.T, match func(name string) bool) (list []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		if entry.IsDir() {
			if base := entry.Name(); name != "." && (strings.HasPrefix(base, ".") || slices.Contains([]string{"testdata", "bin", "dist"}, base)) {
				return filepath.SkipDir
			}
			return nil
		}
		if match(name) {
			list = append(list, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// blocks returns the fenced code blocks of a page.
func (p *page) blocks(t *testing.T) []markdown.Block {
	t.Helper()
	list, err := markdown.Blocks(p.lines)
	if err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
	return list
}

// write writes the lines to the page's file.
func (p *page) write(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(root, filepath.FromSlash(p.name)), []byte(strings.Join(p.lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
}

// updating reports whether the tests write the pages instead of comparing them.
func updating() bool { return os.Getenv("UPDATE_GOLDEN") != "" }

// exists reports whether there is a file or folder with this name, relative to root.
func exists(name string) bool {
	_, err := os.Stat(filepath.Join(root, filepath.FromSlash(name)))
	return !errors.Is(err, fs.ErrNotExist)
}
