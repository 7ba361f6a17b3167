// Package integration_test changes aws-auth on a real kube-apiserver, which calls a real webhook process. It checks
// the response to the client and the stored object.
package integration_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/awsauth-guard/awsauth-guard/internal/kube"
	// The test builds the webhook as a program. These imports make Go's cache of test results depend on the webhook's
	// packages.
	_ "github.com/awsauth-guard/awsauth-guard/internal/server"
	"github.com/awsauth-guard/awsauth-guard/test/controlplane"
)

const guardConfig = `apiVersion: awsauth-guard.io/v1alpha1
kind: GuardConfig
protected:
  - arn: arn:aws:iam::111122223333:role/Admin
    groups: [system:masters]
`

var (
	cluster *controlplane.ControlPlane
	webhook *controlplane.Webhook
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	ctx := context.Background()
	if cluster, err = controlplane.Start(ctx); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, cluster.Stop()) }()
	stop, err := startAWS()
	if err != nil {
		return 0, err
	}
	defer stop()
	if webhook, err = cluster.StartWebhook(ctx, guardConfig, "--shutdown-delay=0s", "--kubeconfig="+cluster.Kubeconfig); err != nil {
		return 0, err
	}
	// The requests of the user fixture prepare the stored object for a test. The API server doesn't call the webhook
	// for this user.
	if err := cluster.Register(ctx, webhook, admissionregistrationv1.MatchCondition{
		Name: "not-the-fixture", Expression: `request.userInfo.username != "fixture"`,
	}); err != nil {
		return 0, err
	}
	// The tests are about admission, so authorization allows every request.
	if err := cluster.AdmitEverybody(ctx); err != nil {
		return 0, err
	}
	if code = m.Run(); code != 0 {
		fmt.Fprintf(os.Stderr, "the webhook's log ends\n%s\n", webhook.LogEnd())
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return code, webhook.Terminate(ctx)
}

// data is the data of an aws-auth. If it is nil, aws-auth has no sections.
type data map[string]string

// Elements of mapRoles and mapUsers. base has two admins, so that a change can remove one without removing the last
// admin.
const (
	adminARN = "arn:aws:iam::111122223333:role/Admin"
	admin    = "- rolearn: " + adminARN + "\n  username: admin\n  groups:\n  - system:masters\n"
	nodeARN  = "arn:aws:iam::111122223333:role/Node"
	node     = "- rolearn: " + nodeARN + "\n  username: system:node:{{EC2PrivateDNSName}}\n  groups:\n  - system:bootstrappers\n  - system:nodes\n"
	aliceARN = "arn:aws:iam::111122223333:user/people/alice"
	alice    = "- userarn: " + aliceARN + "\n  username: alice\n  groups:\n  - system:masters\n"
	ci       = "- rolearn: arn:aws:iam::111122223333:role/CI\n  username: ci\n  groups:\n  - deployers\n"
)

func base() data { return data{"mapRoles": admin + node, "mapUsers": alice} }

// with returns a copy with another text for a key. If the text is empty, the copy doesn't have the key.
func (d data) with(key, text string) data {
	d = maps.Clone(d)
	d[key] = text
	if text == "" {
		delete(d, key)
	}
	return d
}

func (d data) configMap() *corev1.ConfigMap {
	return &corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Name: "aws-auth", Namespace: metav1.NamespaceSystem},
		Data:       d,
	}
}

// client is the client of one user. It collects the warnings of the API server.
type client struct {
	typedcorev1.ConfigMapInterface
	*kube.Warnings
}

// as returns a client for the ConfigMaps of kube-system. It impersonates the user.
func as(t *testing.T, user rest.ImpersonationConfig) *client {
	t.Helper()
	c := &client{Warnings: new(kube.Warnings)}
	config := rest.CopyConfig(cluster.Admin)
	config.Impersonate = user
	config.WarningHandlerWithContext = c.Warnings
	core, err := typedcorev1.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	c.ConfigMapInterface = core.ConfigMaps(metav1.NamespaceSystem)
	return c
}

// operator is a user who doesn't log in through aws-auth.
var operator = rest.ImpersonationConfig{UserName: "operator"}

// store replaces the stored aws-auth by one with the data d. It writes as the user and field manager fixture, for whom the
// API server doesn't call the webhook.
func store(t *testing.T, d data) {
	t.Helper()
	storeObject(t, d.configMap())
}

