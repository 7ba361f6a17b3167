// Command demo demonstrates the guard. It starts a Kubernetes API server and the webhook on loopback ports, and makes good
// and bad edits of aws-auth with kubectl. It prints each request and the API server's response. It fails if a response is
// not the expected one.
//
// With KEEP=1 it leaves everything running until Ctrl-C. With RECORD=FOLDER it records its output, in colours, into demo.cast
// and demo.svg in this folder.
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

// timeout limits the whole demo. It is ten times as long as the demo takes on two cores with an empty build cache. The
// demo takes longer if tools/controlplane.sh must compile the control plane first.
const timeout = 10 * time.Minute

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	out := &terminal{Writer: os.Stdout, colour: useColours(os.Stdout)}
	save := record(out)
	err := run(ctx, out, keepRunning())
	cancel()
	if err == nil {
		err = save()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

func run(ctx context.Context, out *terminal, keep bool) (err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(timeout, func() { cancel(fmt.Errorf("stopped after %s", timeout)) })
	defer timer.Stop()

	out.line("%s", out.bold("awsauth-guard: a real API server, a real webhook, and nine edits of aws-auth"))
	out.line("%s\n", out.dim("It takes about ten seconds, plus a minute if the webhook must be compiled first."))
	d := &demo{out: out}
	started := out.stopwatch()
	cluster, err := controlplane.Start(ctx)
	if err != nil {
		return causeOf(ctx, err)
	}
	defer func() { err = errors.Join(err, cluster.Stop()) }()
	d.cluster = cluster
	core, err := typedcorev1.NewForConfig(cluster.Admin)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	d.configMaps = core.ConfigMaps(metav1.NamespaceSystem)
	started("etcd and kube-apiserver run on %s", cluster.Admin.Host)
	stopEKS, err := startEKS(cluster.Admin.CAData)
	if err != nil {
		return err
	}
	defer stopEKS()
	if d.webhook, err = cluster.StartWebhook(ctx, guardConfig, "--kubeconfig="+cluster.Kubeconfig); err != nil {
		return causeOf(ctx, err)
	}
	started("the webhook is built and ready")
	if err := cluster.Register(ctx, d.webhook); err != nil {
		return causeOf(ctx, err)
	}
	started("the API server calls the webhook for every write of kube-system/aws-auth")

	if err := d.waitForAccessEntries(ctx); err != nil {
		return causeOf(ctx, err)
	}
	started("the webhook has read the access entries of the cluster")

	out.line("\nThe webhook's configuration protects a principal from losing access, and reads the cluster's access entries:\n")
	out.indented(4, guardConfig)
	for i, s := range steps() {
		if err := d.runStep(ctx, i+1, s); err != nil {
			return causeOf(ctx, err)
		}
	}
	if err := d.printMetrics(ctx); err != nil {
		return causeOf(ctx, err)
	}
	summary := d.summary()
	if keep {
		timer.Stop()
		d.printHint()
		<-ctx.Done()
		out.line("\nstopping")
	}
	return summary
}

// causeOf returns the error to report for err. If ctx is cancelled, this is the cause, such as Ctrl-C or the timeout, because
// err is then only a consequence.
func causeOf(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// demo is the state of a running demo.
type demo struct {
	out              *terminal
	cluster          *controlplane.ControlPlane
	webhook          *controlplane.Webhook
	configMaps       typedcorev1.ConfigMapInterface
	manifest         string   // the last admitted aws-auth.yaml
	admitted, denied int      // numbers of requests
	unexpected       []string // the differences of responses from the expected ones
}

// runStep makes and prints the request of a step. It records the differences of the response from the expected one.
func (d *demo) runStep(ctx context.Context, number int, s step) error {
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
		if !s.dryRun {
			d.manifest = manifest
		}
		d.out.line("   %s", d.out.green(d.out.bold("✔ ADMITTED")))
	} else {
		d.denied++
		d.out.line("   %s", d.out.red(d.out.bold("✘ REFUSED")))
	}
	for _, problem := range s.problems(ok, answer, before != after) {
		d.unexpected = append(d.unexpected, fmt.Sprintf("step %d: %s", number, problem))
		d.out.line("   %s", d.out.red("not expected: "+problem))
	}
	return nil
}

// kubectl runs kubectl. It returns the output, and reports whether the exit status was 0. It returns an error if kubectl
// can't start, or if ctx ends.
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

// stored returns the resource version of the stored aws-auth, or "" if aws-auth does not exist.
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

// nonZeroCounter matches the lines of the metrics that count reviews, if the value is not 0. The value is the text after the
// last space.
var nonZeroCounter = regexp.MustCompile(`^awsauth_guard_(reviews_total|rejections_total|would_deny_total|review_duration_seconds_(sum|count))(\{.*\})? [^ ]*[1-9][^ ]*$`)

// printMetrics prints the counters of the webhook that are not 0.
func (d *demo) printMetrics(ctx context.Context) error {
	body, err := d.webhook.Get(ctx, d.webhook.Metrics)
	if err != nil {
		return err
	}
	d.out.line("\n%s\n", d.out.bold("The counters of the webhook ("+d.webhook.Metrics+")"))
	for line := range strings.Lines(body) {
		if nonZeroCounter.MatchString(line) {
			d.out.indented(3, line)
		}
	}
	d.out.line("   %s", d.out.dim(`dry_run="true" counts the requests by which the demo checked that the API server calls the webhook`))
	return nil
}

// summary prints the numbers of admitted and refused requests. If a response was not the expected one, it returns an error
// instead.
func (d *demo) summary() error {
	if len(d.unexpected) > 0 {
		return fmt.Errorf("not expected:\n  %s\nthe webhook's log ends\n%s", strings.Join(d.unexpected, "\n  "), d.webhook.LogEnd())
	}
	d.out.line("\n%s", d.out.green(fmt.Sprintf("✔ %d requests admitted, %d refused, all as expected", d.admitted, d.denied)))
	return nil
}

// printHint prints the commands with which a user continues by hand.
func (d *demo) printHint() {
	d.out.line("\n%s\n", d.out.bold("The demo keeps running; Ctrl-C stops and removes it."))
	d.out.line("   export KUBECONFIG=%s", d.cluster.Kubeconfig)
	d.out.line("   %s edit configmap aws-auth -n kube-system", d.cluster.Kubectl())
}

// keepRunning reports whether KEEP is set. The values 0 and false count as not set.
func keepRunning() bool {
	switch os.Getenv("KEEP") {
	case "", "0", "false":
		return false
	}
	return true
}
