//go:build e2e

package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"
)

// TestSelfManaged is a release with the chart's defaults: certs.mode self-managed, failurePolicy Fail.
func TestSelfManaged(t *testing.T) {
	clean(t)
	t.Cleanup(func() { clean(t) })
	_ = t.Run("install", func(t *testing.T) { install(t, "self-managed") }) &&
		t.Run("edits", edits) &&
		t.Run("helm test", helmTest) &&
		t.Run("memory", memory) &&
		t.Run("kill a replica", killOne) &&
		t.Run("rolling upgrade", rollingUpgrade) &&
		t.Run("drain", drain) &&
		t.Run("rotate the CA", rotateCA) &&
		t.Run("helm upgrade --force", upgradeForce) &&
		t.Run("kill both", killBoth) &&
		t.Run("no pod", noPod) &&
		t.Run("uninstall", uninstall)
}

// clean removes what an earlier run has left, and stores an aws-auth.
func clean(t *testing.T) {
	t.Helper()
	_, err := run(t, "", helmPath, "uninstall", release, "--namespace", namespace, "--ignore-not-found", "--wait")
	if err != nil {
		t.Fatal(err)
	}
	kubectl(t, "delete", "namespace", namespace, "--ignore-not-found")
	text, err := yaml.Marshal(good())
	if err != nil {
		t.Fatal(err)
	}
	kubectl(t, "delete", "configmap", "aws-auth", "--namespace", "kube-system", "--ignore-not-found")
	apply(t, string(text))
}

// values are those of every release: the image, and a principal to protect.
func values() []string {
	colon := strings.LastIndexByte(image, ':')
	return []string{
		"--set", "image.repository=" + image[:colon], "--set", "image.tag=" + image[colon+1:],
		"--set", "guardConfig.protected[0].arn=arn:aws:iam::111122223333:role/Admin",
		"--set", "guardConfig.protected[0].groups[0]=system:masters",
	}
}

// install installs the release and measures how long it takes.
func install(t *testing.T, what string, more ...string) {
	t.Helper()
	started := time.Now()
	var refused time.Duration
	var watching sync.WaitGroup
	ctx, cancel := context.WithTimeout(t.Context(), late)
	defer cancel()
	watching.Go(func() {
		for ctx.Err() == nil && isRefused(ctx) != nil {
			time.Sleep(20 * time.Millisecond)
		}
		refused = time.Since(started)
	})
	args := append([]string{"install", release, chart, "--create-namespace", "--wait", "--timeout", "3m"}, values()...)
	helm(t, append(args, more...)...)
	installed := time.Since(started)
	watching.Wait()
	figure("%-34s Ready after %.1f s, first refusal after %.1f s", "helm install, "+what, installed.Seconds(), refused.Seconds())
	readyPods(t)
}

// edits asks for changes as people do.
func edits(t *testing.T) {
	kubectl(t, "annotate", "configmap", "aws-auth", "-n", "kube-system", "e2e.test/note=harmless")
	kubectlFails(t, "[assumed-role-arn]", "patch", "configmap", "aws-auth", "-n", "kube-system", "--type", "merge", "--patch",
		`{"data":{"mapRoles":"- rolearn: arn:aws:sts::111122223333:assumed-role/Admin/session\n  username: admin\n  groups: [system:masters]\n"}}`)
	kubectlFails(t, refusal, "patch", "configmap", "aws-auth", "-n", "kube-system", "--type", "merge", "--patch", unreadable, "--dry-run=server")
	kubectlFails(t, "[deleted]", "delete", "configmap", "aws-auth", "-n", "kube-system")
	otherConfigMaps(t)
}

// otherConfigMaps changes ConfigMaps beside aws-auth and of its name elsewhere.
func otherConfigMaps(t *testing.T) {
	t.Helper()
	for _, name := range []string{"other/kube-system", "aws-auth/default"} {
		name, in, _ := strings.Cut(name, "/")
		kubectl(t, "create", "configmap", name, "-n", in, "--from-literal=mapRoles=-\ttab")
		kubectl(t, "label", "configmap", name, "-n", in, "e2e.test/mine=yes")
		kubectl(t, "delete", "configmap", name, "-n", in)
	}
	// With no name in the request.
	kubectl(t, "create", "configmap", "other", "-n", "kube-system")
	kubectl(t, "label", "configmap", "other", "-n", "kube-system", "e2e.test/mine=yes")
	err := awsAuth().DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "e2e.test/mine=yes"})
	if err != nil {
		t.Errorf("deleting other ConfigMaps by a label: %v", err)
	}
}

func helmTest(t *testing.T) {
	out := helm(t, "test", release, "--timeout", "2m")
	if want := "ok: an aws-auth that cannot be read is refused"; !strings.Contains(out, want) {
		t.Errorf("helm test says\n%s\nwant %q", out, want)
	}
	left := kubectl(t, "get", "pods,roles,rolebindings,serviceaccounts", "--all-namespaces", "--selector", "app.kubernetes.io/component=test", "--ignore-not-found", "--output", "name")
	if left != "" {
		t.Errorf("helm test has left\n%s", left)
	}
}

