// Package cli implements the commands of kubectl-awsauth: their flags, output and exit statuses.
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

// The exit statuses. statusDenied usually means that the rules deny a change. The help text of each command says
// what its statuses mean. For example, diff returns statusDenied if it finds a difference.
const (
	statusOK     = 0
	statusDenied = 1
	statusFailed = 2
	// statusUnknown means that a command reads several clusters, and can't read one of them, or a part of one.
	statusUnknown = 3
)

// app is one run of the program.
type app struct {
	name           string // the command that the user types: kubectl awsauth or kubectl-awsauth
	stdin          io.Reader
	stdout, stderr io.Writer
	status         int
	warnings       []string // the warnings of the API server that the user has seen
	// collected gets the errors and notes about one cluster of several. If collected is nil, errors and notes go
	// to stderr.
	collected *collected
}

// collected holds the errors and notes about one cluster of several.
type collected struct {
	errs  []error
	notes []string
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

// programName returns the command that the user types. kubectl runs its plugins by their absolute path, so an
// absolute path means kubectl awsauth. A shell passes the name as the user typed it.
func programName(arg0 string) string {
	if filepath.IsAbs(arg0) {
		return "kubectl awsauth"
	}
	return "kubectl-awsauth"
}

// fail reports an error and sets the exit status to statusFailed. It collects the error if a.collected is set. Otherwise it prints the
// error, which may have several lines, and after a usageError also the command for help.
func (a *app) fail(err error) {
	a.status = statusFailed
	if a.collected != nil {
		a.collected.errs = append(a.collected.errs, err)
		return
	}
	a.printErrors(err)
	if usage := (*usageError)(nil); errors.As(err, &usage) {
		fmt.Fprintf(a.stderr, "Run '%s --help' for usage.\n", usage.command)
	}
}

// printErrors prints each line of an error.
func (a *app) printErrors(err error) {
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(a.stderr, "error: %s\n", report.OneLine(strings.TrimSuffix(line, "\n")))
	}
}

// note prints information for the user that is not an error, or collects it if a.collected is set.
func (a *app) note(format string, args ...any) {
	text := report.OneLine(fmt.Sprintf(format, args...))
	if a.collected != nil {
		a.collected.notes = append(a.collected.notes, text)
		return
	}
	fmt.Fprintf(a.stderr, "note: %s\n", text)
}

// usageError is an error in the command line's flags or arguments.
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
		Short:       "Check, explain and change aws-auth, the ConfigMap that maps IAM principals to users of an EKS cluster",
		Long: `Check, explain and change aws-auth, the ConfigMap that maps IAM principals to users of an EKS cluster.

The commands read manifests as kubectl and aws-iam-authenticator do, and check them with the rules of
the admission webhook awsauth-guard. For manifests they need no cluster and no AWS credentials, except with
flags such as --iam.

add, set, remove, edit, fix and rollback change aws-auth. They check each edit with the same rules before they
write it.

If you name no file, the commands read or change the live object in the cluster of the current context.
fix, history, rollback, doctor and whoami always need a cluster. history and rollback read the versions of
aws-auth that the webhook stored.`,
		Example: a.example(
			"kubectl-awsauth lint aws-auth.yaml",
			"kubectl-awsauth diff old.yaml new.yaml",
			"kubectl-awsauth add role arn:aws:sts::111122223333:assumed-role/ops/alice --preset admin",
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
	root.AddCommand(a.lintCommand(), a.explainCommand(), a.getCommand(), a.whoamiCommand(), a.doctorCommand(), a.diffCommand(), a.rulesCommand(), a.configCommand(),
		a.addCommand(), a.removeCommand(), a.setCommand(), a.editCommand(), a.fixCommand(), a.historyCommand(), a.rollbackCommand(), a.migrateCommand())
	return root
}

// usage returns a function that calls check and converts its error to a usageError.
func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return &usageError{cmd.CommandPath(), err}
		}
		return nil
	}
}

// example formats the examples of a help text. Each line is a comment or a command. example replaces kubectl-awsauth by the program's name
// as the user types it.
func (a *app) example(lines ...string) string {
	return strings.ReplaceAll("  "+strings.Join(lines, "\n  "), "kubectl-awsauth", a.name)
}
