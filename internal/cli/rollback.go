package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/history"
	"github.com/awsauth-guard/awsauth-guard/internal/kube"
	"github.com/awsauth-guard/awsauth-guard/internal/report"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

type rollbackOptions struct {
	historyOptions

	to     int
	dryRun dryRun
	force  string
	yes    bool
	config string
}

func (a *app) rollbackCommand() *cobra.Command {
	o := &rollbackOptions{}
	cmd := &cobra.Command{
		Use:   "rollback",
		Short: "Put a version of aws-auth back that awsauth-guard has kept",
		Long: `Put a version of aws-auth back that awsauth-guard has kept.

Without --to that is the newest good version with another content than the live object: one whose change
did not bypass the guard, and with which nothing was lost. Who gains and who loses what is shown first, and what the rules say of it as an edit of the
live object. What they deny is not sent, unless --force gives a reason: it is set as the annotation
awsauth-guard.io/break-glass, which the webhook honours from a member of overrides.groups. Then the edit
goes through the API server and the webhook like any other; nothing is sent if somebody has changed
aws-auth meanwhile. Only data and binaryData are put back.

rollback does not impersonate. Through the bypass a version is written by:

  kubectl awsauth history show NUMBER |
    kubectl replace -f - --as=rescue --as-group=system:masters --as-group=awsauth-guard:bypass

The rules are those of --config, else of the guard's own configuration, if you may read it.

Exit status: 0 done, or there is nothing to do; 1 denied, or not confirmed; 2 could not work.`,
		Example: a.example(
			"kubectl-awsauth rollback --dry-run",
			"kubectl-awsauth rollback --to 7",
			`kubectl-awsauth rollback --to 7 --force "incident 4711, the node role is meant to go" --yes`,
		),
		Args: usage(func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) > 0:
				return fmt.Errorf("%d arguments, but rollback takes none; name the version by --to", len(args))
			case cmd.Flags().Changed("to") && o.to < 1:
				return errors.New("--to takes the number of a version; kubectl awsauth history lists them")
			case cmd.Flags().Changed("force") && strings.TrimSpace(o.force) == "":
				return errors.New("--force takes the reason, which is kept in the annotation and in logs")
			}
			return nil
		}),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.rollback(cmd.Context(), o) },
	}
	cmd.Flags().IntVar(&o.to, "to", 0, "`NUMBER` of the version; without it the newest good one that differs from the live object")
	cmd.Flags().Var(&o.dryRun, "dry-run", "server sends the edit as a dry run, which changes nothing; none does not")
	cmd.Flags().Lookup("dry-run").NoOptDefVal = string(dryRunServer)
	cmd.Flags().StringVar(&o.force, "force", "", "`REASON` for which the guard is overruled")
	cmd.Flags().BoolVar(&o.yes, "yes", false, "do not ask")
	cmd.Flags().StringVar(&o.config, "config", "", "GuardConfig `FILE`, in place of the guard's own")
	o.addTo(cmd)
	complete(cmd, "dry-run", string(dryRunNone), string(dryRunServer))
	complete(cmd, "force")
	completeBy(cmd, "to", o.completeVersion)
	return cmd
}

// dryRun is kubectl's option, but for its client: the webhook is always to be asked.
type dryRun string

const (
	dryRunNone   dryRun = "none"
	dryRunServer dryRun = "server"
)

// String, Set and Type make it a flag's value.
func (d *dryRun) String() string { return string(*d) }

// Set checks and takes the value.
func (d *dryRun) Set(s string) error {
	if s != string(dryRunNone) && s != string(dryRunServer) {
		return errors.New("it is none or server")
	}
	*d = dryRun(s)
	return nil
}

// Type is what the help text shows for the value.
func (*dryRun) Type() string { return "none|server" }

func (a *app) rollback(ctx context.Context, o *rollbackOptions) error {
	cluster, err := o.connection.cluster()
	if err != nil {
		return err
	}
	h, err := cluster.history(ctx, o.namespace)
	if err != nil {
		return err
	}
	live, err := cluster.liveOrNone(ctx)
	if err != nil {
		return err
	}
	r := &rollback{app: a, cluster: cluster, history: h, live: live, options: o}
	if r.version, err = h.rollbackTo(live, o.to); err != nil {
		return err
	}
	if live != nil && sameContent(live, &r.version) {
		_, err := fmt.Fprintf(a.stdout, "configmap/aws-auth has the content of version %d already\n", r.version.Number)
		return written(err)
	}
	policy, err := a.guardPolicy(ctx, cluster, h, o.config)
	if err != nil {
		return err
	}
	if ok, err := r.show(policy); !ok || err != nil {
		return err
	}
	if ok, err := r.confirmed(); !ok || err != nil {
		return err
	}
	return r.send(ctx)
}

// rollbackTo returns the version that is asked for, or the newest good one that differs from the live object.
func (h storedHistory) rollbackTo(live *corev1.ConfigMap, number int) (history.Version, error) {
	if number > 0 {
		return h.version(number)
	}
	versions := h.log.Versions()
	for i := len(versions) - 1; i >= 0; i-- {
		if v := &versions[i]; v.Good() && isText(v) && (live == nil || !sameContent(live, v)) {
			return *v, nil
		}
	}
	return history.Version{}, fmt.Errorf("no version in %s to roll back to: no good version differs from the live object; choose one with --to", h)
}

