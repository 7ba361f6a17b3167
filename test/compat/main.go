// Command compat runs the tests that need an API server on several versions of Kubernetes. It prints one line for each
// version and check, and writes the results into docs/reference/kubernetes-versions.md. It fails if a check fails.
//
// The script tools/controlplane.sh compiles the API server of a version when it is used for the first time.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// page is the file with the results, below the root of the repository.
const page = "docs/reference/kubernetes-versions.md"

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err := run(ctx, os.Args[1:], os.Stdout)
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "compat:", err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("compat", flag.ContinueOnError)
	chosen := flags.String("versions", "", "versions of Kubernetes, such as \"1.30 1.37\"; default: every version of tools/kubernetes")
	root := flags.String("root", ".", "the root of the repository")
	if err := flags.Parse(args); err != nil {
		return err
	}
	pinned, err := pinnedVersions(ctx, *root)
	if err != nil {
		return err
	}
	versions := strings.Fields(*chosen)
	if len(versions) == 0 {
		versions = pinned
	}
	path := filepath.Join(*root, filepath.FromSlash(page))
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading the results of the other versions: %w", err)
	}
	t, err := readTable(string(text))
	if err != nil {
		return fmt.Errorf("reading %s: %w", page, err)
	}
	t.setVersions(pinned)
	var failed []string
	for _, version := range versions {
		column, err := testVersion(ctx, out, *root, version)
		if err != nil {
			return fmt.Errorf("checking Kubernetes %s: %w", version, err)
		}
		t[version] = column
		if column.failed() {
			failed = append(failed, version)
		}
		if err := os.WriteFile(path, []byte(t.writeInto(string(text))), 0o644); err != nil { //nolint:gosec // everyone may read the page
			return fmt.Errorf("writing the results: %w", err)
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("checks fail on Kubernetes %s", strings.Join(failed, ", "))
	}
	return nil
}

// pinnedVersions returns the versions of Kubernetes that tools/controlplane.sh can build, such as 1.30, oldest first.
func pinnedVersions(ctx context.Context, root string) ([]string, error) {
	out, err := exec.CommandContext(ctx, filepath.Join(root, "tools", "controlplane.sh"), "--list").Output() //nolint:gosec // a script of this repository
	if err != nil {
		return nil, fmt.Errorf("listing the versions of Kubernetes: %w", err)
	}
	return strings.Fields(string(out)), nil
}

// testVersion runs every suite on one version, prints the result of each check, and returns the results.
func testVersion(ctx context.Context, out io.Writer, root, version string) (column, error) {
	assets, release, err := controlPlane(ctx, root, version)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(out, "Kubernetes %s\n", release)
	var results results
	for _, s := range suites {
		r, err := s.run(ctx, root, assets)
		if err != nil {
			return nil, err
		}
		results.add(r)
	}
	for _, output := range results.failures {
		fmt.Fprintln(out, output)
	}
	c := column{releaseRow: release}
	for _, check := range checks {
		passes, err := results.of(check)
		if err != nil {
			return nil, err
		}
		c[check.title] = no
		if passes {
			c[check.title] = yes
		}
		fmt.Fprintf(out, "  %-4s %s\n", c[check.title], check.title)
	}
	return c, nil
}

// controlPlane returns the folder with the programs of a version, and the release that its kube-apiserver reports, such
// as v1.30.14.
func controlPlane(ctx context.Context, root, version string) (assets, release string, err error) {
	build := exec.CommandContext(ctx, filepath.Join(root, "tools", "controlplane.sh"), version) //nolint:gosec // a script of this repository
	build.Stderr = os.Stderr
	out, err := build.Output()
	if err != nil {
		return "", "", fmt.Errorf("building the control plane: %w", err)
	}
	assets = strings.TrimSpace(string(out))
	out, err = exec.CommandContext(ctx, filepath.Join(assets, "kube-apiserver"), "--version").Output() //nolint:gosec // the program that the script built
	if err != nil {
		return "", "", fmt.Errorf("reading the version of kube-apiserver: %w", err)
	}
	release, ok := strings.CutPrefix(strings.TrimSpace(string(out)), "Kubernetes ")
	if !ok || !strings.HasPrefix(release, "v"+version+".") {
		return "", "", errors.New("kube-apiserver says that it is " + strings.TrimSpace(string(out)))
	}
	return assets, release, nil
}
