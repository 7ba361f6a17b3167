package integration_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/kube"
)

// comment is a YAML comment with a letter in Latin-1, a byte that is not UTF-8.
const comment = "# Andr\xe9's role\n"

func latin1() data { return data{"mapRoles": comment + admin + node, "mapUsers": alice} }

// inJSON returns a client that reads and writes JSON. Other clients of this package use protobuf, the default of
// client-go.
func inJSON(t *testing.T, user rest.ImpersonationConfig) *client {
	t.Helper()
	c := &client{Warnings: new(kube.Warnings)}
	config := rest.CopyConfig(cluster.Admin)
	config.Impersonate, config.WarningHandlerWithContext = user, c.Warnings
	config.ContentType = runtime.ContentTypeJSON
	core, err := typedcorev1.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	c.ConfigMapInterface = core.ConfigMaps(metav1.NamespaceSystem)
	return c
}

// storeBytes stores the exact bytes of d, without calling the webhook.
func storeBytes(t *testing.T, d data) {
	t.Helper()
	store(t, base())
	if err := update(t.Context(), fixture(t), d); err != nil {
		t.Fatal(err)
	}
	untilCached(t)
}

// storedBytes returns the stored mapRoles with its original bytes, as the authenticator receives it: the
// authenticator watches in protobuf.
func storedBytes(t *testing.T) string {
	t.Helper()
	return stored(t).Data["mapRoles"]
}

