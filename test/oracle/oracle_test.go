package oracle_test

import (
	"flag"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/awsauth-guard/awsauth-guard/test/oracle"
	"github.com/awsauth-guard/awsauth-guard/test/oracle/generate"
)

var (
	count = flag.Int("cases", 2000, "changes to generate and check")
	seed  = flag.Uint64("seed", 1, "of what is generated")
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
	report, err := oracle.Run(source, *count, runtime.GOMAXPROCS(0))
	if err != nil {
		t.Fatal(err)
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
	return append(names, oracle.Claims()...)
}
