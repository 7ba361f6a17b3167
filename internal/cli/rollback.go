package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/history"
	"github.com/awsauth-guard/awsauth-guard/internal/kube"
	"github.com/awsauth-guard/awsauth-guard/internal/report"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

type rollbackOptions struct {
	historyOptions

	to     int
	dryRun dryRunFlag
	force  string
	yes    bool
	config string
}

func (a *app) rollbackCommand() *cobra.Command {
	// Unlike kubectl's flag, --dry-run doesn't accept client: only a dry run on the server calls the webhook.
	o := &rollbackOptions{dryRun: dryRunFlag{values: []string{dryRunNone, dryRunServer}}}
	cmd := &cobra.Command{
		Use:   "rollback",
		Short: "Roll aws-auth back to a version that awsauth-guard stored",
		Long: `Roll aws-auth back to a version that awsauth-guard stored.

Without --to, rollback chooses the newest good version whose content differs from the live object.
A version is good if its change did not bypass the guard and did not lock out people or all nodes.

rollback works in these steps:
  1. It shows the access that each principal gains or loses, and the findings of the rules for the edit.
     The rules are configured by --config, or else by the guard's own configuration if you can read it.
  2. If the rules deny the edit, it stops, unless --force gives a reason.
  3. It asks you to confirm.
  4. It sends the edit to the API server, which calls the webhook as for any edit. The edit fails if
     aws-auth changed in the meantime. The edit changes only data, binaryData and the annotation of --force.

` + forceHelp + `

rollback does not impersonate: it can't know which group is the bypass, and its edit must reach the
webhook. To write a version through the bypass, run:

  kubectl awsauth history show NUMBER |
    kubectl replace -f - --as=rescue --as-group=system:masters --as-group=awsauth-guard:bypass

Exit status: 0 success or nothing to roll back, 1 denied or not confirmed, 2 an error.`,
		Example: a.example(
			"kubectl-awsauth rollback --dry-run",
			"kubectl-awsauth rollback --to 7",
			`kubectl-awsauth rollback --to 7 --force "incident 4711, the node role is retired" --yes`,
		),
		Args: usage(func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) > 0:
				return fmt.Errorf("rollback takes no arguments, got %d; choose the version with --to", len(args))
			case cmd.Flags().Changed("to") && o.to < 1:
				return fmt.Errorf("--to %d is not a version number; kubectl awsauth history lists the versions", o.to)
			case cmd.Flags().Changed("force") && strings.TrimSpace(o.force) == "":
				return errNoReason
			case o.cluster.impersonates() != "":
				return fmt.Errorf("--%s: rollback does not impersonate; to write a version as another user, run: kubectl awsauth history show NUMBER | kubectl replace -f - --as=USERNAME", o.cluster.impersonates())
			}
			return nil
		}),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.rollback(cmd.Context(), o) },
	}
	cmd.Flags().IntVar(&o.to, "to", 0, "`NUMBER` of the version (default: the newest good version that differs from the live object)")
	o.dryRun.addTo(cmd, "server sends the edit as a dry run, which changes nothing; none sends the real edit")
	cmd.Flags().StringVar(&o.force, "force", "", "`REASON` to override the rules; it is set as the break-glass annotation")
	cmd.Flags().BoolVar(&o.yes, "yes", false, "do not ask for confirmation")
	cmd.Flags().StringVar(&o.config, "config", "", "GuardConfig `FILE` (default: the guard's own configuration)")
	o.addTo(cmd)
	o.cluster.hideImpersonation()
	completeFlag(cmd, "force")
	completeFlagWith(cmd, "to", o.completeVersion)
	return cmd
}

func (a *app) rollback(ctx context.Context, o *rollbackOptions) error {
	cluster, h, err := o.cluster.openHistory(ctx, o.namespace)
	if err != nil {
		return err
	}
	live, err := cluster.liveConfigMap(ctx)
	if err != nil {
		return err
	}
	r := &rollback{app: a, cluster: cluster, history: h, live: live, options: o}
	if r.version, err = h.chooseVersion(live, o.to); err != nil {
		return err
	}
	if live != nil && sameContent(live, &r.version) {
		_, err := fmt.Fprintf(a.stdout, "configmap/aws-auth already has the content of version %d\n", r.version.Number)
		return outputError(err)
	}
	cfg, err := a.clusterConfig(ctx, cluster, h, o.config)
	if err != nil {
		return err
	}
	if ok, err := r.showChange(cfg.Policy()); !ok || err != nil {
		return err
	}
	question := fmt.Sprintf("Restore %s of %s in the context %s?", r.versionName(), h, cluster.name)
	if ok, err := a.confirmWrite(question, o.yes || o.dryRun.is(dryRunServer)); !ok || err != nil {
		return err
	}
	return r.sendEdit(ctx)
}

