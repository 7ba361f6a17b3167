package integration_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/awsauth-guard/awsauth-guard/internal/enforcement"
	guardhistory "github.com/awsauth-guard/awsauth-guard/internal/history"
	"github.com/awsauth-guard/awsauth-guard/internal/kube"
	"github.com/awsauth-guard/awsauth-guard/internal/server"
	"github.com/awsauth-guard/awsauth-guard/internal/servingcert"
)

// quick returns the default times, except that the times for which a test waits are a tenth.
func quick() enforcement.Timing {
	t := enforcement.DefaultTiming()
	t.Check, t.Grace = time.Second, 2*time.Second
	t.SelfTest, t.Settle = 3*time.Second, 300*time.Millisecond
	return t
}

// guarded has the objects that a webhook with --state needs, and a webhook configuration with the match conditions of
// the chart.
type guarded struct {
	*selfManaged

	timing enforcement.Timing
	change func(*server.Options) // changes the options of each replica before it starts
}

// newGuarded stores d and installs all objects except for the webhook configuration. config is the GuardConfig.
func newGuarded(t *testing.T, d data, config string, timing enforcement.Timing) *guarded {
	t.Helper()
	store(t, d)
	g := &guarded{selfManaged: newSelfManaged(t, hasty()), timing: timing}
	ctx := t.Context()
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "history"}} // kubectl awsauth must not find this history, so it doesn't have the label
	if _, err := g.client.CoreV1().ConfigMaps(g.namespace).Create(ctx, cm, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	g.grant(t, g.namespace, rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"configmaps"}, ResourceNames: []string{"history"}, Verbs: []string{"get", "update"}},
		rbacv1.PolicyRule{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, Verbs: []string{"create", "get", "update"}})
	g.grant(t, metav1.NamespaceSystem, rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"configmaps"}, ResourceNames: []string{"aws-auth"}, Verbs: []string{"list", "watch", "update", "delete"}},
		rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"create"}},
		rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"events"}, Verbs: []string{"create", "patch"}})
	g.identify(t)
	file := filepath.Join(t.TempDir(), "guardconfig.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	g.adjust = func(o *server.Options) {
		o.ConfigFile, o.State, o.EnforcementTiming = file, g.namespace+"/history", g.timing
		o.ShutdownDelay = 100 * time.Millisecond
		if g.change != nil {
			g.change(o)
		}
	}
	return g
}

func (g *guarded) grant(t *testing.T, namespace string, rules ...rbacv1.PolicyRule) {
	t.Helper()
	named := metav1.ObjectMeta{Name: "live-" + g.namespace}
	if _, err := g.client.RbacV1().Roles(namespace).Create(t.Context(), &rbacv1.Role{ObjectMeta: named, Rules: rules}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := g.client.RbacV1().RoleBindings(namespace).Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: named, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: named.Name},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "system:anonymous"}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// bind grants a user rights in the whole cluster.
func (g *guarded) bind(t *testing.T, name, user string, rules ...rbacv1.PolicyRule) {
	t.Helper()
	named := metav1.ObjectMeta{Name: name + "-" + g.namespace}
	if _, err := g.client.RbacV1().ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{ObjectMeta: named, Rules: rules}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := g.client.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: named, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: named.Name},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// identify grants the replicas the right to ask for their own username. Every authenticated user has this right, but the
