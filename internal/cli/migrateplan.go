package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/migrate"
	"github.com/awsauth-guard/awsauth-guard/internal/report"
)

func (a *app) migratePlanCommand() *cobra.Command {
	o := &migrateOptions{}
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Compute the access entries that give the same access as aws-auth",
		Long: `Compute the access entries that give the same access as aws-auth.

The plan has three lists:
  move         principals that get the same access from an access entry: the same username, the same
               groups, and AmazonEKSClusterAdminPolicy in place of system:masters
  decide       principals about which a person must decide, with the reason and the options
  leave behind elements of aws-auth that give no access, and so must not become access entries

Without -f, plan reads the aws-auth of the current context. With --cluster-name it reads the access
entries of the EKS cluster, and compares the access entry that a principal has. It creates nothing.

aws-auth has the ARN of a role without its path, and EKS accepts only the ARN with the path. --iam
finds the paths. Without --iam and --no-role-paths, the roles that have no access entry are in the list decide.
Roles of IAM Identity Center always have a path, so for them --no-role-paths has no effect.

-o json has the whole plan. The other output formats have only the access entries of the list move:
  cli             a bash script that calls aws eks; it stops at the first error and can be run again
  terraform       resources, with import blocks for the access entries that exist
  cloudformation  a template
  eksctl          a ClusterConfig for eksctl create accessentry -f
  ack             manifests for the EKS controller of AWS Controllers for Kubernetes

Exit status: 0 success, 2 an error.`,
		Example: a.example(
			"kubectl-awsauth migrate plan --cluster-name prod --region eu-west-1 --iam",
			"kubectl-awsauth migrate plan -f aws-auth.yaml --no-role-paths -o json",
			"kubectl-awsauth migrate plan --cluster-name prod --iam -o terraform > access-entries.tf",
		),
		Args: usage(o.check),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.migratePlan(cmd.Context(), o) },
	}
	o.addTo(cmd)
	o.addEntries(cmd)
	o.addPlan(cmd)
	var forms []string
	for _, form := range migrate.Forms() {
		forms = append(forms, string(form))
	}
	o.format.addTo(cmd, forms...)
	return cmd
}

func (a *app) migratePlan(ctx context.Context, o *migrateOptions) error {
	s, err := a.readMigration(ctx, o)
	if err != nil {
		return err
	}
	plan, err := a.plan(ctx, o, s)
	if err != nil {
		return err
	}
	if s.cluster == nil {
		a.note("access entries are not included; --cluster-name NAME reads them from EKS, and --entries FILE from a file")
	}
	if s.cluster != nil && s.cluster.Mode == access.ModeAPI {
		a.note("the authentication mode is API, so aws-auth has no effect now; the plan has the access that aws-auth would give")
	}
	switch o.format.value {
	case formatText:
		return outputError(writePlan(a.stdout, &plan))
	case formatJSON:
		return outputError(writeObject(a.stdout, formatJSON, plan))
	}
	if n := len(plan.Decide); n > 0 {
		a.note("the output leaves out %s about which a person must decide; -o text has the list decide", count(n, "principal", "principals"))
	}
	text, err := plan.Write(migrate.Form(o.format.value), migrate.Destination{Cluster: o.clusterName, Region: o.region})
	if err != nil {
		return err
	}
	_, err = a.stdout.Write(text)
	return outputError(err)
}

// writePlan writes a plan as text.
func writePlan(w io.Writer, p *migrate.Plan) error {
	var b strings.Builder
	fmt.Fprintf(&b, "MOVE: %s\n", count(len(p.Move), "principal gets", "principals get")+" the same access from an access entry")
	if len(p.Move) > 0 {
		t := tabwriter.NewWriter(&b, 0, 8, 3, ' ', 0)
		fmt.Fprintln(t, "  PRINCIPAL\tTYPE\tUSERNAME\tGROUPS\tPOLICIES\tEXISTING")
		for i := range p.Move {
			writeMove(t, &p.Move[i])
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	fmt.Fprintf(&b, "\nDECIDE: a person must decide about %s\n", count(len(p.Decide), "principal", "principals"))
	for i := range p.Decide {
		writeDecision(&b, &p.Decide[i])
	}
	fmt.Fprintf(&b, "\nLEAVE BEHIND: %s no access\n", count(len(p.LeaveBehind), "element of aws-auth gives", "elements of aws-auth give"))
	for _, l := range p.LeaveBehind {
		fmt.Fprintf(&b, "  %s %s\n    %s\n", l.Place, report.OneLine(l.ARN), report.OneLine(l.Reason))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeMove writes a line of the table of moves.
func writeMove(w io.Writer, m *migrate.Move) {
	var policies []string
	for _, p := range m.Policies {
		policies = append(policies, p.Name())
	}
	cells := []string{m.PrincipalARN, m.Type, m.Username, strings.Join(m.Groups, ","), strings.Join(policies, ","), string(m.Existing)}
	for i, cell := range cells {
		if cells[i] = report.OneLine(cell); cell == "" {
			cells[i] = "-"
		}
	}
	fmt.Fprintf(w, "  %s\n", strings.Join(cells, "\t"))
}

// writeDecision writes a decision with its options.
func writeDecision(w io.Writer, d *migrate.Decision) {
	existing := ""
	if d.Existing != "" {
		existing = ", existing access entry: " + string(d.Existing)
	}
	fmt.Fprintf(w, "  %s (%s%s)\n    %s\n", report.OneLine(d.PrincipalARN), d.Place, existing, report.OneLine(d.Reason))
	for _, o := range d.Options {
		fmt.Fprintf(w, "    - %s\n      change: %s\n", report.OneLine(o.Option), report.OneLine(o.Change))
	}
}

// count returns a number with the singular or plural of a phrase.
func count(n int, singular, plural string) string {
	if n == 1 {
		return "1 " + singular
	}
	return fmt.Sprintf("%d %s", n, plural)
}
