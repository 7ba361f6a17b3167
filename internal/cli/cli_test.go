package cli_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/cli"
	"github.com/awsauth-guard/awsauth-guard/internal/eks/ekstest"
	"github.com/awsauth-guard/awsauth-guard/internal/iam/iamtest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"aws": fakeAWS,
		"kubectl-awsauth": func() {
			os.Exit(cli.Main(context.Background(), os.Args, os.Stdin, os.Stdout, os.Stderr))
		},
	})
}

// TestScripts runs the scripts that need no cluster. UPDATE_GOLDEN=1 rewrites their expected output.
func TestScripts(t *testing.T) {
	examples, err := filepath.Abs("../../examples")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		UpdateScripts:       os.Getenv("UPDATE_GOLDEN") != "",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("EXAMPLES", examples)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "utf16": utf16File, "iam": startIAM, "eks": startEKS},
	})
}

// exits runs a program like the command exec. It checks that the exit status equals the first argument.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS PROGRAM ARGUMENT…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	err = ts.Exec(args[1], args[2:]...)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// utf16File converts a file to UTF-16, with a byte order mark if the last argument is bom.
func utf16File(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: utf16 FROM TO le|be [bom]")
	}
	text := ts.ReadFile(args[0])
	if len(args) > 3 {
		text = "\ufeff" + text
	}
	var order binary.AppendByteOrder = binary.LittleEndian
	if args[2] == "be" {
		order = binary.BigEndian
	}
	var b []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		b = order.AppendUint16(b, unit)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), b, 0o600))
}

// startIAM starts a server that imitates IAM with the principals in args. The programs of the script call this server.
func startIAM(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: iam ARN…")
	}
	server := iamtest.Start(ts.MkAbs("aws"))
	ts.Defer(server.Close)
	server.Add(args...)
	for _, pair := range server.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		ts.Setenv(name, value)
	}
}

// startEKS starts a server that imitates EKS. Its cluster has the authentication mode in args and no access entries.
// The programs of the script call this server.
func startEKS(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: eks MODE")
	}
	server := ekstest.Start()
	ts.Defer(server.Close)
	server.Set(access.Mode(args[0]))
	for name, value := range ekstest.Environ(server) {
		ts.Setenv(name, value)
	}
}

// The help text shows kubectl awsauth if kubectl runs the plugin, which it does by the absolute path.
func TestHelpShowsCommandAsTyped(t *testing.T) {
	for name, want := range map[string]string{
		"/usr/local/bin/kubectl-awsauth": "  kubectl awsauth lint [FILE…] [flags]\n",
		"kubectl-awsauth":                "  kubectl-awsauth lint [FILE…] [flags]\n",
		"bin/kubectl-awsauth":            "  kubectl-awsauth lint [FILE…] [flags]\n",
	} {
		var stdout, stderr bytes.Buffer
		status := cli.Main(t.Context(), []string{name, "lint", "--help"}, strings.NewReader(""), &stdout, &stderr)
		if status != 0 || stderr.Len() > 0 || !strings.Contains(stdout.String(), want) {
			t.Errorf("%s: status %d, stderr %q, no %q in\n%s", name, status, &stderr, want, &stdout)
		}
	}
}

// failingWriter is an output whose writes fail, as on a full disk.
type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("disk full") }

// A command fails if it cannot write its output.
func TestOutputErrorIsFailure(t *testing.T) {
	for _, args := range []string{
		"lint -o json ../../examples/aws-auth.yaml",
		"lint ../../examples/broken.yaml",
		"lint -o github ../../examples/broken.yaml",
		"lint -o sarif ../../examples/aws-auth.yaml",
		"lint -o junit ../../examples/aws-auth.yaml",
		"diff ../../examples/aws-auth.yaml ../../examples/broken.yaml",
		"rules",
		"rules role-path -o markdown",
		"config check ../../examples/guard.yaml",
		"explain -f ../../examples/aws-auth.yaml arn:aws:iam::111122223333:role/deploy",
		"get -f ../../examples/aws-auth.yaml",
		"get -f ../../examples/aws-auth.yaml -o json",
		"get -f ../../examples/aws-auth.yaml -o name",
		"add role a --account 111122223333 --group b -f ../../examples/aws-auth.yaml",
		"add role a --account 111122223333 --group b -f ../../examples/aws-auth.yaml -o json",
		"add role a --account 111122223333 --group b --print cdk",
		"migrate plan -f ../../examples/aws-auth.yaml --entries ../../examples/entries.json",
		"migrate plan -f ../../examples/aws-auth.yaml --entries ../../examples/entries.json -o json",
		"migrate verify -f ../../examples/aws-auth.yaml --entries ../../examples/entries.json",
	} {
		var stderr bytes.Buffer
		status := cli.Main(t.Context(), append([]string{"kubectl-awsauth"}, strings.Fields(args)...), strings.NewReader(""), failingWriter{}, &stderr)
		if want := "error: writing the output: disk full\n"; status != 2 || !strings.HasSuffix(stderr.String(), want) {
			t.Errorf("%s: status %d, stderr %q", args, status, &stderr)
		}
	}
}
