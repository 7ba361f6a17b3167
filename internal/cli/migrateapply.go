package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/eks"
	"github.com/awsauth-guard/awsauth-guard/internal/migrate"
	"github.com/awsauth-guard/awsauth-guard/internal/report"
)

// applyOptions are the flags of migrate apply.
type applyOptions struct {
	migrateOptions

	dryRun, yes bool
}

func (a *app) migrateApplyCommand() *cobra.Command {
	o := &applyOptions{}
	cmd := &cobra.Command{
		Use:   "apply",
		Short: "Create the access entries of the plan",
		Long: `Create the access entries of the plan in EKS.

apply shows the plan, and then asks you to confirm at a terminal. --yes skips the question. Without a terminal,
apply creates nothing unless you set --yes. With --dry-run it only shows the plan.

It creates the missing access entries one by one, and reads each again to verify it. It stops at the first
error, and can be run again. It changes no access entry that exists. If EKS refuses an access policy, apply
deletes the new access entry, because an access entry without its policy would take access away.

apply never changes the authentication mode. EKS needs the mode API_AND_CONFIG_MAP for access entries.

apply needs the permissions of plan, and eks:CreateAccessEntry, eks:AssociateAccessPolicy and
eks:DeleteAccessEntry. For access entries of nodes it also needs iam:PassRole.

Exit status: 0 success, 1 not confirmed, 2 an error.`,
		Example: a.example(
			"kubectl-awsauth migrate apply --cluster-name prod --region eu-west-1 --iam",
			"kubectl-awsauth migrate apply --cluster-name prod --iam --yes",
		),
		Args: usage(func(cmd *cobra.Command, args []string) error {
			if err := o.check(cmd, args); err != nil {
				return err
			}
			switch {
			case o.clusterName == "":
				return errors.New("apply needs --cluster-name")
			case o.dryRun && o.yes:
				return errors.New("--dry-run creates nothing, so it excludes --yes")
			}
			return nil
		}),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.migrateApply(cmd.Context(), o) },
	}
	o.addTo(cmd)
	flags := cmd.Flags()
	flags.BoolVar(&o.iam, "iam", false, "look up in IAM the paths of roles and which principals were deleted; needs iam:GetRole and iam:GetUser")
	flags.BoolVar(&o.noRolePaths, "no-role-paths", false, "your assurance that no role in aws-auth has a path, if you can't use --iam")
	flags.BoolVar(&o.dryRun, "dry-run", false, "only show the plan, without a question")
	flags.BoolVar(&o.yes, "yes", false, "create the access entries without a question")
	return cmd
}

func (a *app) migrateApply(ctx context.Context, o *applyOptions) error {
	s, err := a.readMigration(ctx, &o.migrateOptions)
	if err != nil {
		return err
	}
	if s.cluster.Mode == access.ModeAPI {
		return fmt.Errorf("the authentication mode of %s is API, so aws-auth gives no access, and apply would give access that the principals don't have now; "+
			"write the access entries with kubectl awsauth migrate plan -o cli, and check them", o.clusterName)
	}
	plan, err := a.plan(ctx, &o.migrateOptions, s)
	if err != nil {
		return err
	}
	if err := outputError(writePlan(a.stdout, &plan)); err != nil {
		return err
	}
	if s.cluster.Mode == access.ModeConfigMap {
		a.note("nothing was created: EKS makes access entries only in the authentication mode API_AND_CONFIG_MAP. No mode can be changed back. The command is:")
		a.showCommand(o.modeCommand(access.ModeAPIAndConfigMap))
		if o.yes {
			return errors.New("the authentication mode is CONFIG_MAP; change it first")
		}
		return nil
	}
	var missing []migrate.Move
	for _, m := range plan.Move {
		if m.Existing == "" {
			missing = append(missing, m)
		}
	}
	if len(missing) > 0 {
		if ok, err := a.confirmApply(o, len(missing)); !ok || err != nil {
			return err
		}
		if err := a.createEntries(ctx, o, s.client, missing); err != nil {
			return err
		}
	}
	a.noteNextMode(o, &plan)
	return nil
}

// confirmApply asks the user at the terminal to confirm the creation of n access entries. It returns true if the answer is yes. For any
// other answer it sets the exit status to statusDenied. With --yes it returns true and doesn't ask. In a dry run, and without a terminal,
// it returns false.
func (a *app) confirmApply(o *applyOptions, n int) (bool, error) {
	entries := count(n, "access entry", "access entries")
	if o.yes {
		return true, nil
	}
	dry := func() { a.note("dry run: nothing was created; --yes creates %s", entries) }
	if o.dryRun {
		dry()
		return false, nil
	}
	yes, asked, err := a.ask(fmt.Sprintf("Create %s in the EKS cluster %s?", entries, o.clusterName))
	switch {
	case err != nil:
		return false, err
	case !asked:
		dry()
	case !yes:
		a.status = statusDenied
		a.note("nothing was created")
	}
	return yes, nil
}

// createEntries creates the access entries in order, and compares each new access entry with the plan. It stops at the first error, and
// when the user interrupts the program. Even then, every access entry that it has created has its access policies, unless the deletion of
// an incomplete access entry fails. The error then says so; see [eks.Client.Create].
func (a *app) createEntries(ctx context.Context, o *applyOptions, client *eks.Client, moves []migrate.Move) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	for i, m := range moves {
		made, err := client.Create(ctx, m.AccessEntry())
		switch {
		case errors.Is(err, eks.ErrExists):
			return fmt.Errorf("the access entry of %s was created meanwhile; run apply again, which compares it (%d of %d are created)", m.PrincipalARN, i, len(moves))
		case err != nil:
			return fmt.Errorf("creating the access entry of %s: %w (%d of %d are created; run apply again after the correction)",
				m.PrincipalARN, explainEKS(err, o.clusterName), i, len(moves))
		case !m.SameAs(&made):
			return fmt.Errorf("EKS describes the new access entry of %s with other access than the plan; compare them with kubectl awsauth migrate verify", m.PrincipalARN)
		}
		if _, err := fmt.Fprintf(a.stdout, "created %s (%d of %d)\n", report.OneLine(m.PrincipalARN), i+1, len(moves)); err != nil {
			return outputError(err)
		}
	}
	return nil
}

// noteNextMode prints notes about the next steps: what the user must do before the authentication mode can become API,
// and the command that changes the mode.
func (a *app) noteNextMode(o *applyOptions, plan *migrate.Plan) {
	if n := len(plan.Decide); n > 0 {
		a.note("%s before you change the mode", count(n, "principal keeps its access only by aws-auth; decide about it", "principals keep their access only by aws-auth; decide about them"))
	}
	a.note("check the result with kubectl awsauth migrate verify --cluster-name %s%s", o.clusterName, o.regionFlag())
	a.note("when every principal has its access entry, this command makes aws-auth ineffective. It can't be undone: EKS has no way back from the mode API")
	a.showCommand(o.modeCommand(access.ModeAPI))
}

// showCommand prints a command on its own line, so that the user can copy it.
func (a *app) showCommand(command string) { fmt.Fprintf(a.stderr, "  %s\n", report.OneLine(command)) }

// modeCommand returns the command that changes the authentication mode.
func (o *applyOptions) modeCommand(mode access.Mode) string {
	return "aws eks update-cluster-config --name " + o.clusterName + o.regionFlag() + " --access-config authenticationMode=" + string(mode)
}

// regionFlag returns the flag --region with a space before it, or "" if the user did not set the flag.
func (o *applyOptions) regionFlag() string {
	if o.region == "" {
		return ""
	}
	return " --region " + o.region
}