// memory reads how much of it each pod has, and how long it took to start.
func memory(t *testing.T) {
	for _, pod := range readyPods(t) {
		figure("%-34s %.2f s", "a process serves after", startTime(t, pod.Name).Seconds())
		metrics := kubectl(t, "get", "--raw", "/api/v1/namespaces/"+namespace+"/pods/"+pod.Name+":8080/proxy/metrics")
		_, after, ok := strings.Cut(metrics, "\nprocess_resident_memory_bytes ")
		var bytes float64
		if _, err := fmt.Sscan(after, &bytes); err != nil || !ok {
			t.Fatalf("process_resident_memory_bytes of %s: %v", pod.Name, err)
		}
		figure("%-34s %.1f MiB", "resident memory of a pod", bytes/(1<<20))
	}
}

// killOne kills a process without a word to anybody, and then the other: the API server has its
// connection with one of them. Reviews that the process has are lost, and those that go to it until
// the kubelet has noticed; none that begins three seconds later.
func killOne(t *testing.T) {
	for i := range 2 {
		victim := &readyPods(t)[i]
		e := edit(t)
		e.more(100)
		killed := time.Now()
		kill(t, victim)
		e.more(400)
		restarted(t, victim)
		last := 0.0
		for _, l := range e.finish(fmt.Sprintf("SIGKILL of replica %d", i+1)) {
			last = max(last, l.began.Sub(killed).Seconds())
		}
		if last > 3 {
			t.Errorf("a review was lost that began %.1f s after the kill", last)
		}
		figure("%-34s %.2f s", "  the last of those began after", last)
		readyPods(t)
	}
}

func rollingUpgrade(t *testing.T) {
	before := readyPods(t)
	e := edit(t)
	e.more(50)
	helm(t, append([]string{"upgrade", release, chart, "--wait", "--timeout", "3m", "--set", "podAnnotations.upgrade=once"}, values()...)...)
	gone(t, before)
	e.finishWithout("rolling upgrade")
}

// gone waits until pods have ended.
func gone(t *testing.T, pods []corev1.Pod) {
	t.Helper()
	for _, pod := range pods {
		eventually(t, late, pod.Name+" has ended", func(ctx context.Context) error {
			now, err := admin.CoreV1().Pods(namespace).Get(ctx, pod.Name, metav1.GetOptions{})
			if apierrors.IsNotFound(err) || err == nil && now.UID != pod.UID {
				return nil
			}
			return errors.Join(errors.New("it is there"), err)
		})
	}
}

// drain takes the pods from a node that gets no new ones: the budget keeps one of them until the
// node, here the only one, takes pods again.
func drain(t *testing.T) {
	before := readyPods(t)
	nodes := map[string]bool{}
	for i := range before {
		nodes[before[i].Spec.NodeName] = true
	}
	e := edit(t)
	e.more(50)
	for node := range nodes {
		kubectl(t, "cordon", node)
		t.Cleanup(func() { kubectl(t, "uncordon", node) })
	}
	evict := func(ctx context.Context, pod *corev1.Pod) error {
		return admin.PolicyV1().Evictions(namespace).Evict(ctx, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: pod.Name}})
	}
	if err := evict(t.Context(), &before[0]); err != nil {
		t.Fatalf("the first pod should go: %v", err)
	}
	gone(t, before[:1])
	if err := evict(t.Context(), &before[1]); !apierrors.IsTooManyRequests(err) {
		t.Fatalf("the last pod should be kept by the budget: %v", err)
	}
	for node := range nodes {
		kubectl(t, "uncordon", node)
	}
	eventually(t, late, "the other pod goes when there is a new one", func(ctx context.Context) error { return evict(ctx, &before[1]) })
	gone(t, before[1:])
	readyPods(t)
	e.finishWithout("drain")
}

