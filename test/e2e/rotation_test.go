//go:build e2e

package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// rotating is the name of TestRotateCA's release and of its namespace. For this release, the API server calls the webhooks for an
// aws-auth in this namespace, and not for that in kube-system. So TestRotateCA can run at the same time as the other tests.
const rotating = release + "-rotation"

// retired is the limit of the wait for the end of a rotation. The old CA stays in the caBundle for five minutes.
const retired = 10 * time.Minute

// TestRotateCA rotates the CA while a client edits an aws-auth. It waits until the caBundle no longer has the old CA.
// No review is lost.
func TestRotateCA(t *testing.T) {
	t.Parallel()
	pods := installRotating(t)
	old := rotatingSecret(t.Context(), t)["ca.crt"]
	before := map[string]string{}
	for i := range pods {
		before[pods[i].Name] = serving(t, &pods[i])
	}
	e := editBy(t, 1, 100*time.Millisecond, func(ctx context.Context, client, n int) error {
		return annotate(ctx, rotating, client, n)
	})
	e.more(20)
	kubectl(t, "annotate", "secret", rotating+"-ca", "--namespace", rotating, "awsauth-guard.io/rotate=now")
	asked := time.Now()

	var now []byte
	eventually(t, late, "the Secret has a new CA, and the old CA as the previous one", func(ctx context.Context) error {
		secret := rotatingSecret(ctx, t)
		if now = secret["ca.crt"]; len(now) == 0 || bytes.Equal(now, old) || !bytes.Contains(secret["previous.crt"], old) {
			return errors.New("the Secret has the old CA")
		}
		return nil
	})
	for i := range pods {
		eventually(t, late, "each pod has another certificate", func(context.Context) error {
			if serving(t, &pods[i]) == before[pods[i].Name] {
				return fmt.Errorf("%s serves the old one", pods[i].Name)
			}
			return nil
		})
	}
	figure("%-34s %.0f s", "rotation, new leaves after", time.Since(asked).Seconds())
	for _, bundle := range webhookBundles(t.Context(), t, rotating) {
		if !bytes.Contains(bundle, old) || !bytes.Contains(bundle, now) {
			t.Errorf("caBundle should have both CAs, and is\n%s", bundle)
		}
	}

	eventually(t, retired, "the old CA is gone", func(ctx context.Context) error {
		secret := rotatingSecret(ctx, t)
		if _, there := secret["previous.crt"]; there || !bytes.Equal(secret["ca.crt"], now) {
			return errors.New("it is in the Secret")
		}
		for _, bundle := range webhookBundles(ctx, t, rotating) {
			if !bytes.Equal(bundle, now) {
				return errors.New("it is in a caBundle")
			}
		}
		return nil
	})
	figure("%-34s %.0f s", "rotation, old CA gone after", time.Since(asked).Seconds())
	e.finishWithout("rotation of the CA to its end")

	// The pods answered at least one review for each edit, so the API server called them.
	reviews := 0.0
	for i := range pods {
		reviews += skipped(t, &pods[i])
	}
	if reviews < float64(e.edits) {
		t.Errorf("the pods answered %v reviews of %d edits, want at least as many reviews", reviews, e.edits)
	}
}

// installRotating installs the release with webhooks for its own namespace, creates an aws-auth there, and returns
// the pods.
func installRotating(t *testing.T) []corev1.Pod {
	t.Helper()
	version, err := admin.Discovery().ServerVersion()
	if err != nil {
		t.Fatal(err)
	}
	// helm install would register webhooks that select kube-system. So change the namespace in the output of helm
	// template.
	args := append([]string{"template", rotating, chart, "--namespace", rotating, "--skip-tests", "--kube-version", version.GitVersion}, values()...)
	manifest, _, err := output(t, "", helmPath, args...)
	if err != nil {
		t.Fatal(err)
	}
	const selects = "kubernetes.io/metadata.name: "
	if n := strings.Count(manifest, selects+metav1.NamespaceSystem); n != 2 {
		t.Fatalf("%d webhooks select kube-system, want 2", n)
	}
	manifest = strings.ReplaceAll(manifest, selects+metav1.NamespaceSystem, selects+rotating)
	remove := func() {
		if _, err := run(t, manifest, kubectlPath, "delete", "--ignore-not-found", "--filename", "-"); err != nil {
			t.Error(err)
		}
		kubectl(t, "delete", "namespace", rotating, "--ignore-not-found")
	}
	remove()
	t.Cleanup(remove)
	kubectl(t, "create", "namespace", rotating)
	apply(t, manifest)
	kubectl(t, "rollout", "status", "deployment", rotating, "--namespace", rotating, "--timeout", late.String())
	eventually(t, soon, "the API server admits the creation of aws-auth", func(ctx context.Context) error {
		stored := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "aws-auth"}}
		_, err := admin.CoreV1().ConfigMaps(rotating).Create(ctx, stored, metav1.CreateOptions{})
		return err
	})
	list, err := admin.CoreV1().Pods(rotating).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != replicas {
		t.Fatalf("%d pods, want %d: %v", len(list.Items), replicas, err)
	}
	return list.Items
}

// rotatingSecret returns the data of the release's Secret with the CAs.
func rotatingSecret(ctx context.Context, t *testing.T) map[string][]byte {
	t.Helper()
	secret, err := admin.CoreV1().Secrets(rotating).Get(ctx, rotating+"-ca", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return secret.Data
}

// webhookBundles returns the caBundle of each webhook of a release.
func webhookBundles(ctx context.Context, t *testing.T, release string) (bundles [][]byte) {
	t.Helper()
	config, err := admin.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(ctx, release, metav1.GetOptions{})
	if err != nil || len(config.Webhooks) != 2 {
		t.Fatalf("%d webhooks, want 2: %v", len(config.Webhooks), err)
	}
	for i := range config.Webhooks {
		bundles = append(bundles, config.Webhooks[i].ClientConfig.CABundle)
	}
	return bundles
}

// skipped returns the number of reviews that a pod has answered with the verdict skipped: reviews of an aws-auth
// outside of kube-system.
func skipped(t *testing.T, pod *corev1.Pod) (sum float64) {
	t.Helper()
	for line := range strings.Lines(metricsOf(t, pod)) {
		labels, value, _ := strings.Cut(line, "} ")
		if !strings.HasPrefix(labels, "awsauth_guard_reviews_total{") || !strings.Contains(labels, `verdict="skipped"`) {
			continue
		}
		var n float64
		if _, err := fmt.Sscan(value, &n); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		sum += n
	}
	return sum
}
