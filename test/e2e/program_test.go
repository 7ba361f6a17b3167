package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestPrometheusProgram: prometheus.sh downloads Prometheus, and later finds it without network. If the download fails, the script
// prints no path, so TestPrometheus is skipped. In CI, the script fails instead. The test needs no cluster, so the file has no build
// tag.
func TestPrometheusProgram(t *testing.T) {
	t.Parallel()
	const works, fails = ": >prometheus_0_all.deb", "echo no network >&2; exit 100"
	stubs, cache := t.TempDir(), t.TempDir()
	stub := func(name, script string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(stubs, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	// A stub for dpkg-deb --extract FILE FOLDER.
	stub("dpkg-deb", `mkdir -p "$3/usr/bin" && printf '#!/bin/sh\n' >"$3/usr/bin/prometheus" && chmod +x "$3/usr/bin/prometheus"`)
	for _, tt := range []struct {
		name, aptGet, ci string
		program, said    string
		fails            bool
	}{
		{"no network in CI", fails, "true", "", "CI is set", true},
		{"no network", fails, "", "", "TestPrometheus IS SKIPPED", false},
		{"the first time", works, "true", "/prometheus", "done: ", false},
		{"once more, without network", fails, "true", "/prometheus", "", false},
	} {
		stub("apt-get", tt.aptGet)
		var said strings.Builder
		cmd := exec.CommandContext(t.Context(), "./prometheus.sh")
		cmd.Env = append(os.Environ(), "PATH="+stubs+":"+os.Getenv("PATH"), "XDG_CACHE_HOME="+cache, "CI="+tt.ci)
		cmd.Stderr = &said
		out, err := cmd.Output()
		if failed := err != nil; failed != tt.fails {
			t.Errorf("%s: %v\n%s", tt.name, err, &said)
		}
		program := strings.TrimSpace(string(out))
		if !strings.HasSuffix(program, tt.program) || (program == "") != (tt.program == "") {
			t.Errorf("%s: prometheus.sh prints %q, want a path that ends with %q", tt.name, program, tt.program)
		}
		if !strings.Contains(said.String(), tt.said) || tt.said == "" && said.Len() > 0 {
			t.Errorf("%s: the stderr of prometheus.sh is %q, want %q", tt.name, &said, tt.said)
		}
	}
}
