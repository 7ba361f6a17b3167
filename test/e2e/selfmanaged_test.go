//go:build e2e

package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/yaml"
)

// TestSelfManaged installs a release with the chart's defaults, such as certs.mode self-managed and failurePolicy Fail. Then it
// upgrades the release, and ends its pods in several ways.
func TestSelfManaged(t *testing.T) {
	alone(t)
	_ = t.Run("install", func(t *testing.T) { install(t, "self-managed") }) &&
		t.Run("edits", edits) &&
		t.Run("helm test", helmTest) &&
		t.Run("memory", memory) &&
		t.Run("everything on", everything) &&
		t.Run("kill a replica", killOne) &&
		t.Run("rolling upgrade", rollingUpgrade) &&
		t.Run("drain", drain) &&
		t.Run("helm upgrade --force", upgradeForce) &&
		t.Run("kill both", killBoth) &&
		t.Run("no pod", noPod) &&
		t.Run("uninstall", uninstall)
}

// edits makes changes with kubectl, as users do. The guard admits a harmless change, and refuses harmful changes and a deletion.
func edits(t *testing.T) {
	kubectl(t, "annotate", "configmap", "aws-auth", "-n", "kube-system", "e2e.test/note=harmless")
	kubectlFails(t, "[assumed-role-arn]", "patch", "configmap", "aws-auth", "-n", "kube-system", "--type", "merge", "--patch",
		`{"data":{"mapRoles":"- rolearn: arn:aws:sts::111122223333:assumed-role/Admin/session\n  username: admin\n  groups: [system:masters]\n"}}`)
	kubectlFails(t, refusal, "patch", "configmap", "aws-auth", "-n", "kube-system", "--type", "merge", "--patch", unreadable, "--dry-run=server")
	kubectlFails(t, "[deleted]", "delete", "configmap", "aws-auth", "-n", "kube-system")
	otherConfigMaps(t)
}

// otherConfigMaps checks that the API server admits changes of other ConfigMaps in kube-system, and of ConfigMaps
// named aws-auth in other namespaces.
func otherConfigMaps(t *testing.T) {
	t.Helper()
	for _, name := range []string{"other/kube-system", "aws-auth/default"} {
		name, in, _ := strings.Cut(name, "/")
		kubectl(t, "create", "configmap", name, "-n", in, "--from-literal=mapRoles=-\ttab")
		kubectl(t, "label", "configmap", name, "-n", in, "e2e.test/mine=yes")
		kubectl(t, "delete", "configmap", name, "-n", in)
	}
	// The request to delete a collection has no name.
	kubectl(t, "create", "configmap", "other", "-n", "kube-system")
	kubectl(t, "label", "configmap", "other", "-n", "kube-system", "e2e.test/mine=yes")
	err := awsAuth().DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "e2e.test/mine=yes"})
	if err != nil {
		t.Errorf("deleting other ConfigMaps by a label: %v", err)
	}
}

// helmTest checks that helm test succeeds, and leaves no objects.
func helmTest(t *testing.T) {
	out := helm(t, "test", release, "--timeout", "2m")
	if want := "ok: the guard refused an unparsable aws-auth"; !strings.Contains(out, want) {
		t.Errorf("helm test says\n%s\nwant %q", out, want)
	}
	left := kubectl(t, "get", "pods,roles,rolebindings,serviceaccounts", "--all-namespaces", "--selector", "app.kubernetes.io/component=test", "--ignore-not-found", "--output", "name")
	if left != "" {
		t.Errorf("helm test has left\n%s", left)
	}
}

// maxMemory is the largest permitted memory of a pod, in bytes. It holds with all features enabled and 100 entries.
const maxMemory = 64 << 20

