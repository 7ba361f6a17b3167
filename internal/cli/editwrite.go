package cli

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/config"
	"github.com/awsauth-guard/awsauth-guard/internal/report"
	"github.com/awsauth-guard/awsauth-guard/internal/textutil"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// editOptions are the flags of the commands that change aws-auth in a file or in a cluster.
type editOptions struct {
	file                string
	inPlace             bool
	dryRun              dryRunFlag
	force               string
	yes                 bool
	config              string
	iam                 bool
	clusterName, region string
	cluster             clusterFlags
	format              outputFormat
}

// addTo adds the flags to a command that changes aws-auth in a file or in a cluster.
func (o *editOptions) addTo(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVarP(&o.file, "filename", "f", "", "`FILE` with the aws-auth manifest, or a dash (-) for standard input; the new manifest goes to standard output (default: change the live object)")
	flags.BoolVarP(&o.inPlace, "in-place", "i", false, "write the new manifest to the FILE of -f")
	markFilename(cmd, "filename")
	o.addLiveTo(cmd)
	flags.Lookup("config").Usage = "GuardConfig `FILE` (default: the guard's own configuration, or with -f the default configuration)"
}

// markFilename makes the shell complete the value of a flag with the names of files.
func markFilename(cmd *cobra.Command, flag string) {
	if err := cmd.MarkFlagFilename(flag); err != nil {
		panic(err) // the flag does not exist
	}
}

// addLiveTo adds the flags without those for a file. A command that changes aws-auth only in a cluster calls addLiveTo instead of addTo.
func (o *editOptions) addLiveTo(cmd *cobra.Command) {
	flags := cmd.Flags()
	o.dryRun.values = []string{dryRunNone, dryRunClient, dryRunServer}
	o.dryRun.addTo(cmd, "client shows the effect without sending anything; server also sends a dry run, which the webhook evaluates; none makes the edit")
	flags.StringVar(&o.force, "force", "", "`REASON` to override the rules; in a cluster it is set as the break-glass annotation")
	flags.BoolVar(&o.yes, "yes", false, "do not ask for confirmation")
	flags.StringVar(&o.config, "config", "", "GuardConfig `FILE` (default: the guard's own configuration)")
	flags.BoolVar(&o.iam, "iam", false, "look up in IAM whether new principals exist, with the AWS credentials of your environment")
	flags.StringVar(&o.clusterName, "cluster-name", "", "`NAME` of the EKS cluster whose authentication mode and access entries are read, with your AWS credentials")
	flags.StringVar(&o.region, "region", "", "`REGION` of the EKS cluster (default: that of the AWS configuration)")
	o.cluster.addTo(cmd)
	o.cluster.addFixedNamespace(cmd)
	o.format.addTo(cmd)
	markFilename(cmd, "config")
	for _, flag := range []string{"force", "cluster-name", "region"} {
		completeFlag(cmd, flag)
	}
}

// check checks the flags.
func (o *editOptions) check(cmd *cobra.Command) error {
	switch {
	case o.inPlace && (o.file == "" || o.file == stdinName):
		return errors.New("-i needs -f FILE, the file to write")
	case cmd.Flags().Changed("force") && strings.TrimSpace(o.force) == "":
		return errNoReason
	case o.region != "" && o.clusterName == "":
		return errors.New("--region needs --cluster-name")
	case o.file == "":
		return nil
	case o.dryRun.is(dryRunServer):
		return errors.New("--dry-run means --dry-run=server, which sends the edit to a cluster; with -f FILE use --dry-run=client")
	case o.clusterName != "":
		return errors.New("--cluster-name belongs to the live object; use it without -f")
	}
	return o.cluster.rejectFlags("-f")
}

// textEdit is an edit of the texts of aws-auth.
type textEdit struct {
	// texts has the new texts of the sections that change. No texts means that there is nothing to change.
	texts map[awsauth.Section]string
	// dropped are the keys under data that the edit removes. Only an edit of the live object can have them.
	dropped []string
	// notes are shown to the user. They say how the edit differs from the command line, and name the next step for the user.
	notes []string
	// nodeRoles are the ARNs of the node roles that the user removes on purpose. The edit sets the annotation allow-removal to them.
	nodeRoles []string
	// groups are the groups that the user names on the command line, by name or by a preset.
	groups []string
}

// dropHints removes the hints to leave out an admin group that the user names on the command line, by name or by a preset.
func (t textEdit) dropHints(findings []report.Finding) {
	for i := range findings {
		if slices.ContainsFunc(t.groups, func(group string) bool { return findings[i].Hint == validate.AdminGrantHint(group) }) {
			findings[i].Hint = ""
		}
	}
}

