package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestFollow: a link to a page, a heading or a file of the site is right, and so is an https link to another server. Every other link
// is a problem.
func TestFollow(t *testing.T) {
	site := t.TempDir()
	for _, name := range []string{"latest/index.html", "latest/style.css", "index.html"} {
		file := filepath.Join(site, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pages, err := pagesOf(os.DirFS(site))
	if err != nil || !slices.Equal(pages, []string{"latest/"}) {
		t.Fatalf("pages %q: %v", pages, err)
	}
	const address = "http://127.0.0.1:1/awsauth-guard/"
	loaded := map[string]*page{address + "latest/": {IDs: []string{"try-it"}}}
	for link, want := range map[string]string{
		address + "latest/":                   "",
		address + "latest/#try-it":            "",
		address + "latest/style.css":          "",
		"https://github.com/awsauth-guard":    "",
		address + "latest/#other":             "no heading",
		address + "latest/other/":             "no such page",
		address + "latest/other.css":          "no such file",
		address + "latest":                    "lacks the slash",
		"http://127.0.0.1:1/elsewhere/":       "leaves the site",
		"http://example.com/":                 "leaves the site",
		"file:///other":                       "leaves the site",
		address + "../awsauth-guard-2/x.html": "no such file",
	} {
		problem := follow(site, address, link, loaded)
		if (want == "") != (problem == "") || !strings.Contains(problem, want) {
			t.Errorf("%s: %q, want %q", link, problem, want)
		}
	}
}
