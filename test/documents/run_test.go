package documents_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/awsauth-guard/awsauth-guard/test/markdown"
)

// anyText is a line of a page that stands for any number of lines of output.
const anyText = "…"

// commands returns the commands of a console block of a page.
func commands(t *testing.T, p *page, b *markdown.Block) []markdown.Command {
	t.Helper()
	list, err := b.Commands()
	if err != nil {
		t.Fatalf("%s:%d: %v", p.name, b.First, err)
	}
	return list
}

// shell runs the commands of a page. Its environment has only PATH, HOME and the variables.
type shell struct {
	dir       string
	path      string
	variables []string
	// replace replaces parts of the commands, such as the path of a kubeconfig that differs in each run.
	replace *strings.Replacer
}

// run runs the commands one after the other in one bash. It returns the output of each command, with stdout and stderr together.
func (s *shell) run(t *testing.T, list []markdown.Command) (outputs []string) {
	t.Helper()
	results := t.TempDir()
	var script strings.Builder
	for i, c := range list {
		input := strings.Join(c.Input, "\n")
		if s.replace != nil {
			input = s.replace.Replace(input)
		}
		fmt.Fprintf(&script, "{\n%s\n} >%s/%d 2>&1 </dev/null\n", input, results, i)
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-s")
	cmd.Dir = s.dir
	cmd.Stdin = strings.NewReader(script.String())
	// The environment has no USER and no other variable of a login, because the commands of an emergency must work in
	// any shell.
	cmd.Env = append([]string{"PATH=" + s.path, "HOME=" + t.TempDir()}, s.variables...)
	if out, err := cmd.CombinedOutput(); err != nil && cmd.ProcessState == nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for i := range list {
		text, err := os.ReadFile(filepath.Join(results, fmt.Sprint(i)))
		if err != nil {
			t.Fatalf("the command %q did not run: %v", list[i].Input, err)
		}
		outputs = append(outputs, string(text))
	}
	return outputs
}

// differs returns a description of the difference between the lines of the page and an output, or "" if they agree.
func differs(want []string, got string) string {
	pattern := "^"
	for _, line := range want {
		if line == anyText {
			pattern += `(?s:.*\n)?`
			continue
		}
		pattern += variable.ReplaceAllString(regexp.QuoteMeta(line), `[^\n]*`) + `\n`
	}
	if got != "" && !strings.HasSuffix(got, "\n") {
		got += "\n"
	}
	if regexp.MustCompile(pattern + "$").MatchString(got) {
		return ""
	}
	return fmt.Sprintf("the page has\n%s\nthe program prints\n%s", strings.Join(want, "\n"), got)
}

// variable matches a part of a line of the page that can differ from the output: a time, or … for a part that the page leaves out.
var variable = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ|…`)

// tools builds kubectl-awsauth. It returns the PATH for the commands, with kubectl-awsauth, kubectl and the programs of the system.
func tools(t *testing.T, kubectl string) string {
	t.Helper()
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, "kubectl-awsauth"), "../../cmd/kubectl-awsauth")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return strings.Join([]string{dir, filepath.Dir(kubectl), "/usr/bin", "/bin"}, string(os.PathListSeparator))
}

// copyExamples returns a new folder in which the commands run. It has a copy of the folder examples, and no other part of the
// repository.
func copyExamples(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "examples"), os.DirFS(filepath.Join(root, "examples"))); err != nil {
		t.Fatal(err)
	}
	return dir
}

// hold runs the commands of a page's blocks with the marker, in order, and compares the outputs with those on the page. With
// UPDATE_GOLDEN, it writes the outputs to the page instead, except an output in which the page leaves out lines.
func hold(t *testing.T, p *page, mark string, s *shell) {
	t.Helper()
	type at struct{ block, command int }
	blocks := p.blocks(t)
	var list []markdown.Command
	var places []at
	parsed := make([][]markdown.Command, len(blocks))
	for i := range blocks {
		if blocks[i].Marker != mark {
			continue
		}
		parsed[i] = commands(t, p, &blocks[i])
		for j := range parsed[i] {
			list, places = append(list, parsed[i][j]), append(places, at{i, j})
		}
	}
	for n, got := range s.run(t, list) {
		problem := differs(list[n].Output, got)
		if problem == "" {
			continue
		}
		place := places[n]
		if !updating() || slices.Contains(list[n].Output, anyText) {
			t.Errorf("%s:%d: $ %s\n%s", p.name, blocks[place.block].First+1, strings.Join(list[n].Input, "\n"), problem)
			continue
		}
		parsed[place.block][place.command].Output = strings.Split(strings.TrimSuffix(got, "\n"), "\n")
		if got == "" {
			parsed[place.block][place.command].Output = nil
		}
	}
	if !updating() {
		return
	}
	for i, b := range slices.Backward(blocks) {
		if parsed[i] == nil {
			continue
		}
		var lines []string
		for _, c := range parsed[i] {
			lines = append(lines, "$ "+c.Input[0])
			lines = append(append(lines, c.Input[1:]...), c.Output...)
		}
		p.lines = slices.Concat(p.lines[:b.First], lines, p.lines[b.Last:])
	}
	p.write(t)
}

// marked returns the pages with a block that has the marker.
func marked(t *testing.T, mark string) (list []*page) {
	t.Helper()
	for _, p := range pages(t) {
		if slices.ContainsFunc(p.blocks(t), func(b markdown.Block) bool { return b.Marker == mark }) {
			list = append(list, p)
		}
	}
	return list
}

// TestEveryBlockIsHeld: every console block has a marker. The marker says that this package runs the block, names another test that
// holds it true, or gives the reason why no test runs it. No block has another marker.
func TestEveryBlockIsHeld(t *testing.T) {
	t.Parallel()
	var goFiles bytes.Buffer
	for _, name := range files(t, func(name string) bool { return strings.HasSuffix(name, "_test.go") }) {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		goFiles.Write(text)
	}
	for _, p := range pages(t) {
		if strings.HasPrefix(p.name, "docs/rules/") {
			continue // generated pages with the output of the rules
		}
		for _, b := range p.blocks(t) {
			if b.Language != "console" && b.Marker == "" {
				continue
			}
			kind, rest, _ := strings.Cut(b.Marker, " ")
			switch {
			case b.Marker == "values" && b.Language == "yaml":
				// TestValuesOnPages in test/chart renders the chart with these values.
			case b.Marker == runLocal, b.Marker == runCluster, b.Marker == runDemo:
			case kind == "held" && strings.HasPrefix(rest, "by Test") && bytes.Contains(goFiles.Bytes(), []byte("func "+strings.TrimPrefix(rest, "by ")+"(")):
			case kind == "not" && strings.HasPrefix(rest, "run: "):
			default:
				t.Errorf("%s:%d: the block has the marker %q, want <!-- %s -->, <!-- %s -->, <!-- %s -->, <!-- held by TestX --> or <!-- not run: REASON -->",
					p.name, b.First, b.Marker, runLocal, runCluster, runDemo)
			}
		}
	}
}
