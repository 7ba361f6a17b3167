package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// suite is a package of tests that need an API server.
type suite struct {
	name   string
	module string // the folder of its module
	pkg    string // the package, as an argument for go test
}

var suites = []suite{
	{name: "integration", module: ".", pkg: "./test/integration"},
	{name: "chart", module: "test/chart", pkg: "."},
}

// run runs the suite with the control plane in the folder assets. It returns no error if tests fail.
func (s suite) run(ctx context.Context, root, assets string) (results, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-json", "-count=1", "-timeout=30m", s.pkg) //nolint:gosec // constants
	cmd.Dir = filepath.Join(root, filepath.FromSlash(s.module))
	cmd.Env = append(os.Environ(), "KUBEBUILDER_ASSETS="+assets)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		return results{}, fmt.Errorf("running the tests of %s: %w", s.name, err)
	}
	r, readErr := s.read(bytes.NewReader(out))
	if readErr != nil {
		return results{}, fmt.Errorf("reading the results of %s: %w\n%s", s.name, readErr, &errs)
	}
	return r, nil
}

// event is a line of `go test -json`, as `go doc test2json` describes it.
type event struct {
	Action string `json:"Action"`
	Test   string `json:"Test"`
	Output string `json:"Output"`
}

// read reads the output of `go test -json`. A skipped test counts as failed, because it doesn't show that its promise
// holds. The results also have the package itself, under the name of the suite. The package counts as failed if it
// doesn't build, or if it ends too early.
func (s suite) read(stream io.Reader) (results, error) {
	r := results{tests: map[string]bool{}}
	output := map[string]string{}
	for decoder := json.NewDecoder(stream); ; {
		var e event
		if err := decoder.Decode(&e); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return results{}, err
		}
		name := strings.TrimSuffix(s.name+"/"+e.Test, "/")
		switch e.Action {
		case "output", "build-output":
			output[name] += e.Output
		case "run", "start":
			r.tests[name] = false // until it has passed
		case "pass":
			r.tests[name] = true
		}
	}
	if len(r.tests) == 0 {
		return results{}, errors.New("go test reports no test")
	}
	for name, passes := range r.tests {
		if !passes && output[name] != "" {
			r.failures = append(r.failures, "FAIL "+name+"\n"+output[name])
		}
	}
	slices.Sort(r.failures)
	return r, nil
}
