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
	seed  = flag.Uint64("seed", 1, "seed of the generated changes")
	kinds = flag.String("kinds", "", "write the kinds of disagreements to this file")
	known = flag.String("known", "", "ignore the kinds of disagreements that this file lists")
	first = flag.Bool("first", false, "stop at the first disagreement, and print only its kind")
	found = flag.Bool("as-found", false, "print the changes as generated, which is faster than minimizing them")
	only  = flag.Int("only", -1, "check only the change with this index")
)

// cases are glob patterns for the case files of the oracle: those of the rules, the verdict and deletions.
var cases = []string{"../../internal/validate/testdata/*/*.txtar", "../../internal/validate/testdata/*/*/*.txtar"}

// TestOracle: the guard and the released authenticator agree on all cases and generated changes.
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
		fmt.Fprintf(out, "exception: %s: %s\n", e.File, e.Reason)
	}
	fmt.Fprintf(out, "disagreements: %d kinds\n", len(report.Failures))
	for _, f := range report.Failures {
		t.Errorf("%d times, first with -args -seed=%d -only=%d: %s", report.Counts[f.Check+": "+f.Class], *seed, f.Index, f)
	}
	for _, name := range required() {
		if report.Stats[name] == 0 {
			t.Errorf("the run had no %q, so its check had nothing to check", name)
		}
	}
}

// knownKinds returns the kinds of disagreements in the file that -known names. Without -known, it returns an empty
// set.
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

// checkOne prints the change with the index of -only, and checks it.
func checkOne(t *testing.T, source *oracle.Source) {
	t.Helper()
	checker, err := oracle.NewChecker()
	if err != nil {
		t.Fatal(err)
	}
	defer checker.Close()
	change := source.Change(*only)
	failures := checker.Check(change)
	fmt.Fprintln(t.Output(), oracle.FoundFailure{Index: *only, Change: change})
	if sequence := source.Sequence(*only); sequence != nil {
		failures = slices.Concat(failures, checker.CheckSequence(sequence))
	}
	for _, f := range failures {
		t.Errorf("%s: %s: %s", f.Check, f.Class, f.Detail)
	}
}

// required returns the names that the statistics of every run must contain. If a name is missing, a check had nothing to
// check. The names include each style, edit, break and form, each kind of lockout and required finding, the sequences, and
// each rule whose findings are checked with the authenticator.
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
	for _, kind := range oracle.RequiredFindings() {
		names = append(names, "required "+kind)
	}
	for _, form := range generate.Forms()[1:] {
		names = append(names, "form "+form)
	}
	names = append(names, oracle.SequenceStats()...)
	names = append(names, "changes harmless", "changes with bytes that are not UTF-8")
	return append(names, oracle.CheckedFindings()...)
}
