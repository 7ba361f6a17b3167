package oracle

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/awsauth-guard/awsauth-guard/internal/validate/rulecase"
	"github.com/awsauth-guard/awsauth-guard/test/oracle/generate"
)

// Exception is a case in which the guard differs from the authenticator on purpose.
type Exception struct {
	// File is the name of the case's file.
	File   string
	Reason string
}

// Exceptions returns the cases that the comparison leaves out.
func Exceptions() []Exception {
	return []Exception{{
		File:   "bad-alias-size.txtar",
		Reason: "the guard does not decode a section whose aliases expand past a limit; the authenticator uses up its memory for it",
	}}
}

// Stats counts the checked changes and answers by kind. The tests require some counts to be more than zero, so that they notice if
// a check had nothing to check.
type Stats map[string]int

func (s Stats) add(name string) { s[name]++ }

func (s Stats) merge(other Stats) {
	for name, n := range other {
		s[name] += n
	}
}

// String returns the counts sorted by name, one line for each first word.
func (s Stats) String() string {
	var b strings.Builder
	last := ""
	for _, name := range slices.Sorted(maps.Keys(s)) {
		kind, rest, ok := strings.Cut(name, " ")
		switch {
		case !ok:
			fmt.Fprintf(&b, "\n%s: %d", name, s[name])
		case kind != last:
			fmt.Fprintf(&b, "\n%s: %s %d", kind, rest, s[name])
		default:
			fmt.Fprintf(&b, ", %s %d", rest, s[name])
		}
		last = kind
	}
	return strings.TrimPrefix(b.String(), "\n") + "\n"
}

// Source makes the changes of a run. The same seed and index make the same change.
type Source struct {
	Seed  uint64
	seeds []map[string]string
	cases []*generate.Change
}

// NewSource reads the cases that match the glob patterns, except for [Exceptions]. A run checks the cases, and also derives
// generated changes from them.
func NewSource(seed uint64, patterns ...string) (*Source, error) {
	s := &Source{Seed: seed}
	for _, pattern := range patterns {
		cases, err := rulecase.Glob(pattern)
		if err != nil {
			return nil, err
		}
		for _, c := range cases {
			if slices.ContainsFunc(Exceptions(), func(e Exception) bool { return strings.HasSuffix(c.File, "/"+e.File) }) {
				continue
			}
			change := &generate.Change{Origin: []string{"style case"}}
			if old := c.Change.Old; old != nil {
				change.Old = old.Data
				s.seeds = append(s.seeds, old.Data)
			}
			if now := c.Change.New; now != nil {
				change.New = now.Data
				s.seeds = append(s.seeds, now.Data)
			}
			s.cases = append(s.cases, change)
		}
	}
	return s, nil
}

// Cases returns the number of cases. Their indexes begin with 0.
func (s *Source) Cases() int { return len(s.cases) }

// correctionEvery is the distance between two indexes whose change is a correction.
const correctionEvery = 64

// Change returns the change with an index. The cases have the first indexes. After them, documents have even indexes, and
// changes have odd indexes. Some changes are corrections.
func (s *Source) Change(index int) *generate.Change {
	if index < len(s.cases) {
		return s.cases[index]
	}
	r := rand.New(rand.NewPCG(s.Seed, uint64(index))) //nolint:gosec // every run must be the same
	if index%2 == 0 {
		return generate.NewDocument(r, s.seeds)
	}
	if index%correctionEvery == 1 {
		return generate.NewCorrection(r)
	}
	return generate.NewChange(r)
}

// sequenceEvery is the distance between two indexes that have a sequence.
const sequenceEvery = 8

// Sequence returns the sequence of an index, or nil if the index has no sequence.
func (s *Source) Sequence(index int) *generate.Sequence {
	if index < len(s.cases) || index%sequenceEvery != 0 {
		return nil
	}
	return generate.NewSequence(rand.New(rand.NewPCG(s.Seed, uint64(index)|1<<63))) //nolint:gosec // every run must be the same
}

