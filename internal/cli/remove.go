package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// forceHelp is the part of the help text that the commands with --force share.
const forceHelp = `--force sets its reason as the annotation awsauth-guard.io/break-glass. If you have no right to break the
glass, the webhook refuses the edit.`

// editHelp is the part of the help text that the commands for editing share.
const editHelp = `Without -f the command changes the live aws-auth of the current context, in these steps:
  1. It shows the access that each principal gains or loses, and the findings of the rules for the edit.
  2. If the rules deny the edit, it stops, unless --force gives a reason.
  3. It sends a dry run, which the webhook evaluates, and asks you to confirm. --yes skips this step.
  4. It writes the edit, if aws-auth did not change in the meantime. Otherwise it begins again with the
     new version.
With -f FILE it prints the new manifest, and with -i it writes the FILE. Comments, order and style stay.

With --cluster-name it also reads the authentication mode of the EKS cluster. In the mode API aws-auth has no
effect: the command changes nothing and prints the command for the access entry. Without --cluster-name a
note says that the mode is not known.

` + forceHelp

type removeOptions struct {
	editOptions
	nameOptions
}

func (a *app) removeCommand() *cobra.Command {
	o := &removeOptions{}
	cmd := &cobra.Command{
		Use:   "remove PRINCIPAL",
		Short: "Remove the entries of a role, user or account",
		Long: `Remove the entries of a role, user or account from aws-auth.

PRINCIPAL is an ARN in any form that add takes, a name with --account, or an account of 12 digits. remove
shows every entry of the principal and removes all of them, also entries that never had an effect because
of a mistake in the ARN. If the ARN of an entry is not valid, give exactly its text as PRINCIPAL.

The guard refuses a change that removes a node role, unless the change names the role. You name it here, so
remove sets the annotation awsauth-guard.io/allow-removal, in the cluster or in the FILE of -f. First delete
the nodes: they stop working.

` + editHelp + `

Exit status: 0 success, 1 denied or not confirmed, 2 an error, or no entry has the PRINCIPAL.`,
		Example: a.example(
			"# This node group is gone",
			"kubectl-awsauth remove arn:aws:iam::111122223333:role/my-nodes",
			"# My colleague has left the team",
			"kubectl-awsauth remove bob --account 111122223333",
			"# Show the effect, and change nothing",
			"kubectl-awsauth remove arn:aws:iam::111122223333:role/ci --dry-run=client",
			"kubectl-awsauth remove arn:aws:iam::111122223333:role/ci -f aws-auth.yaml -i",
		),
		Args: usage(func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return notOnePrincipal("remove", args)
			}
			return o.check(cmd)
		}),
		RunE: func(cmd *cobra.Command, args []string) error { return a.remove(cmd.Context(), o, args[0]) },
	}
	o.nameOptions.addTo(cmd)
	o.editOptions.addTo(cmd)
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	return cmd
}

func (a *app) remove(ctx context.Context, o *removeOptions, text string) error {
	if strings.TrimSpace(text) == "" {
		return errNoPrincipal
	}
	named := o.parseAny(text)
	if len(named) == 0 && !strings.Contains(text, ":") && o.account == "" {
		return fmt.Errorf("%q is not an ARN or an account of 12 digits; add --account ID to give the name of a role or user", text)
	}
	e := &editRun{app: a, options: &o.editOptions, edit: func(v editedVersion) (textEdit, error) { return removeFrom(v, text, named) }}
	e.onModeAPI = func() {
		if _, arn, found := e.accessEntryOf(named); found {
			a.showCommand(o.awsCluster().AccessEntry("delete", arn))
		}
	}
	return e.run(ctx)
}

// removeFrom returns the edit that removes the elements of the principals from a version. text is the principal as the user wrote it. The
// edit also removes an element with exactly this text in place of an ARN.
func removeFrom(v editedVersion, text string, named []principal) (textEdit, error) {
	s, document := newSectionEdits(v), v.Parse()
	entries := entriesOf(document.Map, func(arn string) bool {
		return arn == text || slices.ContainsFunc(named, func(p principal) bool {
			return p.id == "" && p.has(arn)
		})
	})
	if err := s.removeEntries(entries, "removes %s, the entry of %s"); err != nil {
		return textEdit{}, err
	}
	found := len(entries)
	for _, p := range named {
		if p.id == "" {
			continue
		}
		indexes, _ := accountsOf(document, p.id)
		for _, i := range indexes {
			s.note("removes data.mapAccounts[%d], the account %s", i, p.id)
		}
		if err := s.removeAccounts(indexes); err != nil {
			return textEdit{}, err
		}
		found += len(indexes)
	}
	if found == 0 {
		return textEdit{}, missingEntry(v, text)
	}
	result := s.result()
	result.nodeRoles = s.nodeRolesLost()
	return result, nil
}

// missingEntry returns the error for a principal that no entry has. If the authenticator can't load a section, the error also says so,
// because this section may have the entry.
func missingEntry(v editedVersion, text string) error {
	return errors.Join(fmt.Errorf("no entry of %s has the principal %s; kubectl awsauth get%s lists the principals", v.name, text, v.fileFlag()), v.readable(awsauth.Sections()...))
}

// notOnePrincipal returns the error for the arguments of a command that takes one PRINCIPAL. Unlike add, such a command takes no kind.
func notOnePrincipal(command string, args []string) error {
	if len(args) == 2 && slices.Contains([]string{kindRole, kindUser, kindAccount}, args[0]) {
		return fmt.Errorf("%s takes only the PRINCIPAL; leave out %q before it", command, args[0])
	}
	return fmt.Errorf("%d arguments, but %s takes one PRINCIPAL", len(args), command)
}
