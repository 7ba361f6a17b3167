// Command bench measures a review of aws-auth, from request to response without HTTP, beside the parsing that
// aws-iam-authenticator itself does with the new text (configmap.ParseMap), in the same process and in turns. A
// policy of four rules in Rego is measured beside them, as a prepared query; it has no target. At the end the
// command line lints many files.
//
// The same cases run as ordinary benchmarks with `go test -bench .`, for profiles and benchstat.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"testing"
	"text/tabwriter"
	"time"
)

const (
	// rounds are run in turns, and the fastest of each counts: what else the machine does can only add time.
	rounds = 5
	// maxRatio is the target of a review with all rules on, in times of ParseMap.
	maxRatio = 3
	// maxAsking is the target of a review that asks IAM and is answered from memory, in times of one that does not.
	maxAsking = 1.05
	// maxNoOp is the target of an update of 10 entries that leaves the data as they were.
	maxNoOp = 50 * time.Microsecond
)

func main() {
	log.SetFlags(0)
	testing.Init()
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal("bench: ", err)
	}
}

func run(ctx context.Context, w io.Writer) error {
	cases, err := newCases()
	if err != nil {
		return err
	}
	guard, asking, authenticator, rego := make([]best, len(cases)), make([]best, len(cases)), make([]best, len(cases)), make([]best, len(cases))
	for range rounds {
		for i, c := range cases {
			guard[i].add(testing.Benchmark(c.review))
			asking[i].add(testing.Benchmark(c.reviewAsking))
			authenticator[i].add(testing.Benchmark(c.parseMap))
			rego[i].add(testing.Benchmark(c.rego))
		}
	}
	if err := table(w, cases, guard, authenticator, rego); err != nil {
		return err
	}
	if err := iamTable(w, cases, guard, asking); err != nil {
		return err
	}
	return measureLint(ctx, w)
}

// best is the fastest of several results.
type best struct{ ns, allocs int64 }

func (b *best) add(r testing.BenchmarkResult) {
	if ns := r.NsPerOp(); b.ns == 0 || ns < b.ns {
		b.ns, b.allocs = ns, r.AllocsPerOp()
	}
}

// met says whether a target is reached.
func met(holds bool) string {
	if holds {
		return "met"
	}
	return "MISSED"
}

func table(w io.Writer, cases []*reviewCase, guard, authenticator, rego []best) error {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tab, "update\tentries\tbytes\tguard ns/op\tParseMap ns/op\tratio\tguard allocs\tParseMap allocs\ttarget\t\tRego ns/op\tof guard\tRego allocs\t")
	for i, c := range cases {
		ratio := float64(guard[i].ns) / float64(authenticator[i].ns)
		target, holds := fmt.Sprintf("ratio at most %d", maxRatio), ratio <= maxRatio
		if c.noOp {
			target, holds = fmt.Sprintf("at most %d ns", maxNoOp.Nanoseconds()), guard[i].ns <= maxNoOp.Nanoseconds()
		}
		fmt.Fprintf(tab, "%s\t%d\t%d\t%d\t%d\t%.2f\t%d\t%d\t%s\t%s\t%d\t%.1f\t%d\t\n", c.name, c.entries, c.bytes,
			guard[i].ns, authenticator[i].ns, ratio, guard[i].allocs, authenticator[i].allocs, target, met(holds),
			rego[i].ns, float64(rego[i].ns)/float64(guard[i].ns), rego[i].allocs)
	}
	if err := tab.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "the fastest of %d interleaved rounds; ParseMap parses the new data alone; "+
		"Rego is a policy of four rules, a prepared query\n", rounds)
	return err
}

// iamTable compares a review that asks IAM, which has answered before, with one that does not.
func iamTable(w io.Writer, cases []*reviewCase, guard, asking []best) error {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tab, "update\tentries\tIAM off ns/op\tIAM warm ns/op\tratio\ttarget\t\t")
	for i, c := range cases {
		ratio := float64(asking[i].ns) / float64(guard[i].ns)
		fmt.Fprintf(tab, "%s\t%d\t%d\t%d\t%.3f\tat most %.2f\t%s\t\n", c.name, c.entries, guard[i].ns, asking[i].ns, ratio, maxAsking, met(ratio <= maxAsking))
	}
	return tab.Flush()
}