func sameContent(live *corev1.ConfigMap, v *history.Version) bool {
	return history.Hash(live.Data, live.BinaryData) == history.Hash(v.Data, v.BinaryData)
}

// rollback is one run of the command.
type rollback struct {
	app     *app
	cluster *cluster
	history storedHistory
	options *rollbackOptions
	live    *corev1.ConfigMap // nil where there is none
	version history.Version
}

func (r *rollback) name() string { return fmt.Sprintf("version %d", r.version.Number) }

// show writes who gains and loses what and what the rules say, and reports whether it may be sent.
func (r *rollback) show(policy validate.Policy) (bool, error) {
	a, after := r.app, object{Object: r.version.Object()}
	change, from := validate.Change{Operation: validate.Create, New: after.Object}, liveLabel(r.cluster.name)
	if r.live != nil {
		change.Operation, change.Old = validate.Update, kube.Object(r.live)
		after.Annotations, after.Immutable = change.Old.Annotations, change.Old.Immutable // these stay
		after.Finalizers, after.Owners, after.Deleting = change.Old.Finalizers, change.Old.Owners, change.Old.Deleting
		a.noteUnloaded(from, object{Object: change.Old})
	} else {
		from += " (absent)"
	}
	a.noteUnloaded(r.name(), after)
	a.note("%s", facts(r.history, &r.version))
	verdict := validate.Judge(asReviewed(change), policy)
	file := report.File{Name: r.name(), Access: []report.Access{{Old: from, New: r.name(), Changes: verdict.Access}}}
	for _, f := range verdict.Findings {
		file.Findings = append(file.Findings, report.Finding{File: r.name(), InText: true, Finding: f})
	}
	if err := written(report.NewText(a.stdout, colours(a.stdout)).Add(file)); err != nil {
		return false, err
	}
	if verdict.Action == validate.Refuse && r.options.force == "" {
		a.status = statusDenied
		a.printErrors(fmt.Errorf("%s is denied by the rules, and nothing was sent; choose another version by --to, or overrule the rules by --force REASON", r.name()))
		return false, nil
	}
	return true, nil
}

// confirmed asks whoever sits at the terminal.
func (r *rollback) confirmed() (bool, error) {
	a := r.app
	if r.options.yes || r.options.dryRun == dryRunServer {
		return true, nil
	}
	if f, ok := a.stdin.(*os.File); !ok || !term.IsTerminal(int(f.Fd())) {
		return false, errors.New("there is no terminal to ask on, and nothing was sent; give --yes, or look first by --dry-run")
	}
	fmt.Fprintf(a.stderr, "Make %s of %s the live object in the context %s? [y/N] ", r.name(), r.history, report.OneLine(r.cluster.name))
	line, err := bufio.NewReader(a.stdin).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return false, fmt.Errorf("reading the answer: %w", err)
	}
	if answer := strings.ToLower(strings.TrimSpace(line)); answer != "y" && answer != "yes" {
		a.status = statusDenied
		a.note("nothing was sent")
		return false, nil
	}
	return true, nil
}

// changed is the live object with the version's content.
func (r *rollback) changed() (*corev1.ConfigMap, error) {
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: awsauth.Name, Namespace: awsauth.Namespace}}
	if r.live != nil {
		cm = r.live.DeepCopy()
	}
	cm.Data, cm.BinaryData = r.version.Data, r.version.BinaryData
	if reason := strings.TrimSpace(r.options.force); reason != "" {
		if strings.TrimSpace(cm.Annotations[validate.BreakGlassAnnotation]) == reason {
			return nil, fmt.Errorf("--force: the live object has this reason in the annotation %s already, and only another one overrules the guard", validate.BreakGlassAnnotation)
		}
		metav1.SetMetaDataAnnotation(&cm.ObjectMeta, validate.BreakGlassAnnotation, reason)
	}
	return cm, nil
}

// bypassHint names the commands that write the version through the bypass: rollback does not impersonate groups.
func (r *rollback) bypassHint() string {
	verb := "replace"
	if r.live == nil {
		verb = "create"
	}
	return fmt.Sprintf("to write it without asking the webhook: kubectl awsauth history show %d | kubectl %s -f - --as=rescue --as-group=system:masters --as-group=%s (the group is the chart's value bypass.group)",
		r.version.Number, verb, validate.DefaultBypassGroup)
}

// send sends the edit.
func (r *rollback) send(ctx context.Context) error {
	a := r.app
	cm, err := r.changed()
	if err != nil {
		return err
	}
	warnings, err := r.cluster.write(ctx, cm, r.options.dryRun == dryRunServer)
	for _, warning := range warnings {
		fmt.Fprintf(a.stderr, "Warning: %s\n", report.OneLine(warning))
	}
	if refusal := (*refusedError)(nil); errors.As(err, &refusal) {
		a.status = statusDenied
		a.printErrors(err)
		a.note("%s", r.bypassHint())
		return nil
	}
	if err != nil {
		if strings.Contains(err.Error(), "failed calling webhook") {
			a.note("%s", r.bypassHint())
		}
		return err
	}
	dry := ""
	if r.options.dryRun == dryRunServer {
		dry = " (server dry run)"
	}
	_, err = fmt.Fprintf(a.stdout, "configmap/aws-auth rolled back to %s%s\n", r.name(), dry)
	if r.options.force != "" && dry == "" {
		a.note("the annotation stays; take it away: kubectl annotate configmap aws-auth -n kube-system %s-", validate.BreakGlassAnnotation)
	}
	return written(err)
}
