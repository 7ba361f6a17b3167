package oracle_test

import (
	"flag"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/awsauth-guard/awsauth-guard/test/oracle"
)

var textEdits = flag.Int("text-edits", 1000, "edits of texts by internal/edit to make and check")

// maxRefused is the permitted share of refusals among the edits of texts without faults.
const maxRefused = 0.05

// TestTextEditsHaveTheIntendedEffect: an edit changes exactly the intended elements, as the released authenticator reads them, or
// internal/edit refuses it. It refuses few edits of texts without faults.
func TestTextEditsHaveTheIntendedEffect(t *testing.T) {
	source, err := oracle.NewSource(*seed, cases...)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	stats, failures, err := oracle.RunTextEdits(source, *textEdits, runtime.GOMAXPROCS(0))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(t.Output(), "%d edits of texts, seed %d, in %s: %d mistakes\n\n%s\n", *textEdits, *seed, time.Since(start).Round(time.Millisecond), len(failures), stats)
	for i, f := range failures {
		if i == 10 {
			t.Errorf("and %d more", len(failures)-i)
			break
		}
		t.Error(f)
	}
	if refused, all := stats["refused without faults"], stats["text without faults"]; float64(refused) > maxRefused*float64(all) {
		t.Errorf("%d of %d edits of texts without faults were refused", refused, all)
	}
	for _, name := range oracle.TextEdits() {
		if stats["text-edit "+name] == 0 {
			t.Errorf("the run had no %q, so its check had nothing to check", name)
		}
	}
}
