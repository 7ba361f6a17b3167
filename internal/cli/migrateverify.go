package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/config"
	"github.com/awsauth-guard/awsauth-guard/internal/migrate"
	"github.com/awsauth-guard/awsauth-guard/internal/report"
)

// verifyOptions are the flags of migrate verify.
type verifyOptions struct {
	migrateOptions

	except []string
}

func (a *app) migrateVerifyCommand() *cobra.Command {
	o := &verifyOptions{}
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Compare the access by access entries with that by aws-auth",
		Long: `For each principal, compare the access by access entries with the access by aws-auth alone.

The columns are the results in the authentication mode API_AND_CONFIG_MAP, where an access entry wins over
aws-auth, and in mode API, where aws-auth has no effect:
  equal       the same username, groups and rights
  gains       the access entry gives more
  loses       the access entry gives less, or the principal has none
  changes     the principal gains a part and loses another one
  staleEntry  the access entry matches no caller, because the principal was deleted or created again;
              only with --iam
With --iam, an access entry whose principal can't be looked up is unknown, for example one of another account.
verify names the principals that can log in in mode API_AND_CONFIG_MAP and can't in mode API.

If the entries were removed from aws-auth already, pass the earlier version with -f.

EKS itself makes access entries, for example for the principal that created the cluster. Such an
access entry counts as a gain. --except leaves principals out that you have checked.

Exit status: 0 every principal has the same access, 1 a principal gains or loses, 2 an error or an unknown
access.`,
		Example: a.example(
			"kubectl-awsauth migrate verify --cluster-name prod --region eu-west-1 --iam",
			"kubectl-awsauth migrate verify -f aws-auth.yaml --entries entries.json",
			"kubectl-awsauth migrate verify --cluster-name prod --except arn:aws:iam::111122223333:role/cluster-creator",
		),
		Args: usage(func(cmd *cobra.Command, args []string) error {
			if err := o.check(cmd, args); err != nil {
				return err
			}
			if o.entries == "" && o.clusterName == "" {
				return errors.New("verify needs access entries; add --cluster-name or --entries")
			}
			for _, arn := range o.except {
				if _, err := awsauth.ParseARN(arn); err != nil && !awsauth.IsAccountID(arn) {
					return fmt.Errorf("--except: %w", err)
				}
			}
			return nil
		}),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.migrateVerify(cmd.Context(), o) },
	}
	o.addTo(cmd)
	o.addEntries(cmd)
	cmd.Flags().BoolVar(&o.iam, "iam", false, "look up in IAM which access entries are stale, with your AWS credentials; needs iam:GetRole and iam:GetUser")
	cmd.Flags().StringArrayVar(&o.except, "except", nil, "`ARN` of a principal whose access may differ; repeat the flag for several")
	completeFlag(cmd, "except")
	o.format.addTo(cmd)
	return cmd
}

func (a *app) migrateVerify(ctx context.Context, o *verifyOptions) error {
	s, err := a.readMigration(ctx, &o.migrateOptions)
	if err != nil {
		return err
	}
	if s.cluster.Mode == access.ModeConfigMap {
		return fmt.Errorf("the authentication mode of %s is CONFIG_MAP, in which EKS has no access entries to compare; kubectl awsauth migrate apply shows the command that changes the mode", o.clusterName)
	}
	var unknown map[string]error
	if o.iam {
		client, err := a.newIAMClient(ctx, config.IAM{})
		if err != nil {
			return err
		}
		unknown = markStale(s.cluster.AccessEntries, lookUpPrincipals(ctx, client, access.Grants(nil, s.cluster)))
	}
	v := migrate.Verify(s.document, s.cluster.AccessEntries, s.partition)
	for i := range v.Principals {
		if c := &v.Principals[i]; c.Unknown == "" {
			if why, ok := unknown[access.CallerKey(c.PrincipalARN)]; ok {
				c.Result, c.Unknown = migrate.ResultUnknown, "it is not known whether the access entry is stale: "+why.Error()
			}
		}
	}
	excepted := make(map[string]bool)
	for _, arn := range o.except {
		excepted[access.CallerKey(arn)] = true
	}
	for i := range v.Principals {
		if c := &v.Principals[i]; c.Result != migrate.ResultEqual && !excepted[awsauth.PrincipalKey(c.PrincipalARN)] {
			if a.status == statusOK {
				a.status = statusDenied
			}
			if c.Unknown != "" {
				a.fail(fmt.Errorf("cannot compare the access of %s: %s", c.PrincipalARN, c.Unknown))
			}
		}
	}
	if o.format.value == formatJSON {
		return outputError(writeObject(a.stdout, formatJSON, v))
	}
	return outputError(writeVerification(a.stdout, &v, excepted))
}

// writeVerification writes a verification as a table, and then lists the principals that can log in in mode API_AND_CONFIG_MAP but not in
// mode API. excepted holds the [access.CallerKey] of each principal that the user excepted.
func writeVerification(w io.Writer, v *migrate.Verification, excepted map[string]bool) error {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 8, 3, ' ', 0)
	fmt.Fprintln(t, "PRINCIPAL\tAPI_AND_CONFIG_MAP\tAPI\tDIFFERENCE")
	var cliff []string
	for i := range v.Principals {
		c := &v.Principals[i]
		difference := "-"
		if c.Result != migrate.ResultEqual {
			difference = report.OneLine(describeCheck(c))
		}
		if excepted[awsauth.PrincipalKey(c.PrincipalARN)] {
			difference += " (excepted)"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", report.OneLine(c.PrincipalARN), c.APIAndConfigMap.Result, c.API.Result, difference)
		if c.LosesLogin {
			cliff = append(cliff, c.PrincipalARN)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if len(cliff) > 0 {
		fmt.Fprintf(&b, "\nIn mode API these principals can't log in any more:\n")
		for _, arn := range cliff {
			fmt.Fprintf(&b, "  %s\n", report.OneLine(arn))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// describeCheck describes how the access of a principal differs in mode API. This includes every difference in mode API_AND_CONFIG_MAP,
// because access entries apply in both modes.
func describeCheck(c *migrate.Check) string {
	var parts []string
	if c.Unknown != "" {
		parts = append(parts, "unknown: "+c.Unknown)
	}
	if c.Stale != "" {
		parts = append(parts, string(migrate.ResultStale)+": "+c.Stale)
	}
	if len(c.API.Gained) > 0 {
		parts = append(parts, "gains "+strings.Join(c.API.Gained, ", "))
	}
	if len(c.API.Lost) > 0 {
		parts = append(parts, "loses "+strings.Join(c.API.Lost, ", "))
	}
	return strings.Join(parts, "; ")
}
