package integration_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/awsauth-guard/awsauth-guard/test/controlplane"
)

const (
	finalizer = "example.com/cleanup"
	another   = "example.com/another"
)

// setFinalizers replaces the finalizers of the stored aws-auth. Without finalizers, it removes all.
func setFinalizers(ctx context.Context, c *client, finalizers ...string) error {
	if finalizers == nil {
		finalizers = []string{}
	}
	return patch(ctx, c, types.MergePatchType, map[string]any{"metadata": map[string]any{"finalizers": finalizers}}, nil)
}

// setData replaces the data by d and keeps the metadata.
func setData(ctx context.Context, c *client, d data) error {
	return patch(ctx, c, types.JSONPatchType, []map[string]any{{"op": "add", "path": "/data", "value": d}}, nil)
}

// startDeletion stores d with the finalizers and deletes it. Because of the finalizers, aws-auth stays. grant is the
// break-glass value of the object. If grant is empty, the object has no break-glass annotation.
func startDeletion(t *testing.T, d data, grant string, finalizers ...string) {
	t.Helper()
	endDeletion(t)
	cm := annotated(d, breakGlass, grant)
	cm.Finalizers = finalizers
	storeObject(t, cm)
	t.Cleanup(func() { endDeletion(t) })
	c := fixture(t)
	if err := c.Delete(t.Context(), "aws-auth", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if stored(t).DeletionTimestamp == nil {
		t.Fatal("aws-auth is not being deleted")
	}
	untilCached(t)
}

// untilCached waits until the API server's own cache has the stored version. The comment of storeObject gives the reason.
func untilCached(t *testing.T) {
	t.Helper()
	c, want := fixture(t), stored(t).ResourceVersion
	if err := controlplane.Poll(t.Context(), func(ctx context.Context) error {
		cached, err := c.Get(ctx, "aws-auth", metav1.GetOptions{ResourceVersion: "0"})
		if err == nil && cached.ResourceVersion != want {
			err = fmt.Errorf("the cache has version %s, not %s", cached.ResourceVersion, want)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// endDeletion removes the finalizers of the stored aws-auth, if it exists, so that a deletion completes. The API server doesn't
// call the webhook. A cleanup can call endDeletion after the context of the test has ended.
func endDeletion(t *testing.T) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	if err := setFinalizers(ctx, fixture(t)); err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
}

var allGone = []string{"deleted", "last-admin", "node-role-removed", "protected-principal"}

// After a client has deleted an aws-auth with finalizers, the removal of the last finalizer completes the deletion. The guard
// evaluates this removal as a deletion, for every user, even if the update changes other fields. If aws-auth
// maps principals, only EKS and break-glass can complete the deletion. Otherwise a user could avoid the rule deleted: delete an
// empty aws-auth that has a finalizer, fill it again, and remove the finalizer.
func TestDeletionByFinalizer(t *testing.T) {
	startDeletion(t, data{}, "", finalizer, another)
	c := as(t, operator)
	wantAdmitted(t, c, setData(t.Context(), c, base()), "admin-grant", "being-deleted")
	untilCached(t)
	wantAdmitted(t, c, setFinalizers(t.Context(), c, finalizer), "being-deleted")
	untilCached(t)
	for name, user := range map[string]rest.ImpersonationConfig{
		"an operator": operator, "the garbage collector": {UserName: "system:serviceaccount:kube-system:generic-garbage-collector"}, "a robot": robot,
	} {
		c := as(t, user)
		wantRefused(t, setFinalizers(t.Context(), c), allGone...)
		body := []map[string]any{{"op": "remove", "path": "/metadata/finalizers"}, {"op": "remove", "path": "/data"}}
		wantRefused(t, patch(t.Context(), c, types.JSONPatchType, body, nil), allGone...)
		if len(stored(t).Data) != len(base()) {
			t.Fatalf("%s has deleted aws-auth", name)
		}
	}
	wantRefused(t, setData(t.Context(), c, data{}), "emptied", "last-admin", "node-role-removed", "protected-principal")
	wantForbidden(t, c.Delete(t.Context(), "aws-auth", metav1.DeleteOptions{}), allGone...)

	eks := as(t, rest.ImpersonationConfig{UserName: "eks:node-manager"})
	wantAdmitted(t, eks, setFinalizers(t.Context(), eks), allGone...)
	if stored(t).Name != "" {
		t.Error("aws-auth is still there")
	}
}

// If aws-auth maps no principal, the guard admits the removal of the last finalizer. The API server then deletes aws-auth.
func TestDeletionOfEmpty(t *testing.T) {
	startDeletion(t, data{}, "", finalizer)
	c := as(t, operator)
	wantAdmitted(t, c, setFinalizers(t.Context(), c))
	if stored(t).Name != "" {
		t.Error("aws-auth is still there")
	}
}

// Break-glass admits the update that completes a deletion, if the user has the right to break the glass. The value of the
// annotation is a grant for the deletion that is already stored, or a reason that the update sets.
func TestDeletionByBreakGlass(t *testing.T) {
	grant := "delete " + time.Now().Add(30*time.Minute).UTC().Format(time.RFC3339) + " moved"
	startDeletion(t, base(), grant, finalizer)
	wantRefused(t, setFinalizers(t.Context(), as(t, developer(t))), allGone...)
	wantRefused(t, setFinalizers(t.Context(), as(t, robot)), allGone...)
	c := as(t, onCall(t))
	if err := setFinalizers(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	wantWarned(t, c, "break-glass")

	startDeletion(t, base(), "", finalizer)
	body := map[string]any{"metadata": map[string]any{"finalizers": []string{}, "annotations": map[string]string{breakGlass: "incident 4711"}}}
	wantRefused(t, patch(t.Context(), as(t, developer(t)), types.MergePatchType, body, nil), append([]string{"break-glass-denied"}, allGone...)...)
	if err := patch(t.Context(), c, types.MergePatchType, body, nil); err != nil {
		t.Fatal(err)
	}
	wantWarned(t, c, "incident 4711")
	if stored(t).Name != "" {
		t.Error("aws-auth is still there")
	}
}

// The guard warns about new finalizers and owners of an aws-auth that is not being deleted, but not about their removal. It
// refuses a deletion even if the finalizers would delay the deletion.
func TestFinalizersAndOwners(t *testing.T) {
	endDeletion(t)
	store(t, base())
	t.Cleanup(func() { endDeletion(t) })
	c := as(t, operator)
	wantAdmitted(t, c, setFinalizers(t.Context(), c, finalizer), "finalizer-added")
	untilCached(t)
	wantForbidden(t, c.Delete(t.Context(), "aws-auth", metav1.DeleteOptions{}), allGone...)
	if stored(t).DeletionTimestamp != nil {
		t.Fatal("aws-auth is being deleted")
	}
	wantAdmitted(t, c, setFinalizers(t.Context(), c, finalizer, another), "finalizer-added")
	untilCached(t)
	wantAdmitted(t, c, setFinalizers(t.Context(), c))
	untilCached(t)
	owner := map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": strings.Repeat("0", 8) + "-0000-4000-8000-000000000000"}
	owners := map[string]any{"metadata": map[string]any{"ownerReferences": []any{owner}}}
	wantAdmitted(t, c, patch(t.Context(), c, types.MergePatchType, owners, nil), "owner-added")
	untilCached(t)
	labels := map[string]any{"metadata": map[string]any{"labels": map[string]string{"a": "b"}}}
	wantAdmitted(t, c, patch(t.Context(), c, types.MergePatchType, labels, nil))
}