// memory prints the start time and the memory of each pod. It reports an error if a pod uses more than maxMemory.
func memory(t *testing.T) {
	t.Helper()
	for _, pod := range readyPods(t) {
		figure("%-34s %.2f s", "a process serves after", startTime(t, pod.Name).Seconds())
		_, after, ok := strings.Cut(metricsOf(t, &pod), "\nprocess_resident_memory_bytes ")
		var bytes float64
		if _, err := fmt.Sscan(after, &bytes); err != nil || !ok {
			t.Fatalf("process_resident_memory_bytes of %s: %v", pod.Name, err)
		}
		figure("%-34s %.1f MiB", "resident memory of a pod", bytes/(1<<20))
		if bytes > maxMemory {
			t.Errorf("%s uses %.0f MiB of memory, want at most %d", pod.Name, bytes/(1<<20), maxMemory>>20)
		}
	}
}

// everything enables all features. It measures the memory of the pods after clients have edited an aws-auth of 100 entries, and
// tests restores. The pods call IAM, which doesn't answer. At the end, it disables the features again.
func everything(t *testing.T) {
	upgrade(t, "--set", "guardConfig.iam.mode=warn,guardConfig.selfTest.enabled=true,guardConfig.restore.enabled=true,podAnnotations.everything=on")
	hundred := good()
	for i := range 98 {
		hundred.Data["mapRoles"] += fmt.Sprintf("- rolearn: arn:aws:iam::111122223333:role/team-%d\n  username: team-%d\n  groups: [viewers]\n", i, i)
	}
	update := func(cm *corev1.ConfigMap) {
		t.Helper()
		if _, err := awsAuth().Update(t.Context(), cm, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	update(hundred)
	e := edit(t)
	e.more(400)
	e.finishWithout("everything on")
	memory(t)
	update(good())
	restores(t)
	upgrade(t)
}

// restores removes all entries from aws-auth through the bypass. The guard restores them within 15 s. If the same edit sets the
// break-glass annotation, the guard doesn't restore them for 12 s.
func restores(t *testing.T) {
	t.Helper()
	empty := func(annotations string) {
		kubectl(t, "patch", "configmap", "aws-auth", "-n", "kube-system", "--type", "merge",
			"--patch", `{"metadata":{"annotations":`+annotations+`},"data":{"mapRoles":"[]"}}`,
			"--as=me", "--as-group=system:masters", "--as-group=awsauth-guard:bypass")
	}
	roles := func(ctx context.Context) (string, error) {
		cm, err := awsAuth().Get(ctx, "aws-auth", metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		return cm.Data["mapRoles"], nil
	}
	empty("{}")
	emptied := time.Now()
	eventually(t, 15*time.Second, "the last good aws-auth is restored", func(ctx context.Context) error {
		text, err := roles(ctx)
		if err == nil && text != good().Data["mapRoles"] {
			err = errors.New("it is not")
		}
		return err
	})
	figure("%-34s %.1f s", "a loss is restored after", time.Since(emptied).Seconds())
	empty(`{"awsauth-guard.io/break-glass":"e2e"}`)
	emptied = time.Now()
	eventually(t, soon, "a restore would have been made", func(ctx context.Context) error {
		if text, err := roles(ctx); err != nil || text != "[]" {
			t.Fatalf("stored is %q, %v", text, err)
		}
		if time.Since(emptied) < 12*time.Second {
			return errors.New("not yet")
		}
		return nil
	})
	kubectl(t, "annotate", "configmap", "aws-auth", "-n", "kube-system", "awsauth-guard.io/break-glass-")
	if _, err := awsAuth().Update(t.Context(), good(), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// killOne kills the process of one pod, and later the process of the other. The API server is connected to one of the
// two processes. The API server loses reviews until the kubelet marks the killed pod as not ready. It may lose no
// review that begins more than three seconds after the kill.
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

// rollingUpgrade replaces the pods by an upgrade while a client edits aws-auth. No review is lost.
func rollingUpgrade(t *testing.T) {
	before := readyPods(t)
	e := edit(t)
	e.more(50)
	upgrade(t, "--set", "podAnnotations.upgrade=once")
	gone(t, before)
	e.finishWithout("rolling upgrade")
}

// drain evicts the pods while the nodes accept no new pods. The PodDisruptionBudget keeps one pod until a node
// accepts pods again. No review is lost.
func drain(t *testing.T) {
	before := readyPods(t)
	nodes, err := admin.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{FieldSelector: "spec.unschedulable=false"})
	if err != nil {
		t.Fatal(err)
	}
	e := edit(t)
	e.more(50)
	for i := range nodes.Items {
		name := nodes.Items[i].Name
		kubectl(t, "cordon", name)
		t.Cleanup(func() { kubectl(t, "uncordon", name) })
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
	for i := range nodes.Items {
		kubectl(t, "uncordon", nodes.Items[i].Name)
	}
	eventually(t, late, "the other pod goes when there is a new one", func(ctx context.Context) error { return evict(ctx, &before[1]) })
	gone(t, before[1:])
	readyPods(t)
	e.finishWithout("drain")
}

// upgradeForce makes Helm replace the webhook configuration by one without a caBundle. Meanwhile, the API server admits no
// change without a review. The leader writes the caBundle again within five seconds. The leader is new, because drain
// ended the pod of the previous leader.
func upgradeForce(t *testing.T) {
	drained := time.Now()
	hasLeader(t)
	figure("%-34s %.1f s", "a leader is there after a drain, in", time.Since(drained).Seconds())
	emptied := watchBundles(t)
	e := edit(t)
	e.more(50)
	upgrade(t, "--force", "--set", "podAnnotations.upgrade=once")
	e.more(300)
	e.settle()
	if !emptied() {
		t.Error("no webhook was without a caBundle, so the leader had nothing to write again")
	}
	lost := e.finish("helm upgrade --force")
	for _, l := range lost {
		if strings.Contains(l.err.Error(), admitted) {
			t.Errorf("with failurePolicy Fail: %v", l.err)
		}
	}
	took := window(lost)
	if took > 5*time.Second {
		t.Errorf("reviews were lost for %.1f s; the caBundle should be there again after 5 s", took.Seconds())
	}
	figure("%-34s %.2f s", "  from the first of those to the last", took.Seconds())
	eventually(t, soon, "an unreadable aws-auth is refused again", isRefused)
}

// watchBundles watches the webhook configuration. The returned function stops the watch, and reports whether a
// webhook had no caBundle at any time.
func watchBundles(t *testing.T) (emptied func() bool) {
	t.Helper()
	watched, err := admin.AdmissionregistrationV1().ValidatingWebhookConfigurations().Watch(t.Context(), metav1.SingleObject(metav1.ObjectMeta{Name: release}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(watched.Stop)
	result := make(chan bool, 1)
	go func() {
		empty := false
		for event := range watched.ResultChan() {
			config, ok := event.Object.(*admissionregistrationv1.ValidatingWebhookConfiguration)
			empty = empty || ok && event.Type != watch.Deleted && slices.ContainsFunc(config.Webhooks, func(w admissionregistrationv1.ValidatingWebhook) bool {
				return len(w.ClientConfig.CABundle) == 0
			})
		}
		result <- empty
	}()
	return func() bool {
		watched.Stop()
		return <-result
	}
}

// killBoth kills both processes at the same time. Meanwhile, the API server admits no change without a review. Both
// processes restart.
func killBoth(t *testing.T) {
	pods := readyPods(t)
	for i := range pods {
		kill(t, &pods[i])
	}
	killed := time.Now()
	eventually(t, late, "an unreadable aws-auth is refused again", func(ctx context.Context) error {
		err := isRefused(ctx)
		if err != nil && strings.Contains(err.Error(), admitted) {
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

// noPod checks docs/how-to/when-nothing-answers.md in a cluster without pods of the webhook: the page has kubectl's message, EKS and
// the bypass can still change aws-auth, and all users can change other ConfigMaps.
func noPod(t *testing.T) {
	kubectl(t, "scale", "deployment", release, "--namespace", namespace, "--replicas=0")
	annotate := []string{"annotate", "--overwrite", "configmap", "aws-auth", "-n", "kube-system"}
	eventually(t, late, "kubectl prints a message of docs/how-to/when-nothing-answers.md", func(context.Context) error {
		return said(t, append(annotate, "e2e.test/note=harmless")...)
	})
	kubectlFails(t, unanswered, "delete", "configmap", "aws-auth", "-n", "kube-system")
	otherConfigMaps(t)
	kubectl(t, append(annotate, "e2e.test/eks=yes", "--as=eks:node-manager", "--as-group=system:masters")...)
	bypass := []string{"--as=me", "--as-group=system:masters", "--as-group=awsauth-guard:bypass"}
	kubectl(t, append(annotate, append(bypass, "e2e.test/bypass=yes")...)...)
	kubectl(t, append([]string{"delete", "configmap", "aws-auth", "-n", "kube-system"}, bypass...)...)
	if _, err := awsAuth().Create(t.Context(), good(), metav1.CreateOptions{}); err == nil {
		t.Error("aws-auth is created without a review")
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

// unanswered is a part of the API server's error about a review that the guard doesn't answer.
const unanswered = `failed calling webhook "aws-auth.awsauth-guard.io"`

// said runs a kubectl command that must fail because the webhook doesn't answer. It returns an error if the command succeeds or
// fails for another reason, or if docs/how-to/when-nothing-answers.md doesn't have kubectl's message. It ignores the address in the
// message.
func said(t *testing.T, args ...string) error {
	t.Helper()
	page, err := os.ReadFile("../../docs/how-to/when-nothing-answers.md")
	if err != nil {
		t.Fatal(err)
	}
	_, err = run(t, "", kubectlPath, args...)
	switch {
	case err == nil:
		return errors.New("the API server admits the change")
	case !strings.Contains(err.Error(), unanswered):
		return err
	}
	_, line, _ := strings.Cut(err.Error(), "\n")
	line = regexp.MustCompile(`dial tcp \S+:\d+`).ReplaceAllString(line, "dial tcp 10.0.1.7:9443")
	if !strings.Contains(string(page), "\n"+line) {
		return fmt.Errorf("the page does not have\n%s", line)
	}
	t.Logf("docs/how-to/when-nothing-answers.md has\n%s", line)
	return nil
}

// uninstall uninstalls the release. Helm deletes the webhooks last (v3.22.0, pkg/releaseutil/kind_sorter.go: unknown
// kinds), after the Service and the Deployment. So edits may fail until helm returns. They must not fail later.
func uninstall(t *testing.T) {
	e := edit(t)
	e.more(50)
	helm(t, "uninstall", release, "--wait", "--timeout", "2m")
	returned := time.Now()
	e.more(200)
	e.end()
	var refused []loss
	for _, l := range e.lost {
		switch text := l.err.Error(); {
		case strings.Contains(text, unanswered):
			refused = append(refused, l)
			if l.began.After(returned) {
				t.Errorf("%.2f s after helm uninstall: %v", l.began.Sub(returned).Seconds(), l.err)
			}
		case !strings.Contains(text, admitted): // after helm has deleted the webhooks, the API server admits every edit
			t.Errorf("an edit has failed: %v", l.err)
		}
	}
	figure("%-34s %5d edits in %5.1f s, %d refused without a review, within %.2f s", "helm uninstall", e.edits, time.Since(e.started).Seconds(), len(refused), window(refused).Seconds())
	eventually(t, soon, "the API server calls no webhook any more", func(ctx context.Context) error {
		_, err1 := awsAuth().Patch(ctx, "aws-auth", types.MergePatchType, []byte(unreadable), metav1.PatchOptions{})
		return errors.Join(err1, awsAuth().Delete(ctx, "aws-auth", metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}))
	})
	kubectl(t, "delete", "configmap", "aws-auth", "-n", "kube-system")
	eventually(t, late, "nothing is left", func(context.Context) error { // the pods may need some time to end
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