// editedVersion is the version of aws-auth that an edit changes.
type editedVersion struct {
	*awsauth.Object // empty if aws-auth doesn't exist

	name   string // in the output
	absent bool
	run    *editRun
}

// fileFlag returns the flag -f, with a space before it, with which another command reads the same file. It is empty for the live object.
func (v editedVersion) fileFlag() string {
	if file := v.run.options.file; file != "" {
		return " -f " + textutil.ShellWord(file)
	}
	return ""
}

// editFunc computes an edit of one version. Without noRetry, [editRun] calls it again if another client changes aws-auth before the edit is
// written.
type editFunc func(editedVersion) (textEdit, error)

// editRun is one run of a command that changes aws-auth.
type editRun struct {
	app     *app
	options *editOptions
	edit    editFunc
	// noRetry makes a conflict with another client an error. The user must then edit the new version.
	noRetry bool
	// onModeAPI prints the commands that have the same purpose as the edit in the authentication mode API. It may be nil.
	onModeAPI func()
	// givenByEntry reports whether an access entry already gives the access that the edit adds. Only add sets it.
	givenByEntry func() bool

	policy    validate.Policy
	lookup    principalLookup // nil without --iam
	requester validate.Requester
	last      report.File     // the result of the last evaluation, for JSON
	action    validate.Action // the action of the last evaluation; empty if there was none
}

// run makes the edit in the file that the user named, or in the cluster. It prints the access that each principal gains or loses, and the
// findings of the rules on the edit. If the rules deny the edit and the user didn't set --force, run doesn't make the edit, and sets the exit
// status to statusDenied.
func (e *editRun) run(ctx context.Context) error {
	if e.options.file != "" {
		return e.editFile(ctx)
	}
	return e.editCluster(ctx)
}

// configure sets the policy and, with --iam, the lookup in IAM. It changes cfg: without --iam it turns the rules about IAM off, and with
// --iam it turns them on.
func (e *editRun) configure(ctx context.Context, cfg *config.Config) (err error) {
	switch {
	case !e.options.iam:
		cfg.IAM.Mode = validate.Off
	case cfg.IAM.Mode == validate.Off:
		cfg.IAM.Mode = validate.Deny
	}
	e.policy = cfg.Policy()
	if e.options.iam {
		e.lookup, err = e.app.newPrincipalLookup(ctx, cfg.IAM)
	}
	return err
}

// evaluate evaluates an edit of a version. after is the new version.
func (e *editRun) evaluate(before editedVersion, after *awsauth.Object) validate.Verdict {
	change := validate.Change{Operation: validate.Update, Old: before.Object, New: after, Requester: e.requester}
	if before.absent {
		change.Operation, change.Old = validate.Create, nil
	}
	evaluation := validate.NewEvaluation(asReviewed(change), e.policy)
	if e.lookup == nil {
		return evaluation.Verdict(validate.Answers{})
	}
	return evaluation.Verdict(validate.Answers{IAM: e.lookup(evaluation.ChangedPrincipals())})
}

// withTexts returns the version after an edit, as a stored object. If the edit removes node roles, the object has the annotation
// allow-removal.
func (v editedVersion) withTexts(edit textEdit) *awsauth.Object {
	after := *v.WithoutPositions()
	after.Data = maps.Clone(v.Data)
	if after.Data == nil {
		after.Data = map[string]string{}
	}
	for section, text := range edit.texts {
		after.Data[string(section)] = text
	}
	for _, key := range edit.dropped {
		delete(after.Data, key)
	}
	if len(edit.nodeRoles) > 0 {
		after.Annotations = maps.Clone(v.Annotations)
		if after.Annotations == nil {
			after.Annotations = map[string]string{}
		}
		after.Annotations[validate.AllowRemovalAnnotation] = allowRemoval(v.Annotations[validate.AllowRemovalAnnotation], edit.nodeRoles)
	}
	return &after
}

// allowRemoval returns the value of the annotation allow-removal for node roles. The annotation counts only if its value changes, so the
// result differs from the current value.
func allowRemoval(current string, arns []string) string {
	value := strings.Join(slices.Sorted(slices.Values(arns)), ",")
	if value == current {
		value += ","
	}
	return value
}

// changes reports whether an edit changes the text of a section, or adds a section that the version lacks.
func (t textEdit) changes(v editedVersion) bool {
	for section, text := range t.texts {
		if old, ok := v.Data[string(section)]; old != text || !ok {
			return true
		}
	}
	return false
}
