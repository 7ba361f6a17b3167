package cli

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/awsauth-guard/awsauth-guard/internal/fix"
)

func (a *app) fixCommand() *cobra.Command {
	o := &editOptions{}
	cmd := &cobra.Command{
		Use:   "fix",
		Short: "Correct the findings in the live aws-auth whose hint leaves no choice",
		Long: `Correct the findings in the live aws-auth whose hint leaves no choice, such as a path in the ARN of a role.

fix keeps a correction only if the finding is gone, no new denial appears, and no principal loses access. Only the
lines with the findings change. kubectl awsauth rules shows which rules have corrections. To correct a file, run
kubectl awsauth lint --fix FILE.

fix changes the live aws-auth of the current context, in these steps:
  1. It prints the corrections, the access that each principal gains or loses, and the findings of the rules
     for the edit.
  2. If the rules deny the edit, it stops, unless --force gives a reason.
  3. It sends a dry run, which the webhook evaluates, and asks you to confirm. --yes skips this step.
  4. It writes the edit, if aws-auth did not change in the meantime. Otherwise it begins again with the
     new version.

Exit status: 0 success or nothing to correct, 1 denied, not confirmed, or the authentication mode is API, 2 an error.`,
		Example: a.example(
			"# Show the corrections, and send a dry run to the webhook",
			"kubectl-awsauth fix --dry-run",
			"kubectl-awsauth fix --context prod",
		),
		Args: usage(func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("fix takes no arguments, got %d; to correct a file, run kubectl awsauth lint --fix FILE", len(args))
			}
			return o.check(cmd)
		}),
		RunE: func(cmd *cobra.Command, _ []string) error {
			e := &editRun{app: a, options: o}
			e.edit = e.fix
			return e.run(cmd.Context())
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	o.addLiveTo(cmd)
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if unknown := (*pflag.NotExistError)(nil); errors.As(err, &unknown) && slices.Contains([]string{"f", "filename", "i", "in-place"}, unknown.GetSpecifiedName()) {
			err = fmt.Errorf("%w; fix changes only the live aws-auth; to correct a file, run kubectl awsauth lint --fix FILE", err)
		}
		return &usageError{cmd.CommandPath(), err}
	})
	return cmd
}

// fix returns an edit of a version of the live object. The edit corrects the findings whose hint leaves no choice, and has a note for each
// corrected finding. If fix did not try all corrections, the edit has a note about this. fix returns an error if aws-auth does not exist.
func (e *editRun) fix(v editedVersion) (textEdit, error) {
	if v.absent {
		return textEdit{}, fmt.Errorf("aws-auth does not exist, so there is nothing to correct: %s", v.name)
	}
	r := fix.Object(v.Object, e.policy)
	change := textEdit{texts: r.Texts(v.Object)}
	for from := range r.Renamed {
		change.dropped = append(change.dropped, from)
	}
	for _, f := range r.Fixed {
		note := fmt.Sprintf("corrected %s: %s [%s]", f.Path, f.Message, f.Rule)
		if f.Hint != "" {
			note += ": " + f.Hint
		}
		change.notes = append(change.notes, note)
	}
	if r.Untried > 0 {
		change.notes = append(change.notes, untriedNote(r.Untried))
	}
	return change, nil
}