// rotateCA asks for a new CA; the replicas take it into use a minute later.
func rotateCA(t *testing.T) {
	secret := func(ctx context.Context) map[string][]byte {
		s, err := admin.CoreV1().Secrets(namespace).Get(ctx, release+"-ca", metav1.GetOptions{})
		if err != nil {
			return nil
		}
		return s.Data
	}
	pods := readyPods(t)
	ca := string(secret(t.Context())["ca.crt"])
	before := map[string]string{}
	for i := range pods {
		before[pods[i].Name] = serving(t, &pods[i])
	}
	e := edit(t)
	e.more(50)
	kubectl(t, "annotate", "secret", release+"-ca", "--namespace", namespace, "awsauth-guard.io/rotate=now")
	eventually(t, late, "another CA is in use", func(ctx context.Context) error {
		if now := string(secret(ctx)["ca.crt"]); now == "" || now == ca {
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
	e.finishWithout("rotation of CA and leaves")
}

// upgradeForce replaces the webhook configuration by one without caBundle.
func upgradeForce(t *testing.T) {
	e := edit(t)
	e.more(50)
	helm(t, append([]string{"upgrade", release, chart, "--force", "--wait", "--timeout", "3m", "--set", "podAnnotations.upgrade=once"}, values()...)...)
	upgraded := time.Now()
	e.more(300)
	lost := e.finish("helm upgrade --force")
	last := 0.0
	for _, l := range lost {
		last = max(last, l.began.Sub(upgraded).Seconds())
	}
	if last > 5 {
		t.Errorf("a review was lost %.1f s after the upgrade; the caBundle should be there again after 5 s", last)
	}
	eventually(t, soon, "an unreadable aws-auth is refused again", isRefused)
}

// killBoth kills every process at once: no change passes unseen meanwhile, and they come back.
func killBoth(t *testing.T) {
	pods := readyPods(t)
	for i := range pods {
		kill(t, &pods[i])
	}
	killed := time.Now()
	eventually(t, late, "an unreadable aws-auth is refused again", func(ctx context.Context) error {
		err := isRefused(ctx)
		if err != nil && strings.Contains(err.Error(), "is admitted") {
			t.Errorf("with no process running: %v", err)
		}
		return err
	})
	figure("%-34s %.1f s", "SIGKILL of both, refusals again after", time.Since(killed).Seconds())
	for i := range pods {
		restarted(t, &pods[i])
	}
	readyPods(t)
}

// noPod is the hour for which docs/emergency.md is written.
func noPod(t *testing.T) {
	kubectl(t, "scale", "deployment", release, "--namespace", namespace, "--replicas=0")
	unanswered := `failed calling webhook "aws-auth.awsauth-guard.io"`
	eventually(t, late, "nobody answers", func(ctx context.Context) error {
		if err := isRefused(ctx); err == nil || !strings.Contains(err.Error(), unanswered) {
			return fmt.Errorf("somebody does: %w", err)
		}
		return nil
	})
	annotate := []string{"annotate", "--overwrite", "configmap", "aws-auth", "-n", "kube-system"}
	kubectlFails(t, unanswered, append(annotate, "e2e.test/note=harmless")...)
	kubectlFails(t, unanswered, "delete", "configmap", "aws-auth", "-n", "kube-system")
	otherConfigMaps(t)
	kubectl(t, append(annotate, "e2e.test/eks=yes", "--as=eks:node-manager", "--as-group=system:masters")...)
	bypass := []string{"--as=me", "--as-group=system:masters", "--as-group=awsauth-guard:bypass"}
	kubectl(t, append(annotate, append(bypass, "e2e.test/bypass=yes")...)...)
	kubectl(t, append([]string{"delete", "configmap", "aws-auth", "-n", "kube-system"}, bypass...)...)
	if _, err := awsAuth().Create(t.Context(), good(), metav1.CreateOptions{}); err == nil {
		t.Error("aws-auth is created with nobody asked")
	}
	text, err := yaml.Marshal(good())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := run(t, string(text), kubectlPath, append([]string{"create", "--filename", "-"}, bypass...)...); err != nil {
		t.Error(err)
	}
	kubectl(t, "scale", "deployment", release, "--namespace", namespace, "--replicas=2")
	readyPods(t)
	eventually(t, soon, "an unreadable aws-auth is refused again", isRefused)
}

func uninstall(t *testing.T) {
	e := edit(t)
	e.more(50)
	helm(t, "uninstall", release, "--wait", "--timeout", "2m")
	e.end() // from some moment on every edit is admitted, which to it is a loss
	eventually(t, soon, "the API server has noticed", func(ctx context.Context) error {
		_, err1 := awsAuth().Patch(ctx, "aws-auth", types.MergePatchType, []byte(unreadable), metav1.PatchOptions{})
		return errors.Join(err1, awsAuth().Delete(ctx, "aws-auth", metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}))
	})
	kubectl(t, "delete", "configmap", "aws-auth", "-n", "kube-system")
	eventually(t, late, "nothing is left", func(context.Context) error { // the pods still answer for a while
		left := ""
		for _, kinds := range []string{
			"validatingwebhookconfigurations,validatingadmissionpolicies,validatingadmissionpolicybindings,clusterroles,clusterrolebindings",
			"all,configmaps,secrets,serviceaccounts,roles,rolebindings,leases,networkpolicies,poddisruptionbudgets",
		} {
			left += kubectl(t, "get", kinds, "--all-namespaces", "--selector", "app.kubernetes.io/instance="+release, "--ignore-not-found", "--output", "name")
		}
		if left != "" {
			return errors.New(left)
		}
		return nil
	})
}
