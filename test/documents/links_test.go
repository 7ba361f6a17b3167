package documents_test

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

var (
	link       = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	heading    = regexp.MustCompile(`^#{1,6} +(.*?) *#*$`)
	inlineCode = regexp.MustCompile("`[^`]*`")
	// published matches the address of a file of the repository on GitHub.
	published = regexp.MustCompile(`https://github\.com/awsauth-guard/awsauth-guard/blob/main/([^\s"'` + "`" + `)>#,]+)(#[a-z0-9-]+)?`)
	// mentioned matches the path of a page in code, such as docs/tutorial.md.
	mentioned = regexp.MustCompile(`(?:^|[^a-z0-9/-])(?:\.\./)*(docs/[a-z0-9/-]+\.(?:md|json))\b`)
)

// anchor returns the fragment that GitHub gives a heading.
func anchor(title string) string {
	title = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`).ReplaceAllString(title, "$1")
	var b strings.Builder
	for _, r := range strings.ToLower(title) {
		switch {
		case r == ' ':
			b.WriteByte('-')
		case r == '-', r == '_', unicode.IsLetter(r), unicode.IsDigit(r):
			b.WriteRune(r)
		}
	}
	return b.String()
}

// anchors returns the fragments of a page's headings. If several headings have the same words, the fragment of the second ends with
// -1, that of the third with -2.
func anchors(p *page) (list []string) {
	inCode := false
	for _, line := range p.lines {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			inCode = !inCode
		}
		match := heading.FindStringSubmatch(line)
		if inCode || match == nil {
			continue
		}
		a := anchor(match[1])
		name := a
		for n := 1; slices.Contains(list, name); n++ {
			name = fmt.Sprintf("%s-%d", a, n)
		}
		list = append(list, name)
	}
	return list
}

// resolve returns the reason why a link in a file leads to no file or heading, or "" if the link is right.
func resolve(t *testing.T, from, target string) string {
	t.Helper()
	file, fragment, _ := strings.Cut(target, "#")
	to := from
	if file != "" {
		to = path.Join(path.Dir(from), file)
	}
	if !exists(to) {
		return "there is no " + to
	}
	if fragment != "" && strings.HasSuffix(to, ".md") && !slices.Contains(anchors(readPage(t, to)), fragment) {
		return fmt.Sprintf("%s has no heading #%s", to, fragment)
	}
	return ""
}

// TestLinks: every relative link of every page leads to a file and, if it has a fragment, to a heading.
func TestLinks(t *testing.T) {
	t.Parallel()
	for _, p := range pages(t) {
		inCode := false
		for i, line := range p.lines {
			if strings.HasPrefix(strings.TrimSpace(line), "```") {
				inCode = !inCode
			}
			if inCode {
				continue
			}
			for _, match := range link.FindAllStringSubmatch(inlineCode.ReplaceAllString(line, "x"), -1) {
				if strings.Contains(match[1], "://") || strings.HasPrefix(match[1], "mailto:") {
					continue
				}
				if problem := resolve(t, p.name, match[1]); problem != "" {
					t.Errorf("%s:%d: the link %s: %s", p.name, i+1, match[1], problem)
				}
			}
		}
	}
}

// TestLinksInCode: the pages exist that the code, the chart and the workflows name by their address on GitHub or by their path.
func TestLinksInCode(t *testing.T) {
	t.Parallel()
	names := files(t, func(name string) bool {
		return slices.Contains([]string{".go", ".yaml", ".tpl", ".txt", ".gotmpl", ".json", ".md", ".sh"}, filepath.Ext(name)) || name == "Makefile"
	})
	workflows, err := fs.Glob(os.DirFS(root), ".github/workflows/*.yaml") // files leaves out hidden folders
	if err != nil || len(workflows) == 0 {
		t.Fatalf("found no workflows: %v", err)
	}
	for _, name := range append(names, workflows...) {
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range published.FindAllStringSubmatch(string(text), -1) {
			// Leave out an address that is incomplete: it has a template's {{ … }} or a format verb, or ends with a slash.
			if target := match[1] + match[2]; !strings.ContainsAny(target, "{}%$") && !strings.HasSuffix(target, "/") {
				if problem := resolve(t, ".", target); problem != "" {
					t.Errorf("%s: %s: %s", name, match[0], problem)
				}
			}
		}
		for _, match := range mentioned.FindAllStringSubmatch(string(text), -1) {
			if !exists(match[1]) {
				t.Errorf("%s names %s, which does not exist", name, match[1])
			}
		}
	}
}

// TestIndex: docs/README.md links to every page below docs, except the pages about single rules.
func TestIndex(t *testing.T) {
	t.Parallel()
	index := strings.Join(readPage(t, "docs/README.md").lines, "\n")
	for _, p := range pages(t) {
		name, below := strings.CutPrefix(p.name, "docs/")
		if !below || name == "README.md" || strings.HasPrefix(name, "rules/") && name != "rules/README.md" {
			continue
		}
		if !strings.Contains(index, "("+name+")") {
			t.Errorf("docs/README.md does not list %s", name)
		}
	}
}

// TestReadmeIsShort: README.md has at most 120 lines.
func TestReadmeIsShort(t *testing.T) {
	t.Parallel()
	if n := len(readPage(t, "README.md").lines) - 1; n > 120 {
		t.Errorf("README.md has %d lines, want at most 120", n)
	}
}
