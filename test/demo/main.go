// Command demo shows the guard at work: it starts a Kubernetes API server and the webhook on
// loopback ports, edits aws-auth with kubectl as a person would, well and badly, and prints each
// request and the API server's own answer. It fails when an answer is not the expected one.
//
// With KEEP=1 everything is left running until Ctrl-C.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/awsauth-guard/awsauth-guard/test/controlplane"
)

// limit is for the whole demo: ten times what two cores need when nothing has been compiled yet.
// The control plane itself was compiled before, by tools/controlplane.sh.
const limit = 10 * time.Minute

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err := run(ctx, &terminal{Writer: os.Stdout, colour: coloured(os.Stdout)}, kept())
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

func run(ctx context.Context, out *terminal, keep bool) (err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(limit, func() { cancel(fmt.Errorf("stopped after %s", limit)) })
	defer timer.Stop()

	out.line("%s", out.bold("awsauth-guard: a real API server, a real webhook, and eight edits of aws-auth"))
	out.line("%s\n", out.dim("It takes about ten seconds, and a minute more when the webhook has not been compiled yet."))
	d := &demo{out: out}
	started := out.stopwatch()
	cluster, err := controlplane.Start(ctx)
	if err != nil {
		return interrupted(ctx, err)
	}
	defer func() { err = errors.Join(err, cluster.Stop()) }()
	d.cluster = cluster
	core, err := typedcorev1.NewForConfig(cluster.Admin)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	d.configMaps = core.ConfigMaps(metav1.NamespaceSystem)
	started("etcd and kube-apiserver run on %s", cluster.Admin.Host)
	if d.webhook, err = cluster.StartWebhook(ctx, guardConfig); err != nil {
		return interrupted(ctx, err)
	}
	started("the webhook is built and ready")
	if err := cluster.Register(ctx, d.webhook); err != nil {
		return interrupted(ctx, err)
	}
	started("the API server asks it about every write of kube-system/aws-auth")

	out.line("\nThe webhook's configuration names a principal that must never lose its access:\n")
	out.indented(4, guardConfig)
	for i, s := range steps() {
		if err := d.do(ctx, i+1, s); err != nil {
			return interrupted(ctx, err)
		}
	}
	if err := d.metrics(ctx); err != nil {
		return interrupted(ctx, err)
	}
	summary := d.summary()
	if keep {
		timer.Stop()
		d.hint()
		<-ctx.Done()
		out.line("\nstopping")
	}
	return summary
}

// interrupted names Ctrl-C or the limit instead of what they broke.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// demo is a demo under way.
type demo struct {
	out               *terminal
	cluster           *controlplane.ControlPlane
	webhook           *controlplane.Webhook
	configMaps        typedcorev1.ConfigMapInterface
	manifest          string // the aws-auth.yaml that was admitted last
	admitted, refused int
	unexpected        []string
}

// do makes the step's request and compares the answer with the expected one.
func (d *demo) do(ctx context.Context, number int, s step) error {
	d.out.line("\n%s\n", d.out.bold(fmt.Sprintf("%d  %s", number, s.title)))
	manifest := d.manifest
	if s.edit != nil {
		manifest = s.edit(d.manifest)
		if manifest == d.manifest {
			return fmt.Errorf("step %d changes nothing", number)
		}
		d.out.diff(d.manifest, manifest)
		file := filepath.Join(filepath.Dir(d.cluster.Kubeconfig), "aws-auth.yaml")
		if err := os.WriteFile(file, []byte(manifest), 0o600); err != nil {
			return fmt.Errorf("writing the manifest: %w", err)
		}
	}
	before, err := d.stored(ctx)
	if err != nil {
		return err
	}
	d.out.line("   %s kubectl %s", d.out.dim("$"), strings.Join(s.kubectl, " "))
	answer, ok, err := d.kubectl(ctx, s.kubectl...)
	if err != nil {
		return err
	}
	d.out.indented(3, answer)
	after, err := d.stored(ctx)
	if err != nil {
		return err
	}
	if ok {
		d.admitted++
		d.manifest = manifest
		d.out.line("   %s", d.out.green(d.out.bold("✔ ADMITTED")))
	} else {
		d.refused++
		d.out.line("   %s", d.out.red(d.out.bold("✘ REFUSED")))
	}
	for _, problem := range s.problems(ok, answer, before != after) {
		d.unexpected = append(d.unexpected, fmt.Sprintf("step %d: %s", number, problem))
		d.out.line("   %s", d.out.red("not expected: "+problem))
	}
	return nil
}

// kubectl returns what kubectl printed, and whether it had its way.
func (d *demo) kubectl(ctx context.Context, args ...string) (output string, ok bool, err error) {
	cmd := exec.CommandContext(ctx, d.cluster.Kubectl(), args...) //nolint:gosec // arguments of our own
	cmd.Dir = filepath.Dir(d.cluster.Kubeconfig)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+d.cluster.Kubeconfig, "KUBECACHEDIR="+filepath.Join(cmd.Dir, "cache"))
	b, err := cmd.CombinedOutput()
	if exit := new(exec.ExitError); errors.As(err, &exit) && ctx.Err() == nil {
		return string(b), false, nil
	}
	return string(b), err == nil, err
}

// stored identifies the version that the API server holds; it is empty when there is none.
func (d *demo) stored(ctx context.Context) (string, error) {
	cm, err := d.configMaps.Get(ctx, "aws-auth", metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading aws-auth: %w", err)
	}
	return cm.ResourceVersion, nil
}

// counted finds the counters that have counted something.
var counted = regexp.MustCompile(`^awsauth_guard_(reviews_total|rejections_total|would_deny_total|review_duration_seconds_(sum|count))[{ ].*[1-9]`)

// metrics prints what the webhook has counted.
func (d *demo) metrics(ctx context.Context) error {
	body, err := d.webhook.Get(ctx, d.webhook.Metrics)
	if err != nil {
		return err
	}
	d.out.line("\n%s\n", d.out.bold("What the webhook has counted ("+d.webhook.Metrics+")"))
	for line := range strings.Lines(body) {
		if counted.MatchString(line) {
			d.out.indented(3, line)
		}
	}
	d.out.line("   %s", d.out.dim(`dry_run="true" is how the demo found out that the API server asks the webhook`))
	return nil
}

// summary says how the demo went; its error is that it went otherwise than expected.
func (d *demo) summary() error {
	if len(d.unexpected) > 0 {
		return fmt.Errorf("not expected:\n  %s\nthe webhook's log ends\n%s", strings.Join(d.unexpected, "\n  "), d.webhook.LogEnd())
	}
	d.out.line("\n%s", d.out.green(fmt.Sprintf("✔ %d requests admitted, %d refused, all as expected", d.admitted, d.refused)))
	return nil
}

// hint says how to go on by hand.
func (d *demo) hint() {
	d.out.line("\n%s\n", d.out.bold("All of it is left running; Ctrl-C stops and removes it."))
	d.out.line("   export KUBECONFIG=%s", d.cluster.Kubeconfig)
	d.out.line("   %s edit configmap aws-auth -n kube-system", d.cluster.Kubectl())
}

// kept reports whether KEEP asks for it; KEEP=0 and KEEP=false do not.
func kept() bool {
	switch os.Getenv("KEEP") {
	case "", "0", "false":
		return false
	}
	return true
}
