package cli

import (
	"errors"
	"fmt"
	"io"
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
	old    string
	asARN  string
	apply  bool
	patch  patchType
	config string
	rules  []string
	// entryRules has the severities that --rule sets for the rules of access entries.
	entryRules map[string]validate.Severity
	iam        bool
	fix        bool
	dryRun     bool
	cluster    clusterFlags
	fleet      fleetFlags
	format     outputFormat
}

func (a *app) lintCommand() *cobra.Command {
	o := &lintOptions{}
	cmd := &cobra.Command{
		Use:   "lint [FILE…]",
		Short: "Check aws-auth manifests, or the live object, with the rules of the webhook",
		Long: `Check aws-auth manifests, or the live object, with the rules of the webhook.

FILE can be:
  - a YAML or JSON file with any number of manifests. lint also finds an aws-auth inside the objects of
    other tools, such as a Crossplane Object, and lists of entries, such as values of a chart
  - the output of terraform show -json, of a plan or a state
  - a CloudFormation template, as cdk synth writes it
  - the text of mapRoles or mapUsers, as kubectl get -o jsonpath prints it
  - a folder with a Kustomization: lint builds it, without the network, plugins and charts
  - a folder: lint reads the *.yaml, *.yml and *.json files below it, except in hidden folders and
    node_modules, and builds every Kustomization
  - a quoted pattern such as 'envs/**/*.yaml', where ** matches any number of folders
  - a dash (-) for standard input

Without FILE, lint checks the live object of the current context. In a FILE, lint ignores all objects except
aws-auth, and except access entries in plans and templates. Some files show their aws-auth only after another
tool, such as Helm or Terraform, has run. If you name such a file, lint reports an error; if it is in a folder,
lint prints a note. In a folder lint skips unrelated files even if they do not parse.

Without --old, lint checks each manifest by itself. With --old, it checks the manifest as an edit of the
version in --old. It then also runs the rules about lost access. A fault that the old version already has becomes
a warning, and lint drops a warning that the old version already has. The output ends with the access that each
principal gains or loses. If no FILE has an aws-auth, and no FILE is a Terraform plan, lint checks the deletion of the
old version. In a Terraform plan, lint checks a changed object as an edit of the old one, and a replaced object also
as a deletion. Rules about the requester do not run for a plan, because a plan does not name the user who applies it.

In a Terraform plan and a CloudFormation template, lint also checks access entries, their access policies
and the authentication mode of clusters, with rules of their own. Only --rule sets the severities of these
rules. A value that is known only after apply is never a fault.

With --old, lint treats a manifest as a replacement of the old version, with these exceptions:
  - If the old version carries the annotation of kubectl apply, or with --apply, lint computes the result
    of kubectl apply, which keeps keys that were never applied.
  - A Terraform resource that sets only some keys, such as kubernetes_config_map_v1_data, keeps the others.
  - With --patch, FILE is a patch.
A note says what lint assumed.

If the config sets mode to warn, lint denies nothing, even with --rule.

With --fix, lint first corrects the findings whose hint leaves no choice, such as a path in the ARN of a role, and
writes the file. Only the lines with the findings change. It shows the access that principals gain by the
corrections, because an entry with a fault may have had no effect. Then it reports the remaining findings. It keeps
a correction only if the finding is gone, no new denial appears, and no principal loses access. kubectl awsauth
rules shows which rules have corrections. With --dry-run, lint prints a diff and changes no file. In a folder, --fix
writes no file that is a symbolic link, so it changes nothing outside of the folder. The manifests of standard input
go to standard output, and the findings to standard error. --fix changes manifests only, and no text from which
another tool makes one. To correct the live object, run kubectl awsauth fix.

With --iam, lint looks the principals up in IAM. If IAM gives no answer for a principal, lint warns.

For a live object and for Terraform, LINE:COLUMN count from the start of the key's text.

` + fleetHelp + `

Exit status: 0 no denied change, 1 at least one denied change, 2 an error, such as an unreadable file, 3 one of
several clusters can't be read.`,
		Example: a.example(
			"kubectl-awsauth lint aws-auth.yaml",
			"# Check the live object of a cluster",
			"kubectl-awsauth lint --context prod",
			"# Check the live objects of several clusters",
			"kubectl-awsauth lint --contexts all",
			"kubectl-awsauth lint --clusters accounts.yaml --baseline lint.json -o sarif",
			"# Check an edit of the live object, made by alice",
			"kubectl get configmap -n kube-system aws-auth -o yaml > old.yaml",
			"kubectl-awsauth lint aws-auth.yaml --old old.yaml --as-arn arn:aws:sts::111122223333:assumed-role/admin/alice",
			"# Check what kubectl apply will store",
			"kubectl apply --dry-run=server -o yaml -f aws-auth.yaml | kubectl-awsauth lint - --old old.yaml",
			"# Check the output of Helm and Terraform, and a Kustomization",
			"helm template . | kubectl-awsauth lint - --config guard.yaml -o json",
			"terraform show -json plan | kubectl-awsauth lint -",
			"kubectl-awsauth lint overlays/prod",
			"# Correct what leaves no choice, and show the rest",
			"kubectl-awsauth lint --fix aws-auth.yaml",
			"kubectl-awsauth lint --fix --dry-run clusters",
			"# Check that IAM has a principal for every entry",
			"AWS_PROFILE=prod kubectl-awsauth lint --context prod --iam",
			"# Check a repository for GitHub code scanning",
			"kubectl-awsauth lint clusters 'envs/**/aws-auth*.yaml' --rule role-path=warn -o sarif",
		),
		Args: usage(o.check),
		RunE: func(cmd *cobra.Command, files []string) error { return a.lint(cmd, o, files) },
	}
	cmd.Flags().StringVar(&o.old, "old", "", "`FILE` with the current version; lint checks the manifests as edits of it")
	cmd.Flags().BoolVar(&o.apply, "apply", false, "evaluate the result of kubectl apply on the version in --old; --apply=false evaluates each manifest as a replacement of that version; without the flag, lint evaluates the result of kubectl apply if the old version has the annotation of kubectl apply")
	cmd.Flags().Var(&o.patch, "patch", "FILE is a patch of the version in --old, of the `TYPE` merge, strategic or json, as for kubectl patch --type")
	cmd.Flags().StringVar(&o.asARN, "as-arn", "", "`ARN` of the user who makes the edit, as printed by aws sts get-caller-identity; needs --old")
	cmd.Flags().StringVar(&o.config, "config", "", "GuardConfig `FILE` with protected principals, severities and other settings")
	cmd.Flags().StringArrayVar(&o.rules, "rule", nil, "`ID=SEVERITY` sets a rule to deny, warn or off and overrides rules in the config; can be repeated")
	cmd.Flags().BoolVar(&o.iam, "iam", false, "look up in IAM whether the principals exist (with --old only the new ones), with the AWS credentials of your environment; a missing principal is denied, or only a warning if iam.mode in the config is warn")
	cmd.Flags().BoolVar(&o.fix, "fix", false, "correct the findings whose hint leaves no choice, and write the files")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "with --fix, print a diff instead of writing the files")
	o.cluster.addTo(cmd)
	o.cluster.addFixedNamespace(cmd)
	o.fleet.addTo(cmd, &o.cluster)
	o.format.addTo(cmd, formatSARIF, formatGitHub, formatJUnit, formatOpenMetrics)
	completeFlagWith(cmd, "rule", completeRuleSetting)
	completeFlag(cmd, "as-arn")
	completeFlag(cmd, "patch", patchMerge, patchStrategic, patchJSON)
	return cmd
}

