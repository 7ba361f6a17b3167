package oracle_test

import (
	"flag"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/awsauth-guard/awsauth-guard/test/oracle"
)

var pairs = flag.Int("pairs", 1000, "pairs of an aws-auth and access entries; about six callers log in with each")

// TestLoginsFromBothSources: the guard and the released authenticator agree on the login of every caller, in every order
// in which the authenticator can ask the two sources.
func TestLoginsFromBothSources(t *testing.T) {
	source, err := oracle.NewSource(*seed, cases...)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	stats, failures, err := oracle.RunLogins(source, *pairs, runtime.GOMAXPROCS(0))
	if err != nil {
		t.Fatal(err)
	}
	if *first {
		for _, f := range failures {
			t.Errorf("first disagreement: %s: %s", f.Check, f.Class)
		}
		return
	}
	fmt.Fprintf(t.Output(), "%d pairs with %d callers, seed %d, in %s: %d disagreements\n\n%s\n",
		*pairs, stats["cases"], *seed, time.Since(start).Round(time.Millisecond), stats["disagreements"], stats)
	for _, f := range failures {
		t.Errorf("pair %d: %s", f.Index, f)
	}
	for _, name := range oracle.RequiredLogins() {
		if stats[name] == 0 {
			t.Errorf("the run had no %q, so its check had nothing to check", name)
		}
	}
}
