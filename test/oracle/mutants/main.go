// Command mutants measures the oracle. It makes small mistakes in the engine's source, one at a time, and reports whether
// the oracle finds each of them. A mutant that survives is a mistake that the oracle doesn't find.
//
// The mutants are written by hand, in mutants.txt. The command doesn't change the source: it passes each mistake to the
// go command as an overlay. It ignores the disagreements that TestOracle also finds in the unchanged engine. There should
// be none. It doesn't run TestLoginsFromBothSources on the unchanged engine, so this test must pass there.
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
	seed := flag.Uint64("seed", 1, "seed of the generated changes")
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

// mutant is a mistake: in one file, the text after replaces the text before.
type mutant struct {
	name, file, before, after string
}

func run(ctx context.Context, out io.Writer, root string, count int, seed uint64, only string) (survived int, err error) {
	root, err = filepath.Abs(root)
	if err != nil {
		return 0, err
	}
	list, err := readMutants("mutants/mutants.txt")
	if err != nil {
		return 0, err
	}
	if err := checkMutants(list, root); err != nil {
		return 0, err
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
				start := time.Now() //nolint:forbidigo // measures a duration to print
				killed, kind, err := m.test(ctx, root, filepath.Join(dir, fmt.Sprint(worker)), known, count, seed)
				mu.Lock()
				made++
				switch {
				case err != nil:
					failed = append(failed, err)
				case killed:
					fmt.Fprintf(out, "killed    %s (%s): %s\n", m.name, time.Since(start).Round(time.Second), kind)
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

// readMutants reads mutants.txt. The file has blocks that begin with "== NAME FILE" and hold a text, a line "=>" and the
// replacement of the text.
func readMutants(file string) ([]mutant, error) {
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
			return nil, fmt.Errorf("%s: the block %q has no file or no line =>", file, head)
		}
		list = append(list, mutant{name, path, before, strings.TrimRight(after, "\n")})
	}
	return list, nil
}

// checkMutants returns an error that names each mutant whose text is not in its file exactly once. After a change of the
// engine, some mutants may no longer fit, and must be changed too.
func checkMutants(list []mutant, root string) error {
	var bad []error
	for _, m := range list {
		if _, err := m.mutatedSource(root); err != nil {
			bad = append(bad, err)
		}
	}
	if len(bad) > 0 {
		return fmt.Errorf("mutants.txt does not fit the source:\n%w", errors.Join(bad...))
	}
	return nil
}

// mutatedSource returns the content of the mutant's file with the mistake. It fails if the file doesn't have the text exactly
// once.
func (m mutant) mutatedSource(root string) (string, error) {
	source, err := os.ReadFile(filepath.Join(root, m.file))
	if err != nil {
		return "", fmt.Errorf("%s: %w", m.name, err)
	}
	if n := strings.Count(string(source), m.before); n != 1 {
		return "", fmt.Errorf("%s: %s contains its text %d times, not once:\n%s", m.name, m.file, n, m.before)
	}
	return strings.Replace(string(source), m.before, m.after, 1), nil
}

// build builds the oracle's test. Its error contains the compiler's messages.
func build(ctx context.Context, output string, flags ...string) error {
	var stderr bytes.Buffer
	build := exec.CommandContext(ctx, "go", append(append([]string{"test", "-c", "-vet=off", "-ldflags=-s -w", "-o", output}, flags...), ".")...) //nolint:gosec // our own arguments
	build.Stderr = &stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("%w\n%s", err, stderr.String())
	}
	return nil
}

// baseline runs TestOracle on the unchanged source, and writes the kinds of its disagreements to the file known.
func baseline(ctx context.Context, out io.Writer, dir, known string, count int, seed uint64) error {
	program := filepath.Join(dir, "baseline")
	if err := build(ctx, program); err != nil {
		return fmt.Errorf("building the oracle: %w", err)
	}
	start := time.Now()                                                                                                                            //nolint:forbidigo // measures a duration to print
	test := exec.CommandContext(ctx, program, "-test.run=^TestOracle$", fmt.Sprint("-cases=", count), fmt.Sprint("-seed=", seed), "-kinds="+known) //nolint:gosec // our own arguments
	output, err := test.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return err
	}
	kinds, err := os.ReadFile(known)
	if err != nil {
		return fmt.Errorf("the oracle: %w\n%s", err, output)
	}
	fmt.Fprintf(out, "baseline  %d kinds of disagreements (%s)\n", bytes.Count(kinds, []byte("\n")), time.Since(start).Round(time.Second))
	return nil
}

// test builds the oracle with a mutant and runs it. killed reports whether the oracle finds the mutant, and kind is the kind of
// the first disagreement that is not among the known ones.
func (m mutant) test(ctx context.Context, root, dir, known string, count int, seed uint64) (killed bool, kind string, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return false, "", err
	}
	source, err := m.mutatedSource(root)
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
	test := exec.CommandContext(ctx, program, "-test.run=^(TestOracle|TestLoginsFromBothSources)$", fmt.Sprint("-cases=", count), "-pairs=500", fmt.Sprint("-seed=", seed), "-known="+known, "-first") //nolint:gosec // our own arguments
	output, err := test.CombinedOutput()
	if err == nil {
		return false, "", nil
	}
	for line := range strings.Lines(string(output)) {
		if _, kind, ok := strings.Cut(line, "first disagreement: "); ok {
			return true, strings.TrimSpace(kind), nil
		}
	}
	return false, "", fmt.Errorf("%s: the oracle failed without a disagreement: %w\n%s", m.name, err, output)
}