// replicas of these tests are anonymous.
func (g *guarded) identify(t *testing.T) {
	t.Helper()
	named := metav1.ObjectMeta{Name: "live-" + g.namespace}
	if _, err := g.client.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: named, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:basic-user"},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "system:anonymous"}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// kubeconfigOf returns the path of a kubeconfig that leads to the API server and has the user.
func kubeconfigOf(t *testing.T, user *clientcmdapi.AuthInfo) string {
	t.Helper()
	config := clientcmdapi.NewConfig()
	config.Clusters["x"] = &clientcmdapi.Cluster{Server: cluster.Admin.Host, CertificateAuthorityData: cluster.Admin.CAData}
	config.AuthInfos["x"] = user
	config.Contexts["x"] = &clientcmdapi.Context{Cluster: "x", AuthInfo: "x"}
	config.CurrentContext = "x"
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// registerChart registers the webhooks with the rules and the match conditions of the chart. If bundle is nil, the
// replicas write the caBundle.
func (g *guarded) registerChart(t *testing.T, bundle []byte) {
	t.Helper()
	const isAWSAuth = `(has(request.name) ? request.name : oldObject != null ? oldObject.metadata.name : "") == "aws-auth"`
	const isEKS = `(has(request.userInfo.username) && request.userInfo.username.startsWith("eks:"))`
	const isBypass = `(has(request.userInfo.groups) && "awsauth-guard:bypass" in request.userInfo.groups)`
	hook := func(name, path string, policy admissionregistrationv1.FailurePolicyType, conditions ...string) admissionregistrationv1.ValidatingWebhook {
		h := admissionregistrationv1.ValidatingWebhook{
			Name: name + ".awsauth-guard.io",
			ClientConfig: admissionregistrationv1.WebhookClientConfig{CABundle: bundle, Service: &admissionregistrationv1.ServiceReference{
				Namespace: g.namespace, Name: guard, Path: &path, Port: new(g.balancer.port()),
			}},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create, admissionregistrationv1.Update, admissionregistrationv1.Delete},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"configmaps"}},
			}},
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: metav1.NamespaceSystem}},
			FailurePolicy:     &policy, SideEffects: new(admissionregistrationv1.SideEffectClassNoneOnDryRun),
			TimeoutSeconds: new(int32(5)), AdmissionReviewVersions: []string{"v1"},
		}
		for i, condition := range conditions {
			h.MatchConditions = append(h.MatchConditions, admissionregistrationv1.MatchCondition{Name: "condition-" + strconv.Itoa(i), Expression: condition})
		}
		return h
	}
	config := &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: g.config()},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{
			hook("live", "/validate-aws-auth", admissionregistrationv1.Fail, isAWSAuth, "!"+isEKS, "!"+isBypass),
			hook("observe", "/observe-aws-auth", admissionregistrationv1.Ignore, isAWSAuth, isEKS+" || "+isBypass),
		},
	}
	if bundle == nil {
		config.Annotations = map[string]string{servingcert.CAAnnotation: g.namespace + "/" + guard}
	}
	if _, err := g.configs().Create(t.Context(), config, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.unregister(t) })
}

// run registers the webhooks and starts n replicas. It waits until the API server calls the replicas, each of them reports that
// it enforces, and the history has its first version.
func (g *guarded) run(t *testing.T, n int) (list []*replica) {
	t.Helper()
	g.registerChart(t, nil)
	for range n {
		r := g.start(t)
		r.wantReady(t, 10*time.Second)
		list = append(list, r)
	}
	g.wantCalled(t)
	for _, r := range list {
		r.wantMetric(t, "awsauth_guard_enforced", 1, 10*time.Second)
	}
	g.until(t, "the history begins", 20*time.Second, func(log *guardhistory.Log) error {
		_, ok := log.Newest()
		return errorIf(!ok, "it has not")
	})
	return list
}

// wantCalled waits until the API server calls the replicas. The replicas refuse a faulty text by the user fixture. The
// webhook of the other tests doesn't get requests of this user.
func (g *guarded) wantCalled(t *testing.T) {
	t.Helper()
	c := as(t, rest.ImpersonationConfig{UserName: "fixture"})
	until(t, "the API server calls the replicas", 10*time.Second, func(ctx context.Context) error {
		_, err := c.Update(ctx, roles("[").configMap(), metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}})
		return errorIf(err == nil || !strings.Contains(err.Error(), `admission webhook "live.awsauth-guard.io" denied`), fmt.Sprint(err))
	})
}

