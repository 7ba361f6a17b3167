package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/report"
)

type explainOptions struct {
	file       string
	connection connection
	format     format
}

func (a *app) explainCommand() *cobra.Command {
	o := &explainOptions{}
	cmd := &cobra.Command{
		Use:   "explain ARN",
		Short: "Say whom a caller's ARN maps to, or why to nobody",
		Long: `Say whom a caller's ARN maps to, or why to nobody.

ARN is the caller's, as aws sts get-caller-identity prints it. The answer is the authenticator's:
the entry, its username and groups with their templates as they are written, or what keeps an entry
from matching. Without -f it is looked up in the live object of the current context.

Exit status: 0 mapped, 1 not mapped, 2 could not work.`,
		Example: a.example(
			`kubectl-awsauth explain "$(aws sts get-caller-identity --query Arn --output text)"`,
			"kubectl-awsauth explain arn:aws:sts::111122223333:assumed-role/admin/alice -f aws-auth.yaml",
			"kubectl get configmap -n kube-system aws-auth -o yaml | kubectl-awsauth explain arn:aws:iam::111122223333:user/bob -f - -o json",
		),
		Args: usage(o.check),
		RunE: func(cmd *cobra.Command, args []string) error { return a.explain(cmd.Context(), o, args[0]) },
	}
	cmd.Flags().StringVarP(&o.file, "filename", "f", "", "`FILE` with the aws-auth manifest, or - for standard input")
	o.connection.addTo(cmd)
	o.format.addTo(cmd)
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	return cmd
}

func (o *explainOptions) check(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("%d arguments, but explain takes one ARN", len(args))
	}
	if o.file != "" {
		return o.connection.unused(cmd, "-f")
	}
	return nil
}

func (a *app) explain(ctx context.Context, o *explainOptions, arn string) error {
	var in input
	var err error
	if o.file == "" {
		in, err = a.live(ctx, &o.connection)
	} else {
		in, err = a.read(o.file)
	}
	if err != nil {
		return err
	}
	e, err := a.answer(in, arn)
	if err != nil {
		return err
	}
	if a.status == statusOK && !e.Mapped {
		a.status = statusDenied
	}
	return a.write(e, &o.format)
}

// answer looks the ARN up in the file's aws-auth.
func (a *app) answer(in input, arn string) (report.Explanation, error) {
	if len(in.objects) == 0 && len(in.problems) > 0 {
		return unreadable(arn, in), nil
	}
	a.reportProblems(in.problems)
	m, err := in.only()
	if err != nil {
		return report.Explanation{}, err
	}
	c := newCaller(arn)
	resolution := m.Object.Load().Resolve(c.arn)
	if resolution.Unknown != "" {
		return report.Explanation{}, fmt.Errorf("it is not known whom %s maps to: %s", arn, resolution.Unknown)
	}
	document := m.Parse()
	e := report.NewExplanation(arn, resolution, append(c.reasons(m.Object, resolution), passedOver(document, resolution)...))
	switch at := document.EntryAt(resolution); {
	case at.Line == 0:
	case m.inText:
		e.At = fmt.Sprintf("%s: %s:%d:%d", in.name, at.Path, at.Line, at.Column)
	default:
		e.At = fmt.Sprintf("%s:%d:%d", in.name, at.Line, at.Column)
	}
	return e, nil
}

// passedOver names the values of the entry that answers which the authenticator does not read.
func passedOver(d *awsauth.Document, r awsauth.Resolution) []string {
	list := d.Roles
	if r.Source == awsauth.MapUsers {
		list = d.Users
	}
	if len(r.Matches) == 0 || r.Index >= len(list) {
		return nil
	}
	var reasons []string
	for _, w := range list[r.Index].WrongTypes() {
		reasons = append(reasons, fmt.Sprintf("%s is %s, not %s, and is passed over", w.At().Path, w.Got, w.Want))
	}
	return reasons
}

// unreadable is the answer from a file that kubectl would not apply: nobody is mapped by it.
func unreadable(arn string, in input) report.Explanation {
	var reasons []string
	for _, p := range in.problems {
		reasons = append(reasons, p.Place()+": "+p.Message)
	}
	canonical, err := awsauth.Canonicalize(newCaller(arn).arn)
	if err != nil {
		canonical = ""
	}
	return report.NewExplanation(arn, awsauth.Resolution{CanonicalARN: canonical}, reasons)
}
