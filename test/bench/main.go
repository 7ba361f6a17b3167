// Command bench measures a review of aws-auth in two ways.
//
// Without HTTP, from request to response, beside the parsing that aws-iam-authenticator itself does with the new text
// (configmap.ParseMap). Both are CPU time of the whole process, which includes the garbage collector, so that other
// work on the machine counts little.
//
// Over HTTPS, beside a webhook of controller-runtime that decodes the review and allows everything: the time that a
// client waits for an answer, and the reviews in a second.
//
// In both the old version of aws-auth is known from earlier reviews and the new one is not, as it is in use. The sides
// run in turns in one process. At the end the command line lints many files.
//
// Of the CPU time of a review of 1,000 entries half is the decoding of the new text by the authenticator's own YAML
// decoder, a fifth are the rules and an eighth is the decoding of the two objects from JSON. At 10 entries it is two
// fifths, a quarter and an eighth, so that what each review costs whatever its size counts more. A webhook that allows
// everything does none of this: the new text alone takes some three times as long as its answer at 1,000 entries, and so
// the targets over HTTPS leave little for the rest.
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
	// rounds are run in turns, and the best of each counts: what else the machine does can only add time.
	rounds = 5
	// minCPU is the CPU time that one measurement takes at least, and minCalls the calls in it: the garbage collector
	// runs once in several calls.
	minCPU   = 200 * time.Millisecond
	minCalls = 4
	// maxRatio is the target of a review with all rules on, in times of ParseMap.
	maxRatio = 2.0
	// maxAsking is the target of a review that asks IAM and gets a cached answer, in times of one that does not ask.
	maxAsking = 1.05
	// maxNoOp is the target of an update of 10 entries that leaves the data as they were.
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

// met says whether a target is reached.
func met(holds bool) string {
	if holds {
		return "met"
	}
	return "MISSED"
}

// best is the least of several durations.
type best time.Duration //nolint:recvcheck // add alone changes it

func (b *best) add(d time.Duration) {
	if *b == 0 || d < time.Duration(*b) {
		*b = best(d)
	}
}

// micros are microseconds.
func (b best) micros() float64 { return float64(b) / 1e3 }

// over returns how many times the other duration this one is.
func (b best) over(other best) float64 { return float64(b) / float64(other) }

// compareCPU prints the CPU time of reviews with and without IAM beside that of ParseMap.
func compareCPU(w io.Writer, cases []*reviewCase) error {
	guard, asking, authenticator := make([]best, len(cases)), make([]best, len(cases)), make([]best, len(cases))
	for range rounds {
		for i, c := range cases {
			for side, do := range map[*best]operation{&guard[i]: c.review, &asking[i]: c.reviewAsking, &authenticator[i]: c.parseMap} {
				took, err := cpuTime(do)
				if err != nil {
					return err
				}
				side.add(took)
			}
		}
	}
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tab, "update\tentries\tbytes\tguard µs\tParseMap µs\tratio\ttarget\t\twith IAM µs\tratio\ttarget\t\t")
	for i, c := range cases {
		ratio := guard[i].over(authenticator[i])
		target, holds := fmt.Sprintf("at most %.1f", maxRatio), ratio <= maxRatio
		if c.noOp {
			target, holds = fmt.Sprintf("at most %d µs", maxNoOp.Microseconds()), time.Duration(guard[i]) <= maxNoOp
		}
		withIAM := asking[i].over(guard[i])
		fmt.Fprintf(tab, "%s\t%d\t%d\t%.0f\t%.0f\t%.2f\t%s\t%s\t%.0f\t%.2f\tat most %.2f\t%s\t\n", c.name, c.entries, c.bytes,
			guard[i].micros(), authenticator[i].micros(), ratio, target, met(holds), asking[i].micros(), withIAM, maxAsking, met(withIAM <= maxAsking))
	}
	if err := tab.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "CPU time, the best of %d interleaved rounds; ParseMap parses the new data alone\n\n", rounds)
	return err
}

// cpuTime returns the CPU time that one call of an operation takes.
func cpuTime(do operation) (time.Duration, error) {
	runtime.GC() // what the other side left behind is not counted
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