// The rule replacement-character relies on these facts. The API server stores a byte that is not UTF-8 if a client
// sends it in protobuf, the default of the typed clients of client-go and controller-runtime. In JSON, the API server
// shows the byte as U+FFFD. A client that writes this JSON back stores U+FFFD.
func TestAPIServerStoresInvalidBytes(t *testing.T) {
	user := rest.ImpersonationConfig{UserName: "fixture"}
	typed := func() error {
		config := rest.CopyConfig(cluster.Admin)
		config.Impersonate = user
		transport, err := rest.HTTPClientFor(config)
		if err != nil {
			return err
		}
		// controller-runtime v0.25.2 makes its typed client in this way (pkg/client/client_rest_resources.go).
		c, err := apiutil.RESTClientForGVK(corev1.SchemeGroupVersion.WithKind("ConfigMap"), false, false, config, scheme.Codecs, transport)
		if err != nil {
			return err
		}
		return c.Put().Namespace(metav1.NamespaceSystem).Resource("configmaps").Name("aws-auth").Body(latin1().configMap()).Do(t.Context()).Error()
	}
	for name, write := range map[string]func() error{
		"client-go's":          func() error { return update(t.Context(), fixture(t), latin1()) },
		"controller-runtime's": typed,
	} {
		store(t, base())
		if err := write(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := storedBytes(t); !strings.HasPrefix(got, comment) {
			t.Errorf("%s has stored %q", name, got)
		}
		shown, err := inJSON(t, user).Get(t.Context(), "aws-auth", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		seen := shown.Data["mapRoles"]
		if want := awsauth.ReplaceBytes(latin1()["mapRoles"]); seen != want {
			t.Errorf("%s: JSON shows %q, want %q", name, seen, want)
		}
		if loaded := (&awsauth.Object{Data: map[string]string{"mapRoles": storedBytes(t)}}).Load(); loaded.LoadError(awsauth.MapRoles) == nil {
			t.Errorf("%s: the authenticator loads %d roles", name, len(loaded.Roles))
		}
	}
	store(t, base())
	if err := update(t.Context(), inJSON(t, user), latin1()); err != nil {
		t.Fatal(err)
	}
	if got := storedBytes(t); !utf8.ValidString(got) {
		t.Errorf("a JSON client has stored %q", got)
	}
}

// The guard refuses a byte that is not UTF-8, except if EKS writes it. It evaluates the section with the byte as if
// the section mapped no principal.
func TestInvalidBytesAreRefused(t *testing.T) {
	lost := []string{"node-role-removed", "protected-principal", "replacement-character"}
	for name, as := range map[string]func(*testing.T, rest.ImpersonationConfig) *client{"protobuf": as, "JSON": inJSON} {
		store(t, base())
		wantRefused(t, update(t.Context(), as(t, operator), latin1()), lost...)
		cut := base().with("mapUsers", alice+"# caf\xc3")
		wantRefused(t, update(t.Context(), as(t, operator), cut), "replacement-character")
		if diff := cmp.Diff(map[string]string(base()), stored(t).Data); diff != "" {
			t.Errorf("%s: it was stored (-want +got):\n%s", name, diff)
		}
		remove(t)
		_, err := as(t, operator).Create(t.Context(), latin1().configMap(), metav1.CreateOptions{})
		wantRefused(t, err, "replacement-character")
	}
	store(t, base())
	c := as(t, rest.ImpersonationConfig{UserName: "eks:node-manager"})
	wantAdmitted(t, c, update(t.Context(), c, latin1()), lost...)
	if got := storedBytes(t); !strings.HasPrefix(got, comment) {
		t.Errorf("EKS has stored %q", got)
	}
}

// While a stored section has a byte that is not UTF-8, the guard refuses all changes that don't repair the section, except those
// by EKS. It sees every such byte as U+FFFD, so it can't know whether the byte changes.
func TestSectionWithInvalidByteMustBeRepaired(t *testing.T) {
	c := as(t, operator)
	labels := map[string]any{"metadata": map[string]any{"labels": map[string]string{"a": "b"}}}
	lost := []string{"node-role-removed", "protected-principal", "replacement-character"}

	storeBytes(t, latin1())
	asShown := data{"mapRoles": awsauth.ReplaceBytes(latin1()["mapRoles"]), "mapUsers": alice + strings.ReplaceAll(alice, "alice", "bob")}
	wantRefused(t, update(t.Context(), c, asShown), lost...)
	c.Take()
	wantRefused(t, patch(t.Context(), c, types.MergePatchType, labels, nil), lost...)
	c.Take()
	other := latin1().with("mapRoles", strings.Replace(latin1()["mapRoles"], "\xe9", "\xe8", 1))
	wantRefused(t, update(t.Context(), c, other), lost...)
	eks := as(t, rest.ImpersonationConfig{UserName: "eks:node-manager"})
	wantAdmitted(t, eks, patch(t.Context(), eks, types.MergePatchType, labels, nil), lost...)
	untilCached(t)
	wantRefused(t, update(t.Context(), c, base().with("mapRoles", "# André's role\n"+admin)), "node-role-removed")
	c.Take()
	wantAdmitted(t, c, update(t.Context(), c, base().with("mapRoles", "# André's role\n"+admin+node)))
}

// kubectl-awsauth reads the same bytes as the authenticator, and names the faulty byte.
func TestLintNamesInvalidByte(t *testing.T) {
	storeBytes(t, latin1())
	p := newPlugin(t)
	const want = "data.mapRoles:1:7: deny: mapRoles does not parse, and the authenticator loads nothing from it: the byte 0xe9 is not UTF-8 [yaml-syntax]"
	if status, out, _ := p.run(t.Context(), t, "", "awsauth", "lint"); status != 1 || !strings.Contains(out, want) || !utf8.ValidString(out) {
		t.Errorf("status %d: %q", status, out)
	}
	if status, out, _ := p.run(t.Context(), t, "", "awsauth", "lint", "-o", "json"); status != 1 || !json.Valid([]byte(out)) || !utf8.ValidString(out) {
		t.Errorf("status %d: %q", status, out)
	}
	if status, out, _ := p.run(t.Context(), t, "", "awsauth", "explain", adminARN); status != 1 || !strings.Contains(out, "is not mapped") || !utf8.ValidString(out) {
		t.Errorf("status %d: %q", status, out)
	}
}
