// Command bench measures a review of aws-auth in two ways.
//
// Without HTTP, it measures the CPU time of a review from request to response. It compares this with the time in
// which aws-iam-authenticator parses the new text (configmap.ParseMap). It measures the CPU time of the whole
// process, with the garbage collector, so that other work on the machine counts little.
//
// Over HTTPS, it measures the time that a client waits for an answer, and the number of reviews in a second. It
// compares both with a webhook of controller-runtime that decodes the review and allows everything.
//
// As in a cluster, the guard knows the old version of aws-auth from earlier reviews, but not the new one. The guard
// and the program that it is compared with run in turns in one process. At the end, the bench runs kubectl awsauth
// lint on many files.
//
// At 1,000 entries, a review spends half of its CPU time in the authenticator's own YAML decoder, which decodes the
// new text. It spends a fifth in the rules, and an eighth on the decoding of the two objects from JSON. At 10 entries
// these are two fifths, a fifth and an eighth, because the fixed cost of a review counts more. A webhook that allows
// everything doesn't do this work. The column "floor" shows the ratio of a webhook that decodes the review and parses
// the new text, and does nothing else.
//
// From one source address, the guard answers fewer reviews in a second than from several. One address gets at most half
// of the evaluation slots for small bodies, so that a flood from one pod never delays the API server. With two CPUs,
// this half is one slot.
//
// The same cases run as ordinary benchmarks with `go test -bench .`, for profiles and benchstat.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"runtime"
	"syscall"
	"text/tabwriter"
	"time"
)

const (
	// rounds is the number of measurements of each program. The programs run in turns. For CPU times and rates, the best
	// measurement counts, because other work on the machine can only add time. For the time of a review over HTTPS, the
	// median over all rounds counts.
	rounds = 5
	// A measurement lasts at least minCPU of CPU time and at least minCalls calls, because the garbage collector runs only
	// once in several calls.
	minCPU   = 200 * time.Millisecond
	minCalls = 4
	// maxRatio is the target for the CPU time of a review with all rules. The unit is the CPU time of ParseMap.
	maxRatio = 2.0
	// maxAsking is the target for the CPU time of a review with look-ups in IAM whose results are in the cache. The unit
	// is the CPU time of a review without look-ups.
	maxAsking = 1.05
	// maxWithEntries is the target for the CPU time of a review with 100 access entries. The unit is the CPU time of a
	// review without access entries.
	maxWithEntries = 1.05
	// maxNoOp is the target for the CPU time of a review of an update of 10 entries that does not change the data.
	maxNoOp = 200 * time.Microsecond
)

func main() {
	log.SetFlags(0)
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal("bench: ", err)
	}
}

func run(ctx context.Context, w io.Writer) error {
	cases, err := newCases()
	if err != nil {
		return err
	}
	if err := compareCPU(w, cases); err != nil {
		return err
	}
	if err := compareHTTPS(ctx, w, cases); err != nil {
		return err
	}
	return measureLint(ctx, w)
}

// met returns the word for a target that is met or missed.
func met(holds bool) string {
	if holds {
		return "met"
	}
	return "MISSED"
}

// best is the shortest of several durations. It is 0 before the first.
type best time.Duration //nolint:recvcheck // only add changes it

func (b *best) add(d time.Duration) {
	if *b == 0 || d < time.Duration(*b) {
		*b = best(d)
	}
}

// micros returns the duration in microseconds.
func (b best) micros() float64 { return float64(b) / 1e3 }

// over returns the ratio of this duration to another one.
func (b best) over(other best) float64 { return float64(b) / float64(other) }

// compareCPU prints the CPU time of reviews and of ParseMap. It measures reviews without look-ups, with look-ups in
// IAM, and with access entries.
func compareCPU(w io.Writer, cases []*reviewCase) error {
	guard, asking, entries, authenticator := make([]best, len(cases)), make([]best, len(cases)), make([]best, len(cases)), make([]best, len(cases))
	for range rounds {
		for i, c := range cases {
			for shortest, do := range map[*best]operation{&guard[i]: c.review, &asking[i]: c.reviewAsking, &entries[i]: c.reviewWithEntries, &authenticator[i]: c.parseMap} {
				took, err := cpuTime(do)
				if err != nil {
					return err
				}
				shortest.add(took)
			}
		}
	}
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tab, "update\tentries\tbytes\tguard µs\tParseMap µs\tratio\ttarget\t\twith IAM\ttarget\t\twith 100 access entries\ttarget\t\t")
	for i, c := range cases {
		ratio := guard[i].over(authenticator[i])
		target, holds := fmt.Sprintf("at most %.1f", maxRatio), ratio <= maxRatio
		if c.noOp {
			target, holds = fmt.Sprintf("at most %d µs", maxNoOp.Microseconds()), time.Duration(guard[i]) <= maxNoOp
		}
		withIAM, withEntries := asking[i].over(guard[i]), entries[i].over(guard[i])
		fmt.Fprintf(tab, "%s\t%d\t%d\t%.0f\t%.0f\t%.2f\t%s\t%s\t%.2f\tat most %.2f\t%s\t%.2f\tat most %.2f\t%s\t\n", c.name, c.entries, c.bytes,
			guard[i].micros(), authenticator[i].micros(), ratio, target, met(holds), withIAM, maxAsking, met(withIAM <= maxAsking), withEntries, maxWithEntries, met(withEntries <= maxWithEntries))
	}
	if err := tab.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "CPU time, the best of %d interleaved rounds; ParseMap parses the new data alone\n\n", rounds)
	return err
}

// cpuTime returns the mean CPU time of one call of an operation.
func cpuTime(do operation) (time.Duration, error) {
	runtime.GC() // collect the garbage of the previous operation before the measurement
	begin, err := usedCPU()
	if err != nil {
		return 0, err
	}
	for calls := 1; ; calls++ {
		if err := do(calls); err != nil {
			return 0, err
		}
		now, err := usedCPU()
		if err != nil {
			return 0, err
		}
		if used := now - begin; used >= minCPU && calls >= minCalls {
			return used / time.Duration(calls), nil
		}
	}
}

// usedCPU returns the CPU time that the process has used.
func usedCPU() (time.Duration, error) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0, fmt.Errorf("asking for the CPU time: %w", err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), nil
}
