package integration_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// verbs are the ways in which a client can write the data d to aws-auth.
var verbs = []struct {
	name    string
	creates bool // the verb needs an aws-auth that doesn't exist yet
	do      func(ctx context.Context, c *client, d data, dryRun []string) error
}{{
	name: "create", creates: true,
	do: func(ctx context.Context, c *client, d data, dryRun []string) error {
		_, err := c.Create(ctx, d.configMap(), metav1.CreateOptions{DryRun: dryRun})
		return err
	},
}, {
	name: "create by apply", creates: true,
	do: func(ctx context.Context, c *client, d data, dryRun []string) error {
		return apply(ctx, c, d.configMap(), metav1.PatchOptions{FieldManager: "another", DryRun: dryRun})
	},
}, {
	name: "update",
	do: func(ctx context.Context, c *client, d data, dryRun []string) error {
		_, err := c.Update(ctx, d.configMap(), metav1.UpdateOptions{DryRun: dryRun})
		return err
	},
}, {
	name: "JSON patch",
	do: func(ctx context.Context, c *client, d data, dryRun []string) error {
		return patch(ctx, c, types.JSONPatchType, []any{map[string]any{"op": "replace", "path": "/data", "value": d}}, dryRun)
	},
}, {
	name: "merge patch",
	do: func(ctx context.Context, c *client, d data, dryRun []string) error {
		return patch(ctx, c, types.MergePatchType, map[string]any{"data": d}, dryRun)
	},
}, {
	name: "strategic merge patch",
	do: func(ctx context.Context, c *client, d data, dryRun []string) error {
		return patch(ctx, c, types.StrategicMergePatchType, map[string]any{"data": d}, dryRun)
	},
}, {
	name: "apply",
	do: func(ctx context.Context, c *client, d data, dryRun []string) error {
		return apply(ctx, c, d.configMap(), metav1.PatchOptions{FieldManager: "fixture", DryRun: dryRun})
	},
}, {
	name: "apply with force", // the user fixture is the field manager of the stored fields
	do: func(ctx context.Context, c *client, d data, dryRun []string) error {
		return apply(ctx, c, d.configMap(), metav1.PatchOptions{FieldManager: "another", Force: new(true), DryRun: dryRun})
	},
}}

func patch(ctx context.Context, c *client, kind types.PatchType, body any, dryRun []string) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	_, err = c.Patch(ctx, "aws-auth", kind, b, metav1.PatchOptions{DryRun: dryRun})
	return err
}

// TestEveryVerb: with every verb, also in a dry run, the guard refuses a faulty change with the field and a hint, and admits a good
// change.
func TestEveryVerb(t *testing.T) {
	good := base().with("mapRoles", admin+node+ci)
	bad := base().with("mapRoles", admin+node+strings.Replace(ci, "role/CI", "role/team/CI", 1))
	c := as(t, operator)
	for _, verb := range verbs {
		for _, dryRun := range [][]string{nil, {metav1.DryRunAll}} {
			name := verb.name
			if dryRun != nil {
				name += ", dry run"
			}
			t.Run(name, func(t *testing.T) {
				if verb.creates {
					remove(t)
				} else {
					store(t, base())
				}
				before := stored(t)

				err := verb.do(t.Context(), c, bad, dryRun)
				wantRefused(t, err, "role-path")
				want := []string{`data.mapRoles[2].rolearn: line 10 of mapRoles: "arn:aws:iam::111122223333:role/team/CI" has a path`}
				got := causes(err)
				if len(got) != 1 || !strings.HasPrefix(got[0], want[0]) || !strings.Contains(got[0], "write arn:aws:iam::111122223333:role/CI") {
					t.Errorf("causes: %q, want one that begins %q and says what to write", got, want)
				}
				if diff := cmp.Diff(before, stored(t)); diff != "" {
					t.Errorf("stored although refused:\n%s", diff)
				}

				var warned []string
				if verb.creates {
					warned = []string{"admin-grant"}
				}
				wantAdmitted(t, c, verb.do(t.Context(), c, good, dryRun), warned...)
				after := stored(t)
				if admitted := after.ResourceVersion != before.ResourceVersion; admitted != (dryRun == nil) {
					t.Errorf("stored: %t, dry run: %v", admitted, dryRun)
				}
				if diff := cmp.Diff(map[string]string(good), after.Data); dryRun == nil && diff != "" {
					t.Errorf("stored (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// TestDelete: the guard refuses a deletion of aws-auth, also as a part of a collection. It admits the deletion if aws-auth maps no
// principal.
func TestDelete(t *testing.T) {
	c := as(t, operator)
	del := func(ctx context.Context, dryRun []string) error {
		return c.Delete(ctx, "aws-auth", metav1.DeleteOptions{DryRun: dryRun})
	}
	deleteCollection := func(ctx context.Context, dryRun []string) error {
		return c.DeleteCollection(ctx, metav1.DeleteOptions{DryRun: dryRun}, metav1.ListOptions{FieldSelector: "metadata.name=aws-auth"})
	}
	for name, do := range map[string]func(context.Context, []string) error{"delete": del, "deletecollection": deleteCollection} {
		for _, dryRun := range [][]string{nil, {metav1.DryRunAll}} {
			t.Run(strings.Join(slices.Concat([]string{name}, dryRun), " dry run "), func(t *testing.T) {
				store(t, base())
				before := stored(t)
				wantForbidden(t, do(t.Context(), dryRun), "deleted", "last-admin", "node-role-removed", "protected-principal")
				if diff := cmp.Diff(before, stored(t)); diff != "" {
					t.Errorf("changed although refused:\n%s", diff)
				}

				store(t, data{"mapRoles": "[]\n"}) // maps no principal
				wantAdmitted(t, c, do(t.Context(), dryRun))
				if gone := stored(t).Name == ""; gone != (dryRun == nil) {
					t.Errorf("deleted: %t, dry run: %v", gone, dryRun)
				}
			})
		}
	}
}

// TestDeleteCollectionOfOthers: a client can delete a collection of other ConfigMaps, although the request has no name by which the
// API server could exclude aws-auth. If the collection includes aws-auth, the API server deletes the objects in the order of their
// names until the guard refuses the deletion of aws-auth.
func TestDeleteCollectionOfOthers(t *testing.T) {
	c := as(t, operator)
	others := []string{"aaa", "zzz"}
	create := func(t *testing.T) {
		t.Helper()
		for _, name := range others {
			cm := data{"mapRoles": "["}.configMap() // the webhook would refuse this text in aws-auth
			cm.Name, cm.Labels = name, map[string]string{"collection": "test"}
			if _, err := c.Create(t.Context(), cm, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	list := func(t *testing.T, selector string) []string {
		t.Helper()
		found, err := c.List(t.Context(), metav1.ListOptions{LabelSelector: selector})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, cm := range found.Items {
			names = append(names, cm.Name)
		}
		return names
	}

	create(t)
	store(t, base())
	wantAdmitted(t, c, c.DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "collection=test"}))
	if got := list(t, "collection=test"); len(got) > 0 {
		t.Errorf("%q are left", got)
	}

	create(t)
	err := c.DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{})
	wantForbidden(t, err, "deleted", "last-admin", "node-role-removed", "protected-principal")
	if got := list(t, ""); slices.Contains(got, "aaa") || !slices.Contains(got, "aws-auth") {
		t.Errorf("the ConfigMaps %q are left, want aws-auth among them, and not aaa, which comes before aws-auth", got)
	}

	remove(t)
	wantAdmitted(t, c, c.DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}))
	if got := list(t, "collection=test"); len(got) > 0 {
		t.Errorf("%q are left", got)
	}
}