func (o *lintOptions) check(cmd *cobra.Command, files []string) error {
	if err := o.fleet.check(cmd, &o.cluster, &o.format, "old", "as-arn", "apply", "patch", "iam", "fix", "dry-run"); err != nil {
		return err
	}
	if o.fleet.used() && len(files) > 0 {
		return errors.New("lint checks either a FILE, or the clusters of --contexts or --clusters")
	}
	switch {
	case len(files) == 0 && o.old != "":
		return errors.New("--old needs a FILE with the new version")
	case o.old == "" && cmd.Flags().Changed("apply"):
		return errors.New("--apply needs --old: the result depends on the old version")
	case o.old == "" && o.patch != "":
		return errors.New("--patch needs --old: a patch changes the old version")
	case o.apply && o.patch != "":
		return errors.New("--apply and --patch exclude each other")
	case o.dryRun && !o.fix:
		return errors.New("--dry-run needs --fix: without it, lint changes nothing")
	case o.fix && len(files) == 0:
		return errors.New("--fix needs a FILE; to correct the live object, run kubectl awsauth fix")
	case o.fix && o.patch != "":
		return errors.New("--fix and --patch exclude each other")
	case o.asARN != "" && o.old == "":
		return errors.New("--as-arn needs --old: the old version maps the ARN to a username and groups")
	}
	if i := slices.Index(files, stdinName); i >= 0 && (o.old == stdinName || slices.Contains(files[i+1:], stdinName)) {
		return errOneStdin
	}
	if len(files) > 0 {
		return o.cluster.rejectFlags("FILE")
	}
	return nil
}

