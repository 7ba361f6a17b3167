package integration_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"sigs.k8s.io/yaml"
)

// TestProtectedAdminMustKeepAccess makes changes that take the protected admin's access away. After most of them, the text still
// has the admin's entry. In all edits, a second admin keeps access, so that the rule last-admin has no finding. At the end, the
// test tries to delete aws-auth.
func TestProtectedAdminMustKeepAccess(t *testing.T) {
	shadow := strings.Replace(admin, "system:masters", "viewers", 1)
	c := as(t, operator)
	for _, test := range []struct {
		name    string
		after   data
		refused []string
	}{
		{"removed", roles(node), []string{"protected-principal"}},
		{"groups dropped", roles("- rolearn: " + adminARN + "\n  username: admin\n" + node), []string{"protected-principal"}},
		{"groups as a string", roles(strings.Replace(admin, "\n  - system", " system", 1) + node), []string{"protected-principal", "wrong-type"}},
		{"shadowed by a later duplicate", roles(admin + node + shadow), []string{"conflicting-principal", "protected-principal"}},
		{"shadowed in other case", roles(admin + node + strings.Replace(shadow, "role/Admin", "role/aDMIN", 1)), []string{"conflicting-principal", "protected-principal"}},
		{"role path added", roles(strings.Replace(admin, "role/", "role/ops/", 1) + node), []string{"protected-principal", "role-path"}},
		{"commented out", roles("# " + strings.ReplaceAll(strings.TrimSuffix(admin, "\n"), "\n", "\n# ") + "\n" + node), []string{"protected-principal"}},
		{"moved behind ---", roles(node + "---\n" + admin), []string{"protected-principal", "trailing-content"}},
		{"mapRoles misspelt", data{"mapRole": admin + node, "mapUsers": alice}, []string{"misspelt-data-key", "node-role-removed", "protected-principal"}},
		{"a tab", roles(strings.Replace(admin, "  username", "\tusername", 1) + node), []string{"node-role-removed", "protected-principal", "yaml-syntax"}},
		{"the entry's key misspelt", roles(strings.Replace(admin, "rolearn", "role_arn", 1) + node), []string{"misspelt-key", "protected-principal"}},
		{"the first element indented deeper", roles("  " + strings.ReplaceAll(strings.TrimSuffix(node, "\n"), "\n", "\n  ") + "\n" + admin), []string{"protected-principal", "trailing-content"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			store(t, base())
			before := stored(t)
			wantRefused(t, update(t.Context(), c, test.after), test.refused...)
			if diff := cmp.Diff(before, stored(t)); diff != "" {
				t.Errorf("stored although refused:\n%s", diff)
			}
		})
	}
	t.Run("deleted", func(t *testing.T) {
		store(t, base())
		before := stored(t)
		err := c.Delete(t.Context(), "aws-auth", metav1.DeleteOptions{})
		wantForbidden(t, err, "deleted", "last-admin", "node-role-removed", "protected-principal")
		if diff := cmp.Diff(before, stored(t)); diff != "" {
			t.Errorf("changed although refused:\n%s", diff)
		}
	})
}

// roles returns the base with another text for mapRoles.
func roles(text string) data { return base().with("mapRoles", text) }

// TestHarmless: the guard admits harmless changes, such as those of comments and order, without a warning.
func TestHarmless(t *testing.T) {
	const userWithPath = "- userarn: arn:aws:iam::111122223333:user/teams/blue/bob\n  username: bob\n  groups:\n  - viewers\n"
	otherCase := strings.Replace(admin, "rolearn", "roleARN", 1)
	c := as(t, operator)
	for _, test := range []struct {
		name          string
		before, after data
	}{
		{"CRLF", base(), roles(strings.ReplaceAll(admin+node, "\n", "\r\n"))},
		{"BOM", base(), roles("\ufeff" + admin + node)},
		{"blank lines", base(), roles("\n\n" + admin + "\n\n" + node + "\n\n")},
		{"comments", base(), roles("# people\n" + admin + "# machines\n" + node)},
		{"JSON instead of YAML", base(), roles(toJSON(t, admin+node))},
		{"anchors", base(), roles(admin + strings.Replace(node, "groups:", "groups: &nodes", 1) +
			"- rolearn: arn:aws:iam::111122223333:role/Other\n  username: system:node:{{EC2PrivateDNSName}}\n  groups: *nodes\n")},
		{"roleARN, stored already, beside a change", roles(otherCase + node), roles(otherCase + node + ci)},
		{"an entry in another order", base(), roles(node + admin)},
		{"keys in another order", base(), roles("- groups:\n  - system:masters\n  rolearn: " + adminARN + "\n  username: admin\n" + node)},
		{"a new entry", base(), roles(admin + node + ci)},
		{"a user's path", base(), base().with("mapUsers", alice+userWithPath)},
		{"another key, stored already, beside a change", base().with("note", "x"), roles(admin+node+ci).with("note", "y z")},
		{"an entry without protected access removed", roles(admin + node + ci), base()},
		{"nothing", base(), base()},
	} {
		t.Run(test.name, func(t *testing.T) {
			store(t, test.before)
			wantAdmitted(t, c, update(t.Context(), c, test.after))
			if diff := cmp.Diff(map[string]string(test.after), stored(t).Data); diff != "" {
				t.Errorf("stored (-want +got):\n%s", diff)
			}
		})
	}
}

func toJSON(t *testing.T, text string) string {
	t.Helper()
	var list []any
	if err := yaml.Unmarshal([]byte(text), &list); err != nil {
		t.Fatal(err)
	}
	b, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestMetadata: the guard admits changes of labels and annotations without a warning, even if aws-auth has a fault.
func TestMetadata(t *testing.T) {
	c := as(t, operator)
	for name, d := range map[string]data{"good": base(), "faulty": roles("[")} {
		t.Run(name, func(t *testing.T) {
			store(t, d)
			cm := d.configMap()
			cm.Labels = map[string]string{"team": "platform"}
			cm.Annotations = map[string]string{"note": "kept by the platform team"}
			_, err := c.Update(t.Context(), cm, metav1.UpdateOptions{})
			wantAdmitted(t, c, err)
			if got := stored(t); got.Labels["team"] != "platform" || got.Annotations["note"] == "" {
				t.Errorf("not stored: %v %v", got.Labels, got.Annotations)
			}
		})
	}
}

// TestOtherObjectsAreAdmitted: in other objects, the guard admits a text that it refuses in kube-system/aws-auth.
func TestOtherObjectsAreAdmitted(t *testing.T) {
	store(t, base())
	core, err := typedcorev1.NewForConfig(cluster.Admin)
	if err != nil {
		t.Fatal(err)
	}
	for namespace, name := range map[string]string{"kube-system": "aws-auth-backup", "default": "aws-auth"} {
		t.Run(namespace+"/"+name, func(t *testing.T) {
			maps := core.ConfigMaps(namespace)
			cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: data{"mapRoles": admin}}
			if _, err := maps.Create(t.Context(), cm, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			cm.Data = data{"mapRoles": "["}
			if _, err := maps.Update(t.Context(), cm, metav1.UpdateOptions{}); err != nil {
				t.Error(err)
			}
			if err := maps.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
}
