package cli

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/awsauth-guard/awsauth-guard/internal/config"
	"github.com/awsauth-guard/awsauth-guard/internal/report"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
	"github.com/awsauth-guard/awsauth-guard/internal/version"
)

type lintOptions struct {
	old        string
	asARN      string
	config     string
	rules      []string
	iam        bool
	connection connection
	format     format
}

func (a *app) lintCommand() *cobra.Command {
	o := &lintOptions{}
	cmd := &cobra.Command{
		Use:   "lint [FILE…]",
		Short: "Judge aws-auth manifests, or the live object, as the webhook would",
		Long: `Judge aws-auth manifests, or the live object, as the webhook would.

Each FILE is YAML or JSON with any number of manifests, what terraform show -json prints of a plan or
a state, - for standard input, a folder, or a pattern, in which ** stands for any folders. In a folder
*.yaml, *.yml and *.json are read, but for hidden folders and node_modules. Only aws-auth is judged;
other files of a folder are passed over, also those that do not parse, and of a Helm chart's templates
only those that need no rendering are judged. Without FILE the live object of the current context is
judged.

Without --old every version is judged by itself. With --old it is judged as an edit of that version:
who would lose access counts, faults that stood before are warnings, warnings that stood before are
left out, and the findings of a file end with who gains and who loses what. So is what a Terraform plan
changes, as an edit of what it was; what the plan replaces is judged as deleted, too. Who applies the
plan is not known.

With mode warn in the config nothing is denied, whatever --rule says.

With --iam the principals are looked up in IAM. What cannot be found out is a warning.

A live object and Terraform have no lines to show: there LINE:COLUMN count within the text of the key.

Exit status: 0 nothing to deny, 1 denied, 2 could not work.`,
		Example: a.example(
			"kubectl-awsauth lint aws-auth.yaml",
			"# what is wrong in the cluster already:",
			"kubectl-awsauth lint --context prod",
			"# an edit of what the cluster has, made by alice:",
			"kubectl get configmap -n kube-system aws-auth -o yaml > old.yaml",
			"kubectl-awsauth lint aws-auth.yaml --old old.yaml --as-arn arn:aws:sts::111122223333:assumed-role/admin/alice",
			"# what a chart or a plan brings:",
			"helm template . | kubectl-awsauth lint - --config guard.yaml -o json",
			"terraform show -json plan | kubectl-awsauth lint -",
			"# is there still a role for every entry?",
			"AWS_PROFILE=prod kubectl-awsauth lint --context prod --iam",
			"# a repository, for GitHub code scanning:",
			"kubectl-awsauth lint clusters 'envs/**/aws-auth*.yaml' --rule role-path=warn -o sarif",
		),
		Args: usage(o.check),
		RunE: func(cmd *cobra.Command, files []string) error { return a.lint(cmd, o, files) },
	}
	cmd.Flags().StringVar(&o.old, "old", "", "`FILE` with the version that is replaced")
	cmd.Flags().StringVar(&o.asARN, "as-arn", "", "`ARN` of who makes the edit, as aws sts get-caller-identity prints it; needs --old")
	cmd.Flags().StringVar(&o.config, "config", "", "GuardConfig `FILE`: protected principals, severities and more")
	cmd.Flags().StringArrayVar(&o.rules, "rule", nil, "`ID=SEVERITY` makes a rule deny, warn or off, in place of rules in the config; may stand several times")
	cmd.Flags().BoolVar(&o.iam, "iam", false, "ask IAM whether the principals exist, with the AWS credentials and profile of your environment: all of them, or with --old the new ones; denied, or with iam.mode warn in the config a warning, is one that IAM does not have")
	o.connection.addTo(cmd)
	o.format.addTo(cmd, formatSARIF, formatGitHub, formatJUnit)
	completeBy(cmd, "rule", completeSetting)
	complete(cmd, "as-arn")
	return cmd
}

