//go:build e2e

// Package e2e_test installs the chart with helm in a real cluster, with real pods, and then does to
// it what happens to pods. run.sh starts it; the parts of a test stand in an order and build on each other.
package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/awsauth-guard/awsauth-guard/test/controlplane"
)

const (
	chart     = "../../charts/awsauth-guard"
	namespace = "awsauth-guard"
	release   = "awsauth-guard"
	replicas  = 2 // the chart's default
)

// What run.sh hands over.
var (
	kubeconfig  = os.Getenv("E2E_KUBECONFIG")
	kubectlPath = os.Getenv("E2E_KUBECTL")
	helmPath    = os.Getenv("E2E_HELM")
	image       = os.Getenv("E2E_IMAGE")
)

// Every wait ends at one of them. They say how long is certainly too long, not how long it takes.
const (
	soon = 30 * time.Second
	late = 3 * time.Minute
)

// admin asks as the administrator whom the kubeconfig names.
var admin *kubernetes.Clientset

// figures are what is printed at the end.
var (
	figuresLock sync.Mutex
	figures     []string
)

func figure(format string, args ...any) {
	figuresLock.Lock()
	defer figuresLock.Unlock()
	figures = append(figures, fmt.Sprintf(format, args...))
}

func TestMain(m *testing.M) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err == nil {
		config.QPS = -1
		admin, err = kubernetes.NewForConfig(config)
	}
	if err != nil || kubectlPath == "" || helmPath == "" || image == "" {
		fmt.Fprintln(os.Stderr, "make e2e starts these tests:", err)
		os.Exit(2)
	}
	status := m.Run()
	for _, text := range figures {
		fmt.Println("figure:", text)
	}
	os.Exit(status)
}

// run runs a program against the cluster, without what the machine's user has configured for it, and
// returns what it says.
func run(t *testing.T, stdin, program string, args ...string) (string, error) {
	t.Helper()
	out, warnings, err := output(t, stdin, program, args...)
	return out + warnings, err
}

// output is run with what a program warns of apart. Where it fails that is in the error.
func output(t *testing.T, stdin, program string, args ...string) (out, warnings string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 2*late) // also for what a cleanup does
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = environment(t)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), "", fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, stderr.String())
	}
	return stdout.String(), stderr.String(), nil
}

// environment is that of kubectl and helm. HOME and what clouds need stay: the kubeconfig may run a
// program that logs in.
func environment(t *testing.T) []string {
	t.Helper()
	own := t.TempDir()
	return append(slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return strings.HasPrefix(variable, "KUBE") || strings.HasPrefix(variable, "HELM_")
	}), "KUBECONFIG="+kubeconfig, "KUBECACHEDIR="+own, "KUBERC=off",
		"HELM_CACHE_HOME="+own, "HELM_CONFIG_HOME="+own, "HELM_DATA_HOME="+own)
}

// kubectl runs kubectl, which must succeed.
func kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := run(t, "", kubectlPath, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// kubectlFails runs kubectl, which must fail with a text.
func kubectlFails(t *testing.T, want string, args ...string) {
	t.Helper()
	out, err := run(t, "", kubectlPath, args...)
	if err == nil {
		t.Fatalf("kubectl %s has succeeded, and should fail with %q:\n%s", strings.Join(args, " "), want, out)
	}
	if !strings.Contains(err.Error(), want) {
		t.Fatalf("%v\nwant %q", err, want)
	}
}

// helm runs helm, which must succeed.
func helm(t *testing.T, args ...string) string {
	t.Helper()
	out, err := run(t, "", helmPath, append(args, "--namespace", namespace)...)
	if err != nil {
		t.Error(err)
		describe(t)
		t.FailNow()
	}
	return out
}

// describe logs what the pods are about.
func describe(t *testing.T) {
	t.Helper()
	for _, args := range [][]string{
		{"get", "all,events", "--namespace", namespace, "--output", "wide"},
		{"logs", "--namespace", namespace, "--selector", selector, "--prefix", "--tail", "40"},
	} {
		out, err := run(t, "", kubectlPath, args...)
		t.Log(out, err)
	}
}

// eventually waits until a condition holds.
func eventually(t *testing.T, limit time.Duration, what string, holds func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	if err := controlplane.Poll(ctx, holds); err != nil {
		describe(t)
		t.Fatalf("%s: not after %s: %v", what, limit, err)
	}
}

// selector selects the webhook's pods.
const selector = "app.kubernetes.io/instance=" + release + ",app.kubernetes.io/component=webhook"

// ready returns the pods that are Ready and not told to end, by name.
func ready(ctx context.Context) ([]corev1.Pod, error) {
	list, err := admin.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list.Items, func(p corev1.Pod) bool {
		return p.DeletionTimestamp != nil || !slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
		})
	}), nil
}

// readyPods waits until the pods are Ready, and returns them.
func readyPods(t *testing.T) (pods []corev1.Pod) {
	t.Helper()
	eventually(t, late, "the pods are Ready", func(ctx context.Context) (err error) {
		if pods, err = ready(ctx); err == nil && len(pods) != replicas {
			err = fmt.Errorf("%d pods are Ready", len(pods))
		}
		return err
	})
	return pods
}

// apply applies a manifest, which must succeed.
func apply(t *testing.T, manifest string) {
	t.Helper()
	if _, err := run(t, manifest, kubectlPath, "apply", "--filename", "-"); err != nil {
		t.Fatal(err)
	}
}
