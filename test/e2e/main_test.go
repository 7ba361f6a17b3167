//go:build e2e

// Package e2e_test installs the chart with helm in a real cluster. Then it kills, drains and upgrades the pods, as in
// production. run.sh starts the tests. The parts of a test run in order, and each continues with the state that the
// previous part left.
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

// Environment variables that run.sh sets.
var (
	kubeconfig  = os.Getenv("E2E_KUBECONFIG")
	kubectlPath = os.Getenv("E2E_KUBECTL")
	helmPath    = os.Getenv("E2E_HELM")
	image       = os.Getenv("E2E_IMAGE")
)

// Limits of waits. A wait that takes longer fails its test. The usual wait is much shorter.
const (
	soon = 30 * time.Second
	late = 3 * time.Minute
)

// admin is a client for the user in the kubeconfig.
var admin *kubernetes.Clientset

// figures are the measured values that TestMain prints at the end.
var (
	figuresLock sync.Mutex
	figures     []string
)

// figure adds a line to figures.
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

// run runs a program and returns its stdout and stderr. The program uses the tests' cluster, and not the
// configuration of the machine's user.
func run(t *testing.T, stdin, program string, args ...string) (string, error) {
	t.Helper()
	out, warnings, err := output(t, stdin, program, args...)
	return out + warnings, err
}

// output is like run, but returns stdout and stderr separately. If the program fails, the error contains stderr.
func output(t *testing.T, stdin, program string, args ...string) (out, warnings string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 2*late) // a cleanup can also call this function
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

// environment returns the environment of kubectl and helm. It keeps HOME and the variables of cloud providers,
// because the kubeconfig may run a program that logs in.
func environment(t *testing.T) []string {
	t.Helper()
	own := t.TempDir()
	return append(slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return strings.HasPrefix(variable, "KUBE") || strings.HasPrefix(variable, "HELM_")
	}), "KUBECONFIG="+kubeconfig, "KUBECACHEDIR="+own, "KUBERC=off",
		"HELM_CACHE_HOME="+own, "HELM_CONFIG_HOME="+own, "HELM_DATA_HOME="+own)
}

// kubectl runs kubectl and returns its output. It fails the test if kubectl fails.
func kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := run(t, "", kubectlPath, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// kubectlFails runs kubectl. It fails the test if kubectl succeeds, or if the error does not contain the text want.
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

// helm runs helm and returns its output. It fails the test if helm fails.
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

// describe logs the state of the pods, the Events in their namespace, and the end of their logs.
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

// eventually waits until holds returns no error. It fails the test if that takes longer than limit.
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

// ready returns the pods that are Ready and not terminating.
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

// readyPods waits until as many pods as replicas are Ready, and returns the pods.
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

// apply applies a manifest with kubectl. It fails the test if kubectl fails.
func apply(t *testing.T, manifest string) {
	t.Helper()
	if _, err := run(t, manifest, kubectlPath, "apply", "--filename", "-"); err != nil {
		t.Fatal(err)
	}
}
