package documents_test

import (
	"bufio"
	"context"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/history"

	// The tests build the webhook, the plugin and the demo as programs. These imports make Go's cache of test results depend on
	// the packages of the programs.
	_ "github.com/awsauth-guard/awsauth-guard/internal/cli"
	_ "github.com/awsauth-guard/awsauth-guard/internal/server"
	"github.com/awsauth-guard/awsauth-guard/test/controlplane"
	"github.com/awsauth-guard/awsauth-guard/test/recording"
)

// The markers of the blocks whose commands this package runs, in a folder with a copy of examples.
const (
	runLocal   = "run"             // without a cluster
	runCluster = "run: in cluster" // with a cluster in which install has installed the guard
	runDemo    = "run: after demo" // with the cluster of make demo KEEP=1
)

// namespace is the namespace of the guard.
const namespace = "awsauth-guard"

// TestLocal runs the commands that need no cluster.
func TestLocal(t *testing.T) {
	assets, err := controlplane.Assets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	path := tools(t, filepath.Join(assets, "kubectl"))
	for _, p := range marked(t, runLocal) {
		t.Run(p.name, func(t *testing.T) {
			hold(t, p, runLocal, &shell{dir: copyExamples(t), path: path, variables: []string{"KUBECONFIG=/dev/null"}})
		})
	}
}

// TestDemo runs the program of make demo with KEEP=1, and then the commands of the pages that need its cluster. It also compares the
// output of the program with the recording that the pages show.
func TestDemo(t *testing.T) {
	assets, err := controlplane.Assets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "demo")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../demo").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	path := tools(t, filepath.Join(assets, "kubectl"))
	for _, p := range marked(t, runDemo) {
		t.Run(p.name, func(t *testing.T) {
			kubeconfig := startDemo(t, program)
			hold(t, p, runDemo, &shell{
				dir: copyExamples(t), path: path,
				replace: strings.NewReplacer("/tmp/awsauth-guard-123456789/kubeconfig", kubeconfig),
			})
		})
	}
}

// startDemo runs the demo until the test ends, compares its output with the recording, and returns the kubeconfig that it
// prints.
func startDemo(t *testing.T, program string) (kubeconfig string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "KEEP=1")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		_, _ = cmd.Process.Wait() // the signal ends the demo, so Wait returns an error
	})
	var printed strings.Builder
	for lines := bufio.NewScanner(output); lines.Scan(); {
		printed.WriteString(lines.Text() + "\n")
		if _, file, found := strings.Cut(lines.Text(), "export KUBECONFIG="); found {
			holdRecording(t, printed.String())
			go func() { // read on, because the demo waits if its output is not read
				for lines.Scan() {
				}
			}()
			return file
		}
	}
	t.Fatalf("the demo names no kubeconfig:\n%s", &printed)
	return ""
}

// holdRecording compares the recording of the demo with the output of the running demo, without times and ports.
func holdRecording(t *testing.T, printed string) {
	t.Helper()
	file, err := os.ReadFile(filepath.Join(root, "docs", "images", recording.CastFile))
	if err != nil {
		t.Fatal(err)
	}
	cast, err := recording.Parse(file)
	if err != nil {
		t.Fatal(err)
	}
	output, _, _ := strings.Cut(printed, "\nThe demo keeps running")
	if diff := cmp.Diff(recording.Comparable(cast.Output()), recording.Comparable(output)); diff != "" {
		t.Errorf("the recording of the demo is out of date; run make recording (-recording +demo):\n%s", diff)
	}
}