// Report is the result of a run.
type Report struct {
	Stats Stats
	// Failures holds the first failure of each kind. The change is minimal, except with the options First and AsFound.
	Failures []FoundFailure
	// Counts is the number of failures of each kind.
	Counts map[string]int
}

// FoundFailure is a failure with the index, the change and the sequence that a checker checked. The change or the sequence
// reproduces the failure. Sequence is nil if the index has none.
type FoundFailure struct {
	Failure
	Index    int
	Change   *generate.Change
	Sequence *generate.Sequence
}

// Options tell [Run] how to handle disagreements.
type Options struct {
	// Known are kinds of disagreements to ignore.
	Known map[string]bool
	// First stops all workers soon after the first disagreement that is not known, and doesn't minimize its change.
	First bool
	// AsFound reports changes as generated, without minimizing them.
	AsFound bool
}

// Kinds returns the kinds of the disagreements, sorted.
func (r *Report) Kinds() []string { return slices.Sorted(maps.Keys(r.Counts)) }

// foundFailures collects the failures of several workers.
type foundFailures struct {
	mu     sync.Mutex
	first  map[string]FoundFailure // by kind: the one with the lowest index
	counts map[string]int          // by kind
}

func newFoundFailures() *foundFailures {
	return &foundFailures{first: make(map[string]FoundFailure), counts: make(map[string]int)}
}

func (f *foundFailures) add(failure FoundFailure) {
	f.mu.Lock()
	defer f.mu.Unlock()
	kind := failure.kind()
	f.counts[kind]++
	if known, ok := f.first[kind]; !ok || failure.Index < known.Index {
		f.first[kind] = failure
	}
}

// sorted returns the first failure of each kind, sorted by kind.
func (f *foundFailures) sorted() (list []FoundFailure) {
	for _, kind := range slices.Sorted(maps.Keys(f.first)) {
		list = append(list, f.first[kind])
	}
	return list
}

// checkInParallel makes a checker for each worker, and divides the indexes below count among the workers. It returns the
// merged statistics of the checkers. The number of workers doesn't affect which indexes are checked.
func checkInParallel[C interface {
	Close()
	statistics() Stats
}](count, workers int, newChecker func() (C, error), check func(C, int)) (Stats, error) {
	stats := make(Stats)
	var mu sync.Mutex
	var wait sync.WaitGroup
	errs := make([]error, workers)
	for worker := range workers {
		wait.Go(func() {
			checker, err := newChecker()
			if err != nil {
				errs[worker] = err
				return
			}
			defer checker.Close()
			for index := worker; index < count; index += workers {
				check(checker, index)
			}
			mu.Lock()
			defer mu.Unlock()
			stats.merge(checker.statistics())
		})
	}
	wait.Wait()
	return stats, errors.Join(errs...)
}

// Run checks the cases, and as many generated changes as count says, with one authenticator for each worker. The number of
// workers doesn't affect which changes it checks.
func Run(s *Source, count, workers int, options Options) (*Report, error) {
	var stop atomic.Bool
	found := newFoundFailures()
	stats, err := checkInParallel(s.Cases()+count, workers, NewChecker, func(checker *Checker, index int) {
		if stop.Load() {
			return
		}
		c := s.Change(index)
		failures := checker.Check(c)
		sequence := s.Sequence(index)
		if sequence != nil {
			failures = slices.Concat(failures, checker.CheckSequence(sequence))
		}
		for _, f := range failures {
			if !options.Known[f.kind()] {
				stop.Store(options.First)
				found.add(FoundFailure{f, index, c, sequence})
			}
		}
	})
	if err != nil {
		return nil, err
	}
	report := &Report{Stats: stats, Counts: found.counts}
	if options.First || options.AsFound {
		report.Failures = found.sorted()
		return report, nil
	}
	if err := report.shrink(found.sorted()); err != nil {
		return nil, err
	}
	return report, nil
}

// shrink adds the failures to the report, each with a minimal change.
func (r *Report) shrink(found []FoundFailure) error {
	checker, err := NewChecker()
	if err != nil {
		return err
	}
	defer checker.Close()
	for _, f := range found {
		r.Failures = append(r.Failures, checker.minimize(f))
	}
	return nil
}
