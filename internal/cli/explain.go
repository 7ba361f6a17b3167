package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/report"
)

type explainOptions struct {
	file    string
	cluster clusterFlags
	format  outputFormat
}

func (a *app) explainCommand() *cobra.Command {
	o := &explainOptions{}
	cmd := &cobra.Command{
		Use:   "explain ARN",
		Short: "Show the username and groups that aws-auth gives to an ARN",
		Long: `Show the username and groups that aws-auth gives to an ARN.

ARN is the caller's ARN, as printed by aws sts get-caller-identity. explain finds the entry that
aws-iam-authenticator would use, and shows the username and groups that the caller gets. It renders
a template if it knows the value. It knows the session's name only if ARN is the ARN of a session, and
never knows the access key or the DNS name of an EC2 instance. If no entry matches, explain shows the
reason and entries that nearly match. Without -f it reads the live object of the current context.

Exit status: 0 the ARN is mapped, 1 it is not mapped, 2 an error.`,
		Example: a.example(
			`kubectl-awsauth explain "$(aws sts get-caller-identity --query Arn --output text)"`,
			"kubectl-awsauth explain arn:aws:sts::111122223333:assumed-role/admin/alice -f aws-auth.yaml",
			"kubectl get configmap -n kube-system aws-auth -o yaml | kubectl-awsauth explain arn:aws:iam::111122223333:user/bob -f - -o json",
		),
		Args: usage(o.check),
		RunE: func(cmd *cobra.Command, args []string) error { return a.explain(cmd.Context(), o, args[0]) },
	}
	cmd.Flags().StringVarP(&o.file, "filename", "f", "", "`FILE` with the aws-auth manifest, or a dash (-) for standard input")
	o.cluster.addTo(cmd)
	o.cluster.addFixedNamespace(cmd)
	o.format.addTo(cmd)
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	return cmd
}

func (o *explainOptions) check(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("%d arguments, but explain takes one ARN", len(args))
	}
	if o.file != "" {
		return o.cluster.rejectFlags("-f")
	}
	return nil
}

func (a *app) explain(ctx context.Context, o *explainOptions, arn string) error {
	var in input
	var err error
	if o.file == "" {
		in, err = a.readLive(ctx, &o.cluster)
	} else {
		in, err = a.readInput(o.file)
	}
	if err != nil {
		return err
	}
	e, err := a.explainARN(in, arn)
	if err != nil {
		return err
	}
	if a.status == statusOK && !e.Mapped {
		a.status = statusDenied
	}
	return a.print(e, &o.format)
}

// explainARN resolves an ARN with the aws-auth of an input. If kubectl can't apply the input, the explanation says that
// the ARN is not mapped, and why. explainARN returns an error if the input has no aws-auth or several, or if the mapping
// can't be determined.
func (a *app) explainARN(in input, arn string) (report.Explanation, error) {
	if len(in.objects) == 0 && len(in.problems) > 0 && !in.unknown {
		return unreadableExplanation(arn, in), nil
	}
	a.reportProblems(in.problems)
	m, err := in.single()
	if err != nil {
		return report.Explanation{}, err
	}
	c := newCaller(arn)
	resolution := m.Object.Load().Resolve(c.ARN)
	if resolution.Unknown != "" {
		return report.Explanation{}, fmt.Errorf("cannot determine the mapping of %s: %s", arn, resolution.Unknown)
	}
	document := m.Parse()
	e := report.NewExplanation(arn, c.render(resolution), append(c.reasons(m.Object, resolution), ignoredFields(document, resolution)...))
	switch at := document.EntryAt(resolution); {
	case at.Line == 0:
	case m.InText:
		e.At = fmt.Sprintf("%s: %s:%d:%d", in.name, at.Path, at.Line, at.Column)
	default:
		e.At = fmt.Sprintf("%s:%d:%d", in.name, at.Line, at.Column)
	}
	return e, nil
}

// ignoredFields returns a sentence for each field of the matching entry that the authenticator ignores because its
// value has the wrong type.
func ignoredFields(d *awsauth.Document, r awsauth.Resolution) []string {
	list := d.Roles
	if r.Source == awsauth.MapUsers {
		list = d.Users
	}
	if len(r.Matches) == 0 || r.Index >= len(list) {
		return nil
	}
	var reasons []string
	for _, w := range list[r.Index].WrongTypes() {
		reasons = append(reasons, fmt.Sprintf("%s is %s, not %s, so the authenticator ignores it", w.At().Path, w.Got, w.Want))
	}
	return reasons
}

// unreadableExplanation returns the explanation for a file that kubectl can't apply. Such a file maps no ARN.
func unreadableExplanation(arn string, in input) report.Explanation {
	var reasons []string
	for _, p := range in.problems {
		reasons = append(reasons, p.Place()+": "+p.Message)
	}
	canonical, err := awsauth.Canonicalize(newCaller(arn).ARN)
	if err != nil {
		canonical = ""
	}
	return report.NewExplanation(arn, awsauth.Resolution{CanonicalARN: canonical}, reasons)
}