// TestInCluster runs the commands that need a cluster with the guard. install gives each page the same objects.
func TestInCluster(t *testing.T) {
	cluster, err := controlplane.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
	})
	guardConfig, err := os.ReadFile(filepath.Join(root, "examples", "guard.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	webhook, err := cluster.StartWebhook(t.Context(), string(guardConfig), "--shutdown-delay=0s")
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(cluster.Admin)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	path := tools(t, cluster.Kubectl())
	for _, p := range marked(t, runCluster) {
		t.Run(p.name, func(t *testing.T) {
			install(t, client, cluster, webhook, string(guardConfig))
			hold(t, p, runCluster, &shell{
				dir: copyExamples(t), path: path,
				// KUBE_EDITOR stands in for a user who changes a username with kubectl edit.
				variables: []string{"KUBECONFIG=" + cluster.Kubeconfig, "KUBE_EDITOR=sed -i s/bob$/robert/"},
				// On the pages, kubectl port-forward leads to the webhook at these addresses.
				replace: strings.NewReplacer("localhost:8080", address(t, webhook.Metrics), "localhost:8081", address(t, webhook.Ready)),
			})
		})
	}
}

// address returns the host and port of a URL.
func address(t *testing.T, text string) string {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

// install sets up the cluster as the chart does with examples/guard.yaml, except that the webhook is a process beside the API server
// and not a pod. The stored aws-auth is examples/aws-auth.yaml, and the history has two versions. install first deletes the objects
// of an earlier page.
func install(t *testing.T, client kubernetes.Interface, cluster *controlplane.ControlPlane, webhook *controlplane.Webhook, guardConfig string) {
	t.Helper()
	ctx := t.Context()
	configMaps := client.CoreV1().ConfigMaps(namespace)
	if err := errors.Join(
		client.AdmissionregistrationV1().ValidatingWebhookConfigurations().DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}),
		configMaps.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}),
	); err != nil {
		t.Fatal(err)
	}
	// The API server still calls the webhook for about a second after its configuration is deleted.
	if err := controlplane.Poll(ctx, func(ctx context.Context) error {
		err := client.CoreV1().ConfigMaps(metav1.NamespaceSystem).Delete(ctx, "aws-auth", metav1.DeleteOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := cluster.Register(ctx, webhook, admissionregistrationv1.MatchCondition{
		Name: "not-bypass", Expression: `!("awsauth-guard:bypass" in request.userInfo.groups)`,
	}); err != nil {
		t.Fatal(err)
	}
	for _, cm := range []*corev1.ConfigMap{
		{ObjectMeta: metav1.ObjectMeta{Name: "awsauth-guard"}, Data: map[string]string{"guardconfig.yaml": guardConfig}},
		{ObjectMeta: metav1.ObjectMeta{Name: "awsauth-guard-history", Labels: map[string]string{history.Label: "true"}}},
	} {
		if _, err := configMaps.Create(ctx, cm, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	registerService(t, client)
	apply := exec.CommandContext(ctx, cluster.Kubectl(), "apply", "-f", filepath.Join(root, "examples", "aws-auth.yaml"))
	apply.Env = append(os.Environ(), "KUBECONFIG="+cluster.Kubeconfig)
	if out, err := apply.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	keepVersions(t, client)
}

// registerService registers a webhook that names the guard's Service, by which kubectl awsauth finds the namespace of the guard. No
// request matches this webhook.
func registerService(t *testing.T, client kubernetes.Interface) {
	t.Helper()
	none := admissionregistrationv1.SideEffectClassNone
	_, err := client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(t.Context(), &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "by-service"},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name: "aws-auth.awsauth-guard.io", SideEffects: &none, AdmissionReviewVersions: []string{"v1"},
			ClientConfig: admissionregistrationv1.WebhookClientConfig{Service: &admissionregistrationv1.ServiceReference{Namespace: namespace, Name: "awsauth-guard"}},
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// keepVersions writes a history as the leader does: a version that has only mapRoles, and the stored version, which also
// has mapUsers.
func keepVersions(t *testing.T, client kubernetes.Interface) {
	t.Helper()
	var stored corev1.ConfigMap
	text, err := os.ReadFile(filepath.Join(root, "examples", "aws-auth.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &stored); err != nil {
		t.Fatal(err)
	}
	earlier := map[string]string{"mapRoles": stored.Data[string(awsauth.MapRoles)]}
	store := &history.Store{Client: client.CoreV1().ConfigMaps(namespace), Name: "awsauth-guard-history", Versions: func() int { return 10 }}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := store.Change(ctx, func(l *history.Log) error {
		for i, data := range []map[string]string{earlier, stored.Data} {
			l.Append(history.Version{
				ResourceVersion: string(rune('1' + i)), Time: time.Date(2026, 3, 1, 9+2*i, 12, 44, 0, time.UTC),
				Hash: history.Hash(data, nil), Data: data, Origin: history.Changed, Manager: "kubectl-edit", Verdict: "allow",
				Summary: history.Summary{Admins: 1, Nodes: 1, Roles: 3, Users: i},
			})
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