// chooseVersion returns the version with this number. If the number is 0, it returns the newest good version whose content differs from the
// live object and can be in a manifest. It returns an error if there is no such version.
func (h storedHistory) chooseVersion(live *corev1.ConfigMap, number int) (history.Version, error) {
	if number > 0 {
		return h.versionWithContent(number)
	}
	versions := h.log.Versions()
	for i := len(versions) - 1; i >= 0; i-- {
		if v := &versions[i]; v.Good() && isUTF8(v) && (live == nil || !sameContent(live, v)) {
			return *v, nil
		}
	}
	return history.Version{}, fmt.Errorf("no version in %s to roll back to: no good version differs from the live object; choose one with --to", h)
}

func sameContent(live *corev1.ConfigMap, v *history.Version) bool {
	return history.Hash(live.Data, live.BinaryData) == history.Hash(v.Data, v.BinaryData)
}

// rollback is one run of the rollback command.
type rollback struct {
	app     *app
	cluster *cluster
	history storedHistory
	options *rollbackOptions
	live    *corev1.ConfigMap // the live aws-auth; nil if it does not exist
	version history.Version
	shown   report.File // the result of the evaluation, which the user has seen
}

func (r *rollback) versionName() string { return fmt.Sprintf("version %d", r.version.Number) }

// showChange evaluates the edit, and prints the changes of access and the findings. It returns true if the rollback may continue: the rules
// admit the edit, or the user set --force. Otherwise it sets the exit status to statusDenied.
func (r *rollback) showChange(policy validate.Policy) (bool, error) {
	a, after := r.app, object{Object: r.version.Object()}
	change, from := validate.Change{Operation: validate.Create, New: after.Object}, liveName(r.cluster.name)
	if r.live != nil {
		change.Operation, change.Old = validate.Update, kube.Object(r.live)
		after.Annotations, after.Immutable = change.Old.Annotations, change.Old.Immutable // a rollback keeps these fields
		after.Finalizers, after.Owners, after.Deleting = change.Old.Finalizers, change.Old.Owners, change.Old.Deleting
		a.noteUnloadedSections(from, object{Object: change.Old})
	} else {
		from += " (absent)"
	}
	a.noteUnloadedSections(r.versionName(), after)
	a.note("%s", describeVersion(r.history, &r.version))
	verdict := validate.Evaluate(asReviewed(change), policy)
	r.shown = editReport(from, r.versionName(), r.versionName(), true, verdict)
	if err := outputError(report.NewText(a.stdout, useColours(a.stdout)).Add(r.shown)); err != nil {
		return false, err
	}
	if verdict.Action == validate.ActionDeny && r.options.force == "" {
		a.status = statusDenied
		a.printErrors(fmt.Errorf("the rules deny %s, and nothing was sent; choose another version with --to, or override the rules with --force REASON", r.versionName()))
		return false, nil
	}
	return true, nil
}

// bypassHint returns a hint with a command that writes the version as a member of the bypass group. rollback doesn't run the command
// itself, because it doesn't impersonate groups.
func (r *rollback) bypassHint() string {
	verb := "replace"
	if r.live == nil {
		verb = "create"
	}
	return fmt.Sprintf("to write it without the webhook: kubectl awsauth history show %d | kubectl %s -f - --as=rescue --as-group=system:masters --as-group=%s (the group is the chart's value bypass.group)",
		r.version.Number, verb, validate.DefaultBypassGroup)
}

// sendEdit sends the edit to the API server and prints the result. If the API server denies the edit, sendEdit sets the exit status to
// statusDenied. If the API server denies the edit or can't call a webhook, sendEdit prints the bypass hint.
func (r *rollback) sendEdit(ctx context.Context) error {
	a := r.app
	cm := liveOrNew(r.live)
	cm.Data, cm.BinaryData = r.version.Data, r.version.BinaryData
	if err := breakGlass(cm, r.options.force); err != nil {
		return err
	}
	refused, err := a.sendAWSAuth(ctx, r.cluster, cm, r.options.dryRun.is(dryRunServer), r.shown.Findings)
	if refused || err != nil && strings.Contains(err.Error(), "failed calling webhook") {
		a.note("%s", r.bypassHint())
	}
	if refused || err != nil {
		return err
	}
	dry := ""
	if r.options.dryRun.is(dryRunServer) {
		dry = " (server dry run)"
	}
	_, err = fmt.Fprintf(a.stdout, "configmap/aws-auth rolled back to %s%s\n", r.versionName(), dry)
	if r.options.force != "" && dry == "" {
		a.noteBreakGlass()
	}
	return outputError(err)
}
