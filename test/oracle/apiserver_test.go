package oracle_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/awsauth-guard/awsauth-guard/test/controlplane"
	"github.com/awsauth-guard/awsauth-guard/test/oracle"
	"github.com/awsauth-guard/awsauth-guard/test/oracle/authenticator"
)

var edits = flag.Int("edits", 50, "edits on a real API server; after each, the authenticator and explain are compared")

// TestAuthenticatorAndExplainAgreeOnAPIServer edits aws-auth on a real API server, alternately in JSON and in protobuf.
// After each edit, the released authenticator and the guard's engine, which kubectl awsauth explain uses, map every caller
// in the same way. The callers are those of the ARNs in the new and in the last version. The authenticator reads aws-auth
// with its own client, and the test reads aws-auth in protobuf.
func TestAuthenticatorAndExplainAgreeOnAPIServer(t *testing.T) {
	ctx := t.Context()
	plane, err := controlplane.Start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := plane.Stop(); err != nil {
			t.Error(err)
		}
	})
	inJSON, inProtobuf := configMaps(t, plane.Admin, "application/json"), configMaps(t, plane.Admin, "application/vnd.kubernetes.protobuf")
	watching, err := authenticator.Watch(plane.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	defer watching.Close()
	source, err := oracle.NewSource(*seed, cases...)
	if err != nil {
		t.Fatal(err)
	}
	checker := oracle.NewCheckerFor(watching.Authenticator)
	r := rand.New(rand.NewPCG(*seed, 2))
	var callers []string
	exists, invalid, written := false, 0, ""
	for edit := range *edits {
		change := source.Change(r.IntN(1 << 20))
		object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "aws-auth"}, Data: change.New}
		client := inJSON
		if edit%2 == 0 {
			client = inProtobuf
		}
		var stored *corev1.ConfigMap
		switch {
		case exists && change.New == nil:
			err = client.Delete(ctx, "aws-auth", metav1.DeleteOptions{})
			exists = false
		case exists:
			stored, err = client.Update(ctx, object, metav1.UpdateOptions{})
		default:
			stored, err = client.Create(ctx, object, metav1.CreateOptions{})
			exists = true
		}
		if err != nil {
			t.Fatalf("edit %d, %v: %v", edit, change.Origin, err)
		}
		if stored != nil && stored.ResourceVersion == written {
			continue // the API server stores no new version if nothing changed
		}
		version, loaded, err := watching.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var data map[string]string
		if exists {
			read, err := inProtobuf.Get(ctx, "aws-auth", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if written = read.ResourceVersion; version != written {
				t.Fatalf("edit %d: the authenticator has read version %s, but version %s is stored", edit, version, written)
			}
			data = read.Data
			if oracle.HasInvalidUTF8(data) {
				invalid++
			}
		} else if loaded != nil {
			t.Fatalf("edit %d: the authenticator has not seen the deletion", edit)
		}
		asked, failures := checker.CheckStored(data, callers)
		for _, f := range failures {
			t.Errorf("edit %d: %s: %s: %s\nmade by: %v\nstored: %q", edit, f.Check, f.Class, f.Detail, change.Origin, data)
		}
		callers = asked
	}
	fmt.Fprintf(t.Output(), "%d edits, %d callers asked, %d with an answer, %d versions with bytes that are not UTF-8\n", *edits, checker.Stats["callers asked"], checker.Stats["callers answered"], invalid)
	if *edits >= 50 && (invalid == 0 || checker.Stats["callers answered"] == 0) {
		t.Error("no version had bytes that are not UTF-8, or no caller was mapped, so the test compared nothing")
	}
}

// configMaps returns a client for the ConfigMaps of kube-system. It writes and reads one content type.
func configMaps(t *testing.T, admin *rest.Config, contentType string) typedcorev1.ConfigMapInterface {
	t.Helper()
	config := rest.CopyConfig(admin)
	config.ContentType, config.AcceptContentTypes = contentType, contentType
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client.CoreV1().ConfigMaps(metav1.NamespaceSystem)
}