func (o *lintOptions) check(cmd *cobra.Command, files []string) error {
	switch {
	case len(files) == 0 && o.old != "":
		return errors.New("--old needs a FILE: the version that replaces it")
	case o.asARN != "" && o.old == "":
		return errors.New("--as-arn needs --old: who asks is known from the version that is replaced")
	}
	if i := slices.Index(files, stdinName); i >= 0 && (o.old == stdinName || slices.Contains(files[i+1:], stdinName)) {
		return errOneStdin
	}
	if len(files) > 0 {
		return o.connection.unused(cmd, "FILE")
	}
	return nil
}

func (a *app) lint(cmd *cobra.Command, o *lintOptions, args []string) error {
	cfg, err := o.policy()
	if err != nil {
		if bad := (*ruleError)(nil); errors.As(err, &bad) {
			return &usageError{cmd.CommandPath(), err}
		}
		return err
	}
	if !o.iam {
		cfg.IAM.Mode = validate.Off
	} else if cfg.IAM.Mode == validate.Off {
		cfg.IAM.Mode = validate.Deny
	}
	l := &linter{app: a, policy: cfg.Policy(), change: validate.Change{Operation: validate.Document}, quiet: o.format.value == formatGitHub}
	if o.old != "" {
		if err := l.edit(o); err != nil {
			return err
		}
	}
	if o.iam {
		if l.directory, err = a.openDirectory(cmd.Context(), cfg.IAM); err != nil {
			return err
		}
	}
	if l.out, err = a.lintReport(o); err != nil {
		return err
	}
	if len(args) == 0 {
		in, err := a.live(cmd.Context(), &o.connection)
		if err != nil {
			return err
		}
		return l.live(in)
	}
	return l.files(args)
}

// ruleError is a --rule that cannot be meant.
type ruleError struct {
	setting string
	err     error
}

func (e *ruleError) Error() string { return "--rule " + e.setting + ": " + e.err.Error() }
func (e *ruleError) Unwrap() error { return e.err }

// policy is the configuration with the severities of the command line.
func (o *lintOptions) policy() (*config.Config, error) {
	cfg := config.Default()
	if o.config != "" {
		var err error
		if cfg, err = config.Load(o.config); err != nil {
			return nil, err
		}
	}
	for _, setting := range o.rules {
		id, severity, ok := strings.Cut(setting, "=")
		if !ok {
			return nil, &ruleError{setting, errors.New("write ID=SEVERITY, such as role-path=warn")}
		}
		if err := cfg.SetRule(id, severity); err != nil {
			return nil, &ruleError{setting, err}
		}
	}
	return cfg, nil
}

// lintReport is a form of lint's output.
type lintReport interface {
	// Add is called for each file, in their order, and End after the last.
	Add(report.File) error
	End(report.Total) error
}

func (a *app) lintReport(o *lintOptions) (lintReport, error) {
	w := a.stdout
	switch o.format.value {
	case formatJSON:
		return report.NewJSON(w, o.old != ""), nil
	case formatSARIF:
		base, err := os.Getwd()
		if err != nil {
			return nil, fmt.Errorf("looking for the current folder: %w", err)
		}
		return report.NewSARIF(w, version.String(), base), nil
	case formatGitHub:
		return report.NewGitHub(w), nil
	case formatJUnit:
		return report.NewJUnit(w), nil
	}
	return report.NewText(w, colours(w)), nil
}

// edit makes the change an edit of the version in --old, by --as-arn.
func (l *linter) edit(o *lintOptions) error {
	in, old, err := l.app.one(o.old, "the version that is replaced")
	if err != nil {
		return err
	}
	l.change.Operation, l.change.Old, l.oldName = validate.Update, old.Object, in.name
	if o.asARN != "" {
		if l.change.Requester, err = requester(old.Object, o.asARN); err != nil {
			return fmt.Errorf("--as-arn: %s cannot log in through %s: %w", o.asARN, in.name, err)
		}
	}
	return nil
}
