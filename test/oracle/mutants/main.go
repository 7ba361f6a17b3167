// Command mutants measures the oracle: it makes one small mistake after the other in a copy of the engine's source,
// and reports whether the oracle sees it. A mutant that survives is a hole in the oracle.
//
// The mutants are hand-made, in mutants.txt. The source is not changed: go build gets the mistakes as an overlay. The
// kinds of disagreements that the unchanged engine has, of which there should be none, do not count.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"
)

func main() {
	log := os.Stderr
	root := flag.String("root", "../..", "the root module")
	count := flag.Int("cases", 12000, "changes to generate for each mutant; the oracle stops at the first disagreement")
	seed := flag.Uint64("seed", 1, "of what is generated")
	only := flag.String("only", "", "make only the mutants whose name contains this text")
	flag.Parse()
	survived, err := run(context.Background(), os.Stdout, *root, *count, *seed, *only)
	if err != nil {
		fmt.Fprintln(log, "error:", err)
		os.Exit(2) //nolint:forbidigo // this is main
	}
	if survived > 0 {
		os.Exit(1) //nolint:forbidigo // as above
	}
}

// mutant is a text of a file that is replaced by another one.
type mutant struct {
	name, file, before, after string
}

func run(ctx context.Context, out io.Writer, root string, count int, seed uint64, only string) (survived int, err error) {
	root, err = filepath.Abs(root)
	if err != nil {
		return 0, err
	}
	list, err := read("mutants/mutants.txt")
	if err != nil {
		return 0, err
	}
	// Every mutant must apply before the first one is made: engine code moves, and its mutants move with it.
	var bad []error
	for _, m := range list {
		if _, err := m.text(root); err != nil {
			bad = append(bad, err)
		}
	}
	if len(bad) > 0 {
		return 0, fmt.Errorf("mutants.txt does not fit the source:\n%w", errors.Join(bad...))
	}
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	known := filepath.Join(dir, "known")
	if err := baseline(ctx, out, dir, known, count, seed); err != nil {
		return 0, err
	}
	next := make(chan mutant)
	var mu sync.Mutex
	var wait sync.WaitGroup
	made := 0
	var failed []error
	for worker := range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			for m := range next {
				start := time.Now() //nolint:forbidigo // it is the clock that is asked
				killed, how, err := m.try(ctx, root, filepath.Join(dir, fmt.Sprint(worker)), known, count, seed)
				mu.Lock()
				made++
				switch {
				case err != nil:
					failed = append(failed, err)
				case killed:
					fmt.Fprintf(out, "killed    %s (%s): %s\n", m.name, time.Since(start).Round(time.Second), how)
				default:
					survived++
					fmt.Fprintf(out, "SURVIVED  %s: %s\n", m.name, m.file)
				}
				mu.Unlock()
			}
		})
	}
	for _, m := range list {
		if strings.Contains(m.name, only) {
			next <- m
		}
	}
	close(next)
	wait.Wait()
	fmt.Fprintf(out, "%d mutants made, %d killed, %d survived\n", made, made-survived-len(failed), survived)
	return survived, errors.Join(failed...)
}

// read reads mutants.txt: blocks that begin with "== NAME FILE" and hold a text, a line "=>" and its replacement.
func read(file string) ([]mutant, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	_, blocks, _ := strings.Cut("\n"+string(text), "\n== ")
	var list []mutant
	for block := range strings.SplitSeq(blocks, "\n== ") {
		head, body, _ := strings.Cut(block, "\n")
		name, path, ok := strings.Cut(head, " ")
		before, after, arrow := strings.Cut(body, "\n=>\n")
		if !ok || !arrow {
			return nil, fmt.Errorf("%s: the block %q has no file, or no line =>", file, head)
		}
		list = append(list, mutant{name, path, before, strings.TrimRight(after, "\n")})
	}
	return list, nil
}

// text is the file with the mistake in it.
func (m mutant) text(root string) (string, error) {
	source, err := os.ReadFile(filepath.Join(root, m.file))
	if err != nil {
		return "", fmt.Errorf("%s: %w", m.name, err)
	}
	if n := strings.Count(string(source), m.before); n != 1 {
		return "", fmt.Errorf("%s: %s holds its text %d times, not once:\n%s", m.name, m.file, n, m.before)
	}
	return strings.Replace(string(source), m.before, m.after, 1), nil
}

// build builds the oracle's test, and returns the compiler's words where it cannot.
func build(ctx context.Context, output string, flags ...string) error {
	var words bytes.Buffer
	build := exec.CommandContext(ctx, "go", append(append([]string{"test", "-c", "-vet=off", "-ldflags=-s -w", "-o", output}, flags...), ".")...) //nolint:gosec // our own arguments
	build.Stderr = &words
	if err := build.Run(); err != nil {
		return fmt.Errorf("%w\n%s", err, words.String())
	}
	return nil
}

// baseline runs the oracle on the source as it is, and writes the kinds of its disagreements.
func baseline(ctx context.Context, out io.Writer, dir, known string, count int, seed uint64) error {
	program := filepath.Join(dir, "baseline")
	if err := build(ctx, program); err != nil {
		return fmt.Errorf("building the oracle: %w", err)
	}
	start := time.Now()                                                                                                                            //nolint:forbidigo // it is the clock that is asked
	test := exec.CommandContext(ctx, program, "-test.run=^TestOracle$", fmt.Sprint("-cases=", count), fmt.Sprint("-seed=", seed), "-kinds="+known) //nolint:gosec // our own arguments
	words, err := test.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return err
	}
	kinds, err := os.ReadFile(known)
	if err != nil {
		return fmt.Errorf("the oracle: %w\n%s", err, words)
	}
	fmt.Fprintf(out, "baseline  %d kinds of disagreements (%s)\n", bytes.Count(kinds, []byte("\n")), time.Since(start).Round(time.Second))
	return nil
}

// try makes a mutant and runs the oracle until it disagrees in a way that is not known.
func (m mutant) try(ctx context.Context, root, dir, known string, count int, seed uint64) (killed bool, how string, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return false, "", err
	}
	source, err := m.text(root)
	if err != nil {
		return false, "", err
	}
	file, overlay, program := filepath.Join(dir, "mutant.go"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "oracle.test")
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(root, m.file): file}})
	if err != nil {
		return false, "", err
	}
	if err := errors.Join(os.WriteFile(file, []byte(source), 0o600), os.WriteFile(overlay, replace, 0o600)); err != nil {
		return false, "", err
	}
	if err := build(ctx, program, "-overlay="+overlay); err != nil {
		return false, "", fmt.Errorf("%s does not compile: %w", m.name, err)
	}
	test := exec.CommandContext(ctx, program, "-test.run=^TestOracle$", fmt.Sprint("-cases=", count), fmt.Sprint("-seed=", seed), "-known="+known, "-first") //nolint:gosec // our own arguments
	words, err := test.CombinedOutput()
	if err == nil {
		return false, "", nil
	}
	for line := range strings.Lines(string(words)) {
		if _, kind, ok := strings.Cut(line, "first disagreement: "); ok {
			return true, strings.TrimSpace(kind), nil
		}
	}
	return false, "", fmt.Errorf("%s: the oracle failed without a disagreement: %w\n%s", m.name, err, words)
}
