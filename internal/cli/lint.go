package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/awsauth-guard/awsauth-guard/internal/config"
	"github.com/awsauth-guard/awsauth-guard/internal/report"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

type lintOptions struct {
	old    string
	asARN  string
	config string
	format format
}

func (a *app) lintCommand() *cobra.Command {
	o := &lintOptions{}
	cmd := &cobra.Command{
		Use:   "lint FILE…",
		Short: "Judge aws-auth manifests as the webhook would",
		Long: `Judge aws-auth manifests as the webhook would.

Each FILE is YAML or JSON with any number of manifests, or - for standard input; only aws-auth is
judged. Without --old every version is judged by itself. With --old it is judged as an edit of that
version: who would lose access counts, and faults that stood before are warnings.

Exit status: 0 nothing to deny, 1 denied, 2 could not work.`,
		Example: a.example(
			"kubectl-awsauth lint aws-auth.yaml",
			"# an edit of what the cluster has, made by alice:",
			"kubectl get configmap -n kube-system aws-auth -o yaml > old.yaml",
			"kubectl-awsauth lint aws-auth.yaml --old old.yaml --as-arn arn:aws:sts::111122223333:assumed-role/admin/alice",
			"helm template . | kubectl-awsauth lint - --config guard.yaml -o json",
		),
		Args: usage(o.check),
		RunE: func(cmd *cobra.Command, files []string) error { return a.lint(cmd.Context(), o, files) },
	}
	cmd.Flags().StringVar(&o.old, "old", "", "`FILE` with the version that is replaced")
	cmd.Flags().StringVar(&o.asARN, "as-arn", "", "`ARN` of who makes the edit, as aws sts get-caller-identity prints it; needs --old")
	cmd.Flags().StringVar(&o.config, "config", "", "GuardConfig `FILE` with the protected principals and admin groups")
	o.format.addTo(cmd)
	return cmd
}

func (o *lintOptions) check(_ *cobra.Command, files []string) error {
	switch {
	case len(files) == 0:
		return errors.New("no FILE to judge; name a manifest, or - for standard input")
	case o.asARN != "" && o.old == "":
		return errors.New("--as-arn needs --old: who asks is known from the version that is replaced")
	}
	if i := slices.Index(files, stdinName); i >= 0 && (o.old == stdinName || slices.Contains(files[i+1:], stdinName)) {
		return errors.New("standard input can be read only once")
	}
	return nil
}

func (a *app) lint(ctx context.Context, o *lintOptions, files []string) error {
	cfg := config.Default()
	if o.config != "" {
		var err error
		if cfg, err = config.Load(o.config); err != nil {
			return err
		}
	}
	change := validate.Change{Operation: validate.Document}
	if o.old != "" {
		if err := a.readOld(ctx, o, &change); err != nil {
			return err
		}
	}
	l := report.Lint{Verdict: validate.Allow}
	judged := 0
	for _, file := range files {
		in, err := a.read(ctx, file)
		if err != nil {
			a.fail(err)
			continue
		}
		a.reportErrors(in)
		for _, m := range in.manifests {
			change.New = m.Object
			delete(m.Object.Annotations, validate.BreakGlassAnnotation) // a file does not say who will set it
			add(&l, in.name, validate.Judge(change, cfg.Policy()))
		}
		judged += len(in.manifests)
	}
	switch {
	case a.status == statusFailed:
		l.Verdict = validate.Refuse // what could not be read has not been found good
	case judged == 0:
		fmt.Fprintf(a.stderr, "note: no aws-auth in %s\n", strings.Join(files, ", "))
	case l.Verdict == validate.Refuse:
		a.status = statusDenied
	}
	return a.write(l, o.format)
}

// add adds the verdict on one manifest of a file.
func add(l *report.Lint, file string, v validate.Verdict) {
	for _, f := range v.Findings {
		l.Findings = append(l.Findings, report.Finding{File: file, Finding: f})
	}
	if v.Action == validate.Refuse || l.Verdict == validate.Allow {
		l.Verdict = v.Action
	}
}

// readOld makes the change an edit of the version in --old, by --as-arn.
func (a *app) readOld(ctx context.Context, o *lintOptions, change *validate.Change) error {
	in, err := a.read(ctx, o.old)
	if err != nil {
		return err
	}
	if len(in.errs) > 0 {
		a.reportErrors(in)
		return fmt.Errorf("the version that is replaced, %s, cannot be read", in.name)
	}
	old, err := in.only()
	if err != nil {
		return err
	}
	change.Operation, change.Old = validate.Update, old.Object
	if o.asARN != "" {
		if change.Requester, err = requester(old.Object, o.asARN); err != nil {
			return fmt.Errorf("--as-arn: %s cannot log in through %s: %w", o.asARN, in.name, err)
		}
	}
	return nil
}