// wantNotCalled waits until the API server no longer calls the replicas.
func (g *guarded) wantNotCalled(t *testing.T) {
	t.Helper()
	c := as(t, rest.ImpersonationConfig{UserName: "fixture"})
	until(t, "the API server does not call the replicas", 10*time.Second, func(ctx context.Context) error {
		_, err := c.Update(ctx, roles("[").configMap(), metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	})
}

// bypass removes the webhook configuration and then stores d, so that the guard doesn't review d.
func (g *guarded) bypass(t *testing.T, d data) {
	t.Helper()
	g.unregister(t)
	g.wantNotCalled(t)
	g.write(t, d, "kubectl-edit")
}

func (g *guarded) write(t *testing.T, d data, manager string) {
	t.Helper()
	cm := stored(t)
	cm.Data = d
	if _, err := fixture(t).Update(t.Context(), cm, metav1.UpdateOptions{FieldManager: manager}); err != nil {
		t.Fatal(err)
	}
}

// log reads the history.
func (g *guarded) log(ctx context.Context) (*guardhistory.Log, error) {
	return (&guardhistory.Store{Client: g.client.CoreV1().ConfigMaps(g.namespace), Name: "history"}).Read(ctx)
}

// until waits until check returns no error for the history. The failure of the test lists the versions.
func (g *guarded) until(t *testing.T, what string, within time.Duration, check func(*guardhistory.Log) error) {
	t.Helper()
	until(t, what, within, func(ctx context.Context) error {
		log, err := g.log(ctx)
		if err != nil {
			return err
		}
		if err := check(log); err != nil {
			return fmt.Errorf("%w: %s", err, summary(log))
		}
		return nil
	})
}

func summary(log *guardhistory.Log) string {
	var list []string
	for _, v := range log.Versions() {
		list = append(list, fmt.Sprintf("%d %s %s %s", v.Number, v.Origin, v.Manager, v.ResourceVersion))
	}
	return strings.Join(list, "; ")
}

// wantNewest waits until the newest version of the history has the origin how, the field manager and the data d. If manager is
// empty, wantNewest accepts every field manager.
func (g *guarded) wantNewest(t *testing.T, within time.Duration, how guardhistory.Origin, manager string, d data) {
	t.Helper()
	g.until(t, "the newest version is "+string(how), within, func(log *guardhistory.Log) error {
		v, ok := log.Newest()
		return errorIf(!ok || v.Origin != how || manager != "" && v.Manager != manager || !maps.Equal(v.Data, d), "it is not")
	})
}

// value returns the value of a series that the replica exposes. ok reports whether the replica exposes the series.
func (r *replica) value(ctx context.Context, series string) (value float64, ok bool) {
	body, err := webhook.Get(ctx, "http://"+r.address("metrics")+"/metrics")
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(body) {
		if text, found := strings.CutPrefix(line, series+" "); found {
			value, err = strconv.ParseFloat(strings.TrimSpace(text), 64)
			return value, err == nil
		}
	}
	return 0, false
}

func (r *replica) wantMetric(t *testing.T, series string, want float64, within time.Duration) {
	t.Helper()
	until(t, fmt.Sprintf("%s is %v", series, want), within, func(ctx context.Context) error {
		got, ok := r.value(ctx, series)
		return errorIf(!ok || got != want, fmt.Sprintf("it is %v (%v)", got, ok))
	})
}

// sum returns the sum of the replicas' values of a series.
func sum(ctx context.Context, replicas []*replica, series string) (total float64) {
	for _, r := range replicas {
		value, _ := r.value(ctx, series)
		total += value
	}
	return total
}

// wantEvent waits for an Event about aws-auth that is not older than since. It must have the reason, and a message that
// contains the text.
func wantEvent(t *testing.T, g *guarded, since time.Time, reason kube.Reason, text string) {
	t.Helper()
	until(t, "the Event "+string(reason), 10*time.Second, func(ctx context.Context) error {
		list, err := g.client.CoreV1().Events(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{
			FieldSelector: fields.Set{"involvedObject.name": "aws-auth", "reason": string(reason)}.String(),
		})
		if err != nil {
			return err
		}
		for i := range list.Items {
			if e := &list.Items[i]; !e.LastTimestamp.Time.Before(since.Truncate(time.Second)) && strings.Contains(e.Message, text) {
				return nil
			}
		}
		return fmt.Errorf("%d Events have this reason, but are older or have another message", len(list.Items))
	})
}

// lead waits until one replica reports that it is the leader, and another that it isn't. It returns both.
func lead(t *testing.T, replicas []*replica) (leads, follows *replica) {
	t.Helper()
	until(t, "one replica is the leader, and another is not", 10*time.Second, func(ctx context.Context) error {
		leads, follows = nil, nil
		for _, r := range replicas {
			if value, _ := r.value(ctx, "awsauth_guard_leader"); value == 1 {
				leads = r
			} else {
				follows = r
			}
		}
		return errorIf(leads == nil || follows == nil, "either every replica is the leader, or no replica is")
	})
	return leads, follows
}
