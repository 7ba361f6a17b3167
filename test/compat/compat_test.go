package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const root = "../.."

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func pinned(t *testing.T) []string {
	t.Helper()
	versions, err := pinnedVersions(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	return versions
}

// releases returns the releases that tools/kubernetes pins, such as v1.30.14, by their version, such as 1.30.
func releases(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "tools", "kubernetes", "*.mod"))
	if err != nil {
		t.Fatal(err)
	}
	list := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		match := regexp.MustCompile(`(?m)^(?:require )?\s*k8s\.io/kubernetes v(1\.\d+)(\.\S+)`).FindStringSubmatch(string(text))
		if match == nil {
			t.Fatalf("%s does not require k8s.io/kubernetes", file)
		}
		list[match[1]] = "v" + match[1] + match[2]
		library := "v0" + strings.TrimPrefix(match[1], "1") + match[2] // Kubernetes publishes its libraries of v1.30.14 as v0.30.14
		for _, replaced := range regexp.MustCompile(`=> (k8s\.io/\S+) (\S+)`).FindAllStringSubmatch(string(text), -1) {
			if replaced[2] != library {
				t.Errorf("%s: %s is replaced by %s, want %s", file, replaced[1], replaced[2], library)
			}
		}
	}
	return list
}

// TestPageHasEveryVersionAndCheck: the page has a column for each version that tools/kubernetes pins, with the pinned release,
// and every check passes on each version. If the test fails, run `make compat VERSIONS=...` with the versions that it names.
func TestPageHasEveryVersionAndCheck(t *testing.T) {
	text := read(t, page)
	results, err := readTable(text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(pinned(t), results.versions()); diff != "" {
		t.Errorf("versions of the page (-want +got):\n%s", diff)
	}
	want := releases(t)
	for version, column := range results {
		if column[releaseRow] != want[version] {
			t.Errorf("the page has the results of %s for %s, and tools/kubernetes pins %s", column[releaseRow], version, want[version])
		}
		for _, check := range checks {
			if cell := column[check.title]; cell != yes {
				t.Errorf("%s, %s: the result is %q", version, check.title, cell)
			}
		}
	}
	if diff := cmp.Diff(text, results.writeInto(text)); diff != "" {
		t.Errorf("make compat would write another table (-page +make compat):\n%s", diff)
	}
}

// TestOldestVersionIsThatOfTheChart: the oldest version that make compat tests is the oldest on which Helm installs the chart.
// The documents name this version, and no version is pinned twice.
func TestOldestVersionIsThatOfTheChart(t *testing.T) {
	versions := pinned(t)
	oldest := versions[0]
	if !strings.Contains(read(t, "charts/awsauth-guard/Chart.yaml"), "\nkubeVersion: \">="+oldest+".0-0\"\n") {
		t.Errorf("kubeVersion in Chart.yaml does not allow exactly %s and newer, the oldest version of make compat", oldest)
	}
	needs := regexp.MustCompile(`Kubernetes (1\.\d+)(,? or newer| and Helm| 以降)`)
	for _, name := range []string{"README.md", "README.ja.md", "docs/how-to/roll-out.md", "test/e2e/README.md", page} {
		if match := needs.FindStringSubmatch(strings.ReplaceAll(read(t, name), "\n", " ")); len(match) == 0 || match[1] != oldest {
			t.Errorf("%s does not say that the guard needs Kubernetes %s: %q", name, oldest, match)
		}
	}
	if len(slices.Compact(versions)) != len(pinned(t)) {
		t.Errorf("two files of tools/kubernetes pin the same version: %q", pinned(t))
	}
}

// TestChecksNameTests: each test that a check names exists in its suite.
func TestChecksNameTests(t *testing.T) {
	exist := map[string][]string{}
	for _, s := range suites {
		files, err := filepath.Glob(filepath.Join(root, s.module, s.pkg, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, match := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(string(text), -1) {
				exist[s.name] = append(exist[s.name], match[1])
			}
		}
	}
	for _, check := range checks[:len(checks)-1] {
		suite := ""
		for _, match := range regexp.MustCompile(`(integration|chart)|(Test\w+)(\.\*)?`).FindAllStringSubmatch(check.tests, -1) {
			if match[1] != "" {
				suite = match[1]
				continue
			}
			if !slices.ContainsFunc(exist[suite], func(name string) bool {
				return name == match[2] || match[3] != "" && strings.HasPrefix(name, match[2])
			}) {
				t.Errorf("%s: %s has no test %s", check.title, suite, match[0])
			}
		}
	}
}

// TestOnlyPassingTestsCount: a check passes if all its tests pass. A test that fails, is skipped, or doesn't end, fails
// its check.
func TestOnlyPassingTestsCount(t *testing.T) {
	s := suite{name: "integration"}
	r, err := s.read(strings.NewReader(`
{"Action":"start","Package":"p"}
{"Action":"run","Package":"p","Test":"TestGood"}
{"Action":"run","Package":"p","Test":"TestGood/sub"}
{"Action":"pass","Package":"p","Test":"TestGood/sub"}
{"Action":"pass","Package":"p","Test":"TestGood"}
{"Action":"run","Package":"p","Test":"TestBad"}
{"Action":"output","Package":"p","Test":"TestBad","Output":"reason\n"}
{"Action":"fail","Package":"p","Test":"TestBad"}
{"Action":"run","Package":"p","Test":"TestSkipped"}
{"Action":"skip","Package":"p","Test":"TestSkipped"}
{"Action":"run","Package":"p","Test":"TestEndless"}
{"Action":"fail","Package":"p"}
`))
	if err != nil {
		t.Fatal(err)
	}
	for tests, want := range map[string]bool{
		"integration/TestGood": true, "integration/TestBad": false, "integration/TestSkipped": false,
		"integration/TestEndless": false, "integration/Test(Good|Bad)": false, ".*": false,
	} {
		if got, err := r.of(check{tests: tests}); err != nil || got != want {
			t.Errorf("%s passes: %t, want %t (%v)", tests, got, want, err)
		}
	}
	if _, err := r.of(check{tests: "integration/TestGoo"}); err == nil {
		t.Error("a check without a test passes")
	}
	if diff := cmp.Diff([]string{"FAIL integration/TestBad\nreason\n"}, r.failures); diff != "" {
		t.Errorf("failures (-want +got):\n%s", diff)
	}
	if _, err := s.read(strings.NewReader("")); err == nil {
		t.Error("a suite without a test passes")
	}
}

// TestTableKeepsOtherVersions: a run on one version keeps the results of the other pinned versions, and removes the results
// of versions that are no longer pinned.
func TestTableKeepsOtherVersions(t *testing.T) {
	full := func(release, cell string) column {
		c := column{releaseRow: release}
		for _, check := range checks {
			c[check.title] = cell
		}
		return c
	}
	before := "# Title\n\n" + begin + "| | 1.9 | 1.29 |\n|---|---|---|\n| tested release | v1.9.1 | v1.29.1 |\n" + end + "\nText.\n"
	results, err := readTable(before)
	if err != nil {
		t.Fatal(err)
	}
	results.setVersions([]string{"1.9", "1.30", "1.31"})
	results["1.9"], results["1.30"] = full("v1.9.1", yes), full("v1.30.2", no)
	after := results.writeInto(before)
	if !strings.HasPrefix(after, "# Title\n\n"+begin+"|  | 1.9 | 1.30 | 1.31 |\n|---|---|---|---|\n| tested release | v1.9.1 | v1.30.2 | not run |\n") || !strings.HasSuffix(after, end+"\nText.\n") {
		t.Errorf("the page is\n%s", after)
	}
	again, err := readTable(after)
	if err != nil {
		t.Fatal(err)
	}
	results["1.31"] = full(notRun, notRun)
	if diff := cmp.Diff(results, again); diff != "" {
		t.Errorf("read again (-written +read):\n%s", diff)
	}
	if again["1.9"].failed() || !again["1.30"].failed() {
		t.Error("1.9 has no failed check, and 1.30 has, but failed reports otherwise")
	}
}