// storeObject replaces the stored aws-auth, and waits until the API server's own cache has the new object. With an
// older object in the cache, the API server would call the webhook twice for an update. The client would then get the
// warnings of both reviews.
func storeObject(t *testing.T, cm *corev1.ConfigMap) {
	t.Helper()
	remove(t)
	c := fixture(t)
	if err := apply(t.Context(), c, cm, metav1.PatchOptions{FieldManager: "fixture"}); err != nil {
		t.Fatal(err)
	}
	want := stored(t).ResourceVersion
	err := controlplane.Poll(t.Context(), func(ctx context.Context) error {
		cached, err := c.Get(ctx, "aws-auth", metav1.GetOptions{ResourceVersion: "0"})
		if err == nil && cached.ResourceVersion != want {
			err = fmt.Errorf("the cache has version %s, not %s", cached.ResourceVersion, want)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// remove deletes the stored aws-auth, if it exists. The API server doesn't call the webhook.
func remove(t *testing.T) {
	t.Helper()
	if err := fixture(t).Delete(t.Context(), "aws-auth", metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
}

func fixture(t *testing.T) *client {
	t.Helper()
	return as(t, rest.ImpersonationConfig{UserName: "fixture"})
}

// stored returns the stored aws-auth, or the zero ConfigMap if aws-auth does not exist.
func stored(t *testing.T) *corev1.ConfigMap {
	t.Helper()
	cm, err := fixture(t).Get(t.Context(), "aws-auth", metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return &corev1.ConfigMap{}
	}
	if err != nil {
		t.Fatal(err)
	}
	return cm
}

// update replaces the stored aws-auth, which must exist, by one with the data d and without labels, annotations and finalizers.
func update(ctx context.Context, c *client, d data) error {
	_, err := c.Update(ctx, d.configMap(), metav1.UpdateOptions{})
	return err
}

// apply writes an object with server-side apply.
func apply(ctx context.Context, c *client, cm *corev1.ConfigMap, options metav1.PatchOptions) error {
	body, err := yaml.Marshal(cm)
	if err != nil {
		return err
	}
	_, err = c.Patch(ctx, cm.Name, types.ApplyPatchType, body, options)
	return err
}

// ruleID matches the id of a rule in brackets, as messages have it. The last three ids are those without a hyphen.
var ruleID = regexp.MustCompile(`\[([a-z]+(?:-[a-z]+)+|deleted|emptied|immutable)\]`)

// ruleIDs returns the ids of the rules that the texts name, sorted and without duplicates.
func ruleIDs(texts ...string) []string {
	var ids []string
	for _, match := range ruleID.FindAllStringSubmatch(strings.Join(texts, "\n"), -1) {
		ids = append(ids, match[1])
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// wantAdmitted checks that the API server admitted a request, with warnings of exactly these rules. It clears the
// client's warnings.
func wantAdmitted(t *testing.T, c *client, err error, warned ...string) {
	t.Helper()
	if err != nil {
		t.Fatalf("refused: %v\n%v", err, causes(err))
	}
	if diff := cmp.Diff(warned, ruleIDs(c.Take()...)); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

// wantRefused checks that the API server refused a CREATE or UPDATE as invalid, because of exactly these rules.
func wantRefused(t *testing.T, err error, rules ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("admitted")
	}
	if !apierrors.IsInvalid(err) {
		t.Fatalf("want a status with the reason Invalid and the code 422, got %v", err)
	}
	if diff := cmp.Diff(rules, ruleIDs(causes(err)...)); diff != "" {
		t.Errorf("rules in the causes (-want +got):\n%s\n%s", diff, strings.Join(causes(err), "\n"))
	}
}

// wantForbidden checks that the API server refused a DELETE as forbidden, because of exactly these rules.
func wantForbidden(t *testing.T, err error, rules ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("admitted")
	}
	if !apierrors.IsForbidden(err) {
		t.Fatalf("want a status with the reason Forbidden and the code 403, got %v", err)
	}
	if diff := cmp.Diff(rules, ruleIDs(err.Error())); diff != "" {
		t.Errorf("rules in the message (-want +got):\n%s\n%s", diff, err)
	}
}

// causes returns the causes in the status of an error, each as "field: message". It returns nil if the error has no
// status.
func causes(err error) []string {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil {
		return nil
	}
	var list []string
	for _, cause := range status.Status().Details.Causes {
		list = append(list, cause.Field+": "+cause.Message)
	}
	return list
}
