package cli_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/awsauth-guard/awsauth-guard/internal/cli"
)

// run runs the program and returns its exit status and output.
func run(ctx context.Context, tb testing.TB, stdin string, args ...string) (status int, stdout, stderr string) {
	tb.Helper()
	var out, errs bytes.Buffer
	status = cli.Main(ctx, append([]string{"kubectl-awsauth"}, args...), strings.NewReader(stdin), &out, &errs)
	return status, out.String(), errs.String()
}

func writeFile(tb testing.TB, name, text string) {
	tb.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o600)); err != nil {
		tb.Fatal(err)
	}
}

func TestProgressOverwritesItsLine(t *testing.T) {
	var b bytes.Buffer
	cli.ShowProgress(&b, 300, 7, 120)
	if want := "\r7/300 files\r120/300 files\r\x1b[K"; b.String() != want {
		t.Errorf("%q, want %q", &b, want)
	}
}

// lint checks files in parallel, but reports them in the order of the arguments.
func TestLintReportsFilesInOrder(t *testing.T) {
	dir := t.TempDir()
	var want strings.Builder
	for i := range 200 {
		name := filepath.Join(dir, fmt.Sprintf("%03d.yaml", i))
		writeFile(t, name, manifest(i%7*20))
		fmt.Fprintf(&want, "%s:", name)
	}
	status, stdout, stderr := run(t.Context(), t, "", "lint", dir)
	var got strings.Builder
	for line := range strings.Lines(stdout) {
		if name, _, ok := strings.Cut(line, ":7:16: deny: "); ok {
			got.WriteString(name + ":")
		}
	}
	if status != 1 || got.String() != want.String() || stderr != "200 files, 200 aws-auth: 200 denied\n" {
		t.Errorf("status %d, %s%s", status, stdout, stderr)
	}
}

// manifest returns an aws-auth with a fault in its first entry, followed by more entries.
func manifest(entries int) string {
	var b strings.Builder
	b.WriteString("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: aws-auth\ndata:\n  mapRoles: |\n    - rolearn: arn:aws:iam::111122223333:role/team/a\n      username: a\n")
	for i := range entries {
		fmt.Fprintf(&b, "    - rolearn: arn:aws:iam::111122223333:role/role-%d\n      username: user-%d:{{SessionName}}\n      groups:\n      - group-%d\n", i, i, i)
	}
	return b.String()
}

// A file above the size limit is an error. If the user names only its folder, the file is an error only if it has a field name with the value
// aws-auth.
func TestLintLimitsFileSize(t *testing.T) {
	dir := t.TempDir()
	large, other := filepath.Join(dir, "large.yaml"), filepath.Join(dir, "sub", "other.yaml")
	padding := "# " + strings.Repeat("x", cli.MaxFile) + "\n"
	writeFile(t, large, padding+manifest(0))
	writeFile(t, other, padding+"kind: Secret # of aws-auth\n")
	message := large + " is larger than the limit of 3 MiB for a file; split it, or pass it on standard input (limit 64 MiB)\n"
	for _, args := range [][]string{{"lint", large}, {"lint", dir}} {
		if status, stdout, stderr := run(t.Context(), t, "", args...); status != 2 || stdout != "" || !strings.HasPrefix(stderr, "error: reading manifests: "+message) {
			t.Errorf("%v: status %d, %s%s", args, status, stdout, stderr)
		}
	}
	if status, _, stderr := run(t.Context(), t, "", "lint", filepath.Dir(other)); status != 0 {
		t.Errorf("other: status %d, %s", status, stderr)
	}
	if status, _, stderr := run(t.Context(), t, "", "lint", other); status != 2 {
		t.Errorf("other, named: status %d, %s", status, stderr)
	}
	if status, stdout, stderr := run(t.Context(), t, padding+manifest(0), "lint", "-"); status != 1 || !strings.Contains(stdout, "[role-path]") {
		t.Errorf("stdin: status %d, %s%s", status, stdout, stderr)
	}
}

// A dangling link in a folder is an error, because lint can't read the file.
func TestLintFailsOnDanglingLink(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink(filepath.Join(dir, "nowhere"), filepath.Join(dir, "link.yaml")); err != nil {
		t.Fatal(err)
	}
	status, _, stderr := run(t.Context(), t, "", "lint", dir)
	if status != 2 || !strings.Contains(stderr, "link.yaml: no such file or directory") {
		t.Errorf("status %d, %s", status, stderr)
	}
}

// BenchmarkLintFolder lints a folder of 100 files with 20 entries each. It reports the time for one file in µs.
func BenchmarkLintFolder(b *testing.B) {
	const files = 100
	dir := b.TempDir()
	text := strings.Replace(manifest(20), "role/team/a", "role/a", 1)
	for i := range files {
		writeFile(b, filepath.Join(dir, fmt.Sprintf("%03d.yaml", i)), text)
	}
	b.ReportAllocs()
	for b.Loop() {
		if status, _, stderr := run(b.Context(), b, "", "lint", dir); status != 0 {
			b.Fatal(stderr)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*files), "µs/file")
}
