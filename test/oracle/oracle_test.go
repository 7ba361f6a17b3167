package oracle_test

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/awsauth-guard/awsauth-guard/test/oracle"
	"github.com/awsauth-guard/awsauth-guard/test/oracle/generate"
)

var (
	count = flag.Int("cases", 2000, "changes to generate and check")
	seed  = flag.Uint64("seed", 1, "of what is generated")
	kinds = flag.String("kinds", "", "write the kinds of disagreements to this file")
	known = flag.String("known", "", "leave out the kinds of disagreements that this file lists")
	first = flag.Bool("first", false, "stop at the first disagreement, and show nothing but its kind")
	found = flag.Bool("as-found", false, "show the changes as they were generated, which is faster than to look for smaller ones")
	only  = flag.Int("only", -1, "check the change of this index alone")
)

// cases are those of the rules, of the verdict and of deletions.
var cases = []string{"../../internal/validate/testdata/*/*.txtar", "../../internal/validate/testdata/*/*/*.txtar"}

// TestOracle holds the guard and the released authenticator side by side.
func TestOracle(t *testing.T) {
	source, err := oracle.NewSource(*seed, cases...)
	if err != nil {
		t.Fatal(err)
	}
	if *only >= 0 {
		checkOne(t, source)
		return
	}
	start := time.Now()
	report, err := oracle.Run(source, *count, runtime.GOMAXPROCS(0), oracle.Options{Known: knownKinds(t), First: *first, AsFound: *found || *kinds != ""})
	if err != nil {
		t.Fatal(err)
	}
	if *first {
		for _, f := range report.Failures {
			t.Errorf("first disagreement: %s: %s", f.Check, f.Class)
		}
		return
	}
	if *kinds != "" {
		var text strings.Builder
		for _, kind := range report.Kinds() {
			text.WriteString(kind + "\n")
		}
		if err := os.WriteFile(*kinds, []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	took := time.Since(start)
	out := t.Output()
	fmt.Fprintf(out, "%d changes and the rules' %d cases, seed %d, in %s\n\n%s\n", *count, source.Cases(), *seed, took.Round(time.Millisecond), report.Stats)
	for _, e := range oracle.Exceptions() {
		fmt.Fprintf(out, "agreed exception: %s: %s\n", e.File, e.Reason)
	}
	fmt.Fprintf(out, "disagreements: %d kinds\n", len(report.Failures))
	for _, f := range report.Failures {
		t.Errorf("%d times, first with -args -seed=%d -only=%d: %s", report.Counts[f.Check+": "+f.Class], *seed, f.Index, f)
	}
	for _, name := range required() {
		if report.Stats[name] == 0 {
			t.Errorf("nothing of the run was %q: what is said of it is not checked", name)
		}
	}
}

// knownKinds reads the file that -known names.
func knownKinds(t *testing.T) map[string]bool {
	t.Helper()
	set := make(map[string]bool)
	if *known == "" {
		return set
	}
	text, err := os.ReadFile(*known)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		set[strings.TrimSuffix(line, "\n")] = true
	}
	return set
}

// checkOne shows one change and what is wrong with it.
func checkOne(t *testing.T, source *oracle.Source) {
	t.Helper()
	checker, err := oracle.NewChecker()
	if err != nil {
		t.Fatal(err)
	}
	defer checker.Close()
	change := source.Change(*only)
	failures := checker.Check(change)
	fmt.Fprintln(t.Output(), oracle.Found{Index: *only, Change: change})
	if sequence := source.Sequence(*only); sequence != nil {
		failures = slices.Concat(failures, checker.CheckSequence(sequence))
	}
	for _, f := range failures {
		t.Errorf("%s: %s: %s", f.Check, f.Class, f.Detail)
	}
}

// required is what every run must have met: each style and edit, each kind of lockout, supersets, each
// rule whose findings are held against the authenticator.
func required() []string {
	names := []string{
		"callers answered", "callers answered at random", "document clean", "document faultless", "element clean",
		"superset changes", "superset let through", "superset with a new fault refused", "changes that lock out", "changes deny", "changes warn", "changes allow",
		"edit delete", "edit create", "edit repair", "edit restyle", "style seed", "style case", "shown manifest", "shown kubectl-edit",
	}
	for _, s := range generate.Styles() {
		names = append(names, "style "+s.Name)
	}
	for _, e := range generate.Edits() {
		names = append(names, "edit "+e.Name)
	}
	for _, b := range generate.Breaks() {
		names = append(names, "break "+b.Name)
	}
	for _, kind := range oracle.Lockouts() {
		names = append(names, "lockout "+kind)
	}
	for _, kind := range oracle.Claimed() {
		names = append(names, "claim "+kind)
	}
	for _, form := range generate.Forms()[1:] {
		names = append(names, "form "+form)
	}
	names = append(names, oracle.Plans()...)
	names = append(names, "changes harmless", "changes with bytes that are not UTF-8")
	return append(names, oracle.Claims()...)
}
