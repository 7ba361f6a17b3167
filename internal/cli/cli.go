// Package cli is the command line: its commands, their options and exit statuses.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/awsauth-guard/awsauth-guard/internal/report"
	"github.com/awsauth-guard/awsauth-guard/internal/version"
)

// The exit statuses. Not mapped is the explain command's denial.
const (
	statusOK     = 0
	statusDenied = 1
	statusFailed = 2
)

// app is one run of the program.
type app struct {
	name           string // as the user calls the program
	stdin          io.Reader
	stdout, stderr io.Writer
	status         int
}

// Main runs the command line and returns the exit status. As in os.Args, args[0] is the program's name.
func Main(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{name: programName(args[0]), stdin: stdin, stdout: stdout, stderr: stderr}
	root := a.rootCommand()
	root.SetArgs(args[1:])
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	if err := root.ExecuteContext(ctx); err != nil {
		a.fail(err)
	}
	return a.status
}

// programName is how the user calls the program. kubectl runs its plugins by their absolute path;
// a shell passes on what the user has typed.
func programName(arg0 string) string {
	if filepath.IsAbs(arg0) {
		return "kubectl awsauth"
	}
	return "kubectl-awsauth"
}

// fail prints an error, which may have several lines, and makes the run one that could not work.
func (a *app) fail(err error) {
	a.status = statusFailed
	a.printErrors(err)
	if usage := (*usageError)(nil); errors.As(err, &usage) {
		fmt.Fprintf(a.stderr, "Run '%s --help' for the usage.\n", usage.command)
	}
}

// printErrors prints each line of an error.
func (a *app) printErrors(err error) {
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(a.stderr, "error: %s\n", report.OneLine(strings.TrimSuffix(line, "\n")))
	}
}

// note prints what somebody should know and what is no error.
func (a *app) note(format string, args ...any) {
	fmt.Fprintf(a.stderr, "note: %s\n", report.OneLine(fmt.Sprintf(format, args...)))
}

// usageError is a command line that cannot be meant.
type usageError struct {
	command string
	err     error
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:         "kubectl-awsauth",
		Annotations: map[string]string{cobra.CommandDisplayNameAnnotation: a.name},
		Short:       "Judge and explain aws-auth, the ConfigMap that decides who may log in to an EKS cluster",
		Long: `Judge and explain aws-auth, the ConfigMap that decides who may log in to an EKS cluster.

It reads manifests as kubectl and aws-iam-authenticator read them, and judges them by the rules of
the admission webhook awsauth-guard. It needs no AWS account, and a cluster only where no file is
named: then it reads the live object of the current context. What the webhook has kept of earlier
versions is in the cluster, too: history shows it, and rollback puts it back.`,
		Example: a.example(
			"kubectl-awsauth lint aws-auth.yaml",
			"kubectl-awsauth diff old.yaml new.yaml",
			"kubectl-awsauth explain arn:aws:sts::111122223333:assumed-role/admin/alice -f aws-auth.yaml",
		),
		Version:       version.String(),
		Args:          usage(cobra.NoArgs),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetVersionTemplate("kubectl-awsauth {{.Version}}\n")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return &usageError{cmd.CommandPath(), err} })
	root.AddCommand(a.lintCommand(), a.explainCommand(), a.diffCommand(), a.rulesCommand(), a.configCommand(),
		a.historyCommand(), a.rollbackCommand())
	return root
}

// usage makes the error of an argument check one of usage.
func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return &usageError{cmd.CommandPath(), err}
		}
		return nil
	}
}

// example is a help text's examples, each a line that can be run.
func (a *app) example(lines ...string) string {
	return strings.ReplaceAll("  "+strings.Join(lines, "\n  "), "kubectl-awsauth", a.name)
}
