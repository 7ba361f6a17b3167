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
	// lintEntries are in each file that is linted.
	lintEntries = 20
	// maxLint is the target of linting the most of lintFiles.
	maxLint = 20 * time.Second
	// maxGrowth is the target of the memory for the most files, in times of that for the fewest: the
	// names of the files are all that is kept.
	maxGrowth = 1.5
)

// lintFiles are how many files are linted, in turns.
var lintFiles = []int{1000, 10_000}

// measureLint runs the command line over folders of files without a finding, and prints its time and
// the most memory that it had.
func measureLint(ctx context.Context, w io.Writer) error {
	folder, err := os.MkdirTemp("", "awsauth-guard-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	program := filepath.Join(folder, "kubectl-awsauth")
	build := exec.CommandContext(ctx, "go", "build", "-C", "../..", "-o", program, "./cmd/kubectl-awsauth") //nolint:gosec // our own, in a folder of ours
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

// lint returns how long it took and the most memory that was resident, in bytes.
func lint(ctx context.Context, program, files string) (took time.Duration, peak int64, err error) {
	cmd := exec.CommandContext(ctx, program, "lint", files) //nolint:gosec // as above
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	begin := time.Now() //nolint:forbidigo // it is the clock that is asked
	if err := cmd.Start(); err != nil {
		return 0, 0, fmt.Errorf("linting %s: %w", files, err)
	}
	// What wait4 says of a process holds also what its parent had when it was started.
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

// highWaterMark is the most memory that a process has had resident until now, in bytes; none once it
// has ended.
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

// writeManifests writes n files, all with the same object.
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
