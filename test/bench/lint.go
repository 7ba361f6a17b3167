package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	// lintEntries is the number of entries in each linted file.
	lintEntries = 20
	// maxLint is the target for the time to lint the largest number of files.
	maxLint = 20 * time.Second
	// maxGrowth is the target for the memory that lint needs for the largest number of files. The unit is its memory
	// for the smallest number. Lint keeps only the names of the files, so its memory hardly grows.
	maxGrowth = 1.5
)

// lintFiles has the number of files of each run of lint.
var lintFiles = []int{1000, 10_000}

// measureLint lints folders of files without findings. It prints the time and the largest resident memory of each
// run.
func measureLint(ctx context.Context, w io.Writer) error {
	folder, err := os.MkdirTemp("", "awsauth-guard-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	program := filepath.Join(folder, "kubectl-awsauth")
	build := exec.CommandContext(ctx, "go", "build", "-C", "../..", "-o", program, "./cmd/kubectl-awsauth") //nolint:gosec // builds a program of this repository in a temporary folder
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building kubectl-awsauth: %w\n%s", err, out)
	}
	var fewest int64
	for i, n := range lintFiles {
		files := filepath.Join(folder, fmt.Sprint(n))
		if err := writeManifests(files, n); err != nil {
			return err
		}
		took, peak, err := lint(ctx, program, files)
		if err != nil {
			return err
		}
		if i == 0 {
			fewest = peak
			fmt.Fprintf(w, "lint of %6d files of %d entries: %6.2f s, at most %3d MiB\n", n, lintEntries, took.Seconds(), peak>>20)
			continue
		}
		growth := float64(peak) / float64(fewest)
		fmt.Fprintf(w, "lint of %6d files of %d entries: %6.2f s (target %.0f s: %s), at most %3d MiB (%.2f times, target %.1f: %s)\n",
			n, lintEntries, took.Seconds(), maxLint.Seconds(), met(took <= maxLint), peak>>20, growth, maxGrowth, met(growth <= maxGrowth))
	}
	return nil
}

// lint lints a folder. It returns the time of the run, and the largest resident memory in bytes.
func lint(ctx context.Context, program, files string) (took time.Duration, peak int64, err error) {
	cmd := exec.CommandContext(ctx, program, "lint", files) //nolint:gosec // as above
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	begin := time.Now() //nolint:forbidigo // reads the real clock
	if err := cmd.Start(); err != nil {
		return 0, 0, fmt.Errorf("linting %s: %w", files, err)
	}
	// Read the memory from /proc, because the figure of wait4 includes the memory that the parent had when it started
	// the child.
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			if err != nil {
				return 0, 0, fmt.Errorf("linting %s: %w\n%s", files, err, &out)
			}
			return time.Since(begin), peak, nil
		case <-tick.C:
			if now, ok := highWaterMark(cmd.Process.Pid); ok {
				peak = now
			}
		}
	}
}

// highWaterMark returns the largest resident memory that a process has had so far, in bytes. It returns false if the
// process has ended.
func highWaterMark(pid int) (int64, bool) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, false
	}
	_, rest, found := strings.Cut(string(status), "VmHWM:")
	var kib int64
	if _, err := fmt.Sscan(rest, &kib); !found || err != nil {
		return 0, false
	}
	return kib << 10, true
}

// writeManifests writes n files with the same object.
func writeManifests(folder string, n int) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	manifest, err := configMap(newEdit(lintEntries, 0).new)
	if err != nil {
		return err
	}
	for i := range n {
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("aws-auth-%05d.json", i)), manifest, 0o600); err != nil {
			return err
		}
	}
	return nil
}