func (a *app) lint(cmd *cobra.Command, o *lintOptions, args []string) error {
	cfg, err := o.guardConfig()
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
	l := &lintRun{app: a, patch: o.patch, apply: applyIfApplied, policy: cfg.Policy(), entryRules: o.entryRules, change: validate.Change{Operation: validate.Document}, quiet: o.format.value == formatGitHub}
	if o.apply {
		l.apply = applyAlways
	} else if cmd.Flags().Changed("apply") {
		l.apply = applyNever
	}
	if o.old != "" {
		if err := l.setOldVersion(o); err != nil {
			return err
		}
	}
	if o.iam {
		if l.lookup, err = a.newPrincipalLookup(cmd.Context(), cfg.IAM); err != nil {
			return err
		}
	}
	l.fix, l.dryRun, l.fixOut = o.fix, o.dryRun, a.stdout
	w := a.stdout
	if o.fix && !o.dryRun && slices.Contains(args, stdinName) {
		w = a.stderr // standard output has the manifests
	}
	if o.fix && (o.format.value != formatText || w == a.stderr) {
		l.fixOut = a.stderr
	}
	if l.out, err = a.lintReport(o, w); err != nil {
		return err
	}
	if o.fleet.used() {
		return a.lintFleet(cmd.Context(), l, o)
	}
	if len(args) == 0 {
		in, err := a.readLive(cmd.Context(), &o.cluster)
		if err != nil {
			return err
		}
		return l.lintLive(in)
	}
	return l.lintFiles(args)
}

// ruleError is an invalid value of --rule.
type ruleError struct {
	setting string
	err     error
}

func (e *ruleError) Error() string { return "--rule " + e.setting + ": " + e.err.Error() }
func (e *ruleError) Unwrap() error { return e.err }

// guardConfig returns the configuration in the file of --config, or the default configuration. The severities of --rule
// override the severities of the configuration. For a rule of access entries, guardConfig stores the severity in
// o.entryRules.
func (o *lintOptions) guardConfig() (*config.Config, error) {
	cfg, err := loadConfig(o.config)
	if err != nil {
		return nil, err
	}
	for _, setting := range o.rules {
		id, severity, ok := strings.Cut(setting, "=")
		if !ok {
			return nil, &ruleError{setting, errors.New("must be ID=SEVERITY, such as role-path=warn")}
		}
		if entryRule(id) {
			if err := o.setEntryRule(id, severity); err != nil {
				return nil, &ruleError{setting, err}
			}
			continue
		}
		if err := cfg.SetRule(id, severity); err != nil {
			return nil, &ruleError{setting, err}
		}
	}
	return cfg, nil
}

// lintReport writes the output of lint in one format.
type lintReport interface {
	// Add adds the results of a file, or of one of several clusters, to the output. The caller calls it for each file in order.
	Add(report.File) error
	// End writes the end of the output. The caller calls it after the last file.
	End(report.Total) error
}

func (a *app) lintReport(o *lintOptions, w io.Writer) (lintReport, error) {
	switch o.format.value {
	case formatJSON:
		return report.NewJSON(w, o.old != ""), nil
	case formatSARIF:
		base, err := os.Getwd()
		if err != nil {
			return nil, fmt.Errorf("finding the current folder: %w", err)
		}
		return report.NewSARIF(w, version.String(), base), nil
	case formatGitHub:
		return report.NewGitHub(w), nil
	case formatJUnit:
		return report.NewJUnit(w), nil
	case formatOpenMetrics:
		return &findingMetrics{w: w}, nil
	}
	return report.NewText(w, useColours(w)), nil
}

// setOldVersion makes lint evaluate each aws-auth as an edit of the version in --old. With --as-arn, the requester of the edit is the user
// to whom this version maps the ARN.
func (l *lintRun) setOldVersion(o *lintOptions) error {
	in, old, err := l.app.readSingle(o.old, "the old version", parseStored)
	if err != nil {
		return err
	}
	l.change.Operation, l.change.Old, l.oldName = validate.Update, old.Object, in.name
	if o.asARN != "" {
		if l.change.Requester, err = requesterFor(old.Object, o.asARN); err != nil {
			return fmt.Errorf("--as-arn: %s cannot log in with %s: %w", o.asARN, in.name, err)
		}
	}
	return nil
}
