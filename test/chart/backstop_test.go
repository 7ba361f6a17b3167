package chart_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/cel/openapi/resolver"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/config"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
	"github.com/awsauth-guard/awsauth-guard/test/controlplane"
)

const breakGlass = "awsauth-guard.io/break-glass"

// install creates the backstop of a value set, and waits until it takes effect. At the end of the test, install deletes the backstop
// and waits until it no longer takes effect. It registers no webhook.
func install(t *testing.T, values string, args ...string) {
	t.Helper()
	objects := render(t, values, args...)
	policy := one[admissionregistrationv1.ValidatingAdmissionPolicy](t, objects)
	binding := one[admissionregistrationv1.ValidatingAdmissionPolicyBinding](t, objects)
	registration := admin.AdmissionregistrationV1()
	_, err1 := registration.ValidatingAdmissionPolicies().Create(t.Context(), policy, metav1.CreateOptions{})
	_, err2 := registration.ValidatingAdmissionPolicyBindings().Create(t.Context(), binding, metav1.CreateOptions{})
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	deletion := func(ctx context.Context, name string) (held bool, err error) {
		c := as(t, name)
		err = c.CoreV1().ConfigMaps("kube-system").Delete(ctx, "aws-auth", metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}})
		said := strings.Join(c.Take(), "\n")
		if err != nil {
			said = err.Error()
		}
		return strings.Contains(said, "[deleted]"), err
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		err1 := registration.ValidatingAdmissionPolicyBindings().Delete(ctx, binding.Name, metav1.DeleteOptions{})
		err2 := registration.ValidatingAdmissionPolicies().Delete(ctx, policy.Name, metav1.DeleteOptions{})
		if err := errors.Join(err1, err2); err != nil {
			t.Error(err)
		}
		// The API server still evaluates the policy for a moment. Wait until it admits a deletion of aws-auth without a
		// warning, so that this policy doesn't affect the next test. The API server evaluates policies for a deletion
		// only if the object exists.
		_, err := as(t, "eks:fixture").CoreV1().ConfigMaps("kube-system").Create(ctx, awsAuth(adminEntry+nodeEntry), metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			t.Error(err)
		}
		if err := controlplane.Poll(ctx, func(ctx context.Context) error {
			if held, err := deletion(ctx, "settler"); held || err != nil {
				return fmt.Errorf("the API server still evaluates the policy (%t): %w", held, err)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	})
	store(t, awsAuth(adminEntry+nodeEntry))
	eventually(t, "the API server evaluates the policy", func() error {
		if held, err := deletion(t.Context(), "settler"); !held {
			return fmt.Errorf("a deletion is admitted: %w", err)
		}
		return nil
	})
}

// withUsers returns a change for awsAuth, which sets mapUsers.
func withUsers(text string) func(*corev1.ConfigMap) {
	return func(cm *corev1.ConfigMap) { cm.Data["mapUsers"] = text }
}

// withReason returns a change for awsAuth, which sets the break-glass annotation.
func withReason(reason string) func(*corev1.ConfigMap) {
	return func(cm *corev1.ConfigMap) { cm.Annotations = map[string]string{breakGlass: reason} }
}

func withoutRoles(cm *corev1.ConfigMap) { delete(cm.Data, "mapRoles") }

func immutable(cm *corev1.ConfigMap) { cm.Immutable = new(true) }

const (
	aliceEntry = "- userarn: arn:aws:iam::111122223333:user/people/alice\n  username: alice\n  groups:\n  - system:masters\n"
	movedEntry = "- rolearn: arn:aws:iam::111122223333:role/Moved\n  username: moved\n  groups:\n  - deployers\n"
)

// allowBreakGlass gives a user the right to break the glass on aws-auth.
func allowBreakGlass(t *testing.T, user string) {
	t.Helper()
	rbac := kubernetes.NewForConfigOrDie(cluster.Admin).RbacV1()
	role := &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "test-break-glass"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"configmaps"}, ResourceNames: []string{"aws-auth"}, Verbs: []string{"break-glass"}}},
	}
	if _, err := rbac.ClusterRoles().Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := rbac.ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: role.ObjectMeta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// TestBackstop tries every denial and every exemption of the backstop, which the chart renders for the value set ignore.
func TestBackstop(t *testing.T) {
	install(t, "ignore")
	allowBreakGlass(t, "entitled")
	full := func(changes ...func(*corev1.ConfigMap)) *corev1.ConfigMap {
		return awsAuth(adminEntry+nodeEntry+movedEntry, append([]func(*corev1.ConfigMap){withUsers(aliceEntry)}, changes...)...)
	}
	roles := func(text string) *corev1.ConfigMap {
		return full(func(cm *corev1.ConfigMap) { cm.Data["mapRoles"] = text })
	}
	moved := func(format string) *corev1.ConfigMap {
		return awsAuth(fmt.Sprintf(format, "arn:aws:iam::111122223333"))
	}
	type who struct {
		name   string
		groups []string
		extra  map[string][]string
	}
	var (
		operator = who{"operator", nil, nil}
		masters  = who{"operator", []string{"system:masters"}, nil}
		onCall   = who{"operator", []string{"on-call"}, nil}
		robot    = who{"system:serviceaccount:ci:robot", []string{"system:serviceaccounts", "system:serviceaccounts:ci", "system:masters"}, nil}
		disguise = who{"robot", []string{"system:serviceaccounts", "system:masters"}, nil}
		guard    = who{"system:serviceaccount:awsauth-guard:awsauth-guard", []string{"system:serviceaccounts", "system:serviceaccounts:awsauth-guard"}, nil}
		eks      = who{"eks:node-manager", nil, nil}
		bypass   = who{"operator", []string{"awsauth-guard:bypass"}, nil}
		rescuer  = who{"operator", nil, map[string][]string{"canonicalarn": {"arn:aws:iam::111122223333:role/Rescuer"}}} // impersonation writes the key in lower case
		other    = who{"operator", nil, map[string][]string{"canonicalarn": {"arn:aws:iam::111122223333:role/Other"}}}
		entitled = who{"entitled", nil, nil}
	)
	const admitted = ""
	for _, tt := range []struct {
		name     string
		who      who
		old, new *corev1.ConfigMap // nil if the request creates or deletes the object
		dryRun   bool
		want     string // a part of the refusal
	}{
		{"deleted", operator, full(), nil, false, "[deleted]"},
		{"deleted by an administrator", masters, full(), nil, false, "[deleted]"},
		{"deleted in a dry run", operator, full(), nil, true, "[deleted]"},
		{"deleted with a grant, as there is no clock", masters, full(withReason("delete 2099-01-01T00:00:00Z moved")), nil, false, "[deleted]"},
		{"deleted by EKS", eks, full(), nil, false, admitted},
		{"deleted with the bypass", bypass, full(), nil, false, admitted},
		{"deleted by the guard in a dry run", guard, full(), nil, true, admitted},
		{"deleted by the guard", guard, full(), nil, false, "[deleted]"},
		{"deleted by another in a dry run", robot, full(), nil, true, "[deleted]"},

		{"created", operator, nil, full(), false, admitted},
		{"created immutable", operator, nil, full(immutable), false, "[immutable]"},
		{"immutable", operator, full(), full(immutable), false, "[immutable]"},
		{"immutable by EKS", eks, full(), full(immutable), false, admitted},
		{"immutable, the glass broken", masters, full(), full(immutable, withReason("why")), false, admitted},
		{"immutable before", operator, full(immutable), full(immutable, func(cm *corev1.ConfigMap) { cm.Labels = map[string]string{"a": "b"} }), false, admitted},

		{"mapRoles blank", operator, full(), full(func(cm *corev1.ConfigMap) { cm.Data["mapRoles"] = " \n" }), false, "[emptied]"},
		{"mapRoles absent", operator, full(), full(withoutRoles), false, "[emptied]"},
		{"no data", operator, full(), full(func(cm *corev1.ConfigMap) { cm.Data = nil }), false, "[emptied]"},
		{"mapRoles an empty list", operator, full(), roles("[]"), false, "[emptied]"},
		{"mapRoles an empty list of two lines", operator, full(), roles("[\n]\n"), false, "[emptied]"},
		{"mapRoles null", operator, full(), roles("null"), false, "[emptied]"},
		{"mapRoles a tilde", operator, full(), roles(" ~ \n"), false, "[emptied]"},
		{"mapRoles an empty mapping", operator, full(), roles("{}"), false, "[emptied]"},
		{"mapRoles an empty document", operator, full(), roles("---\n"), false, "[emptied]"},
		{"mapRoles a list of nothing", operator, full(), roles("-\n-\n"), false, "[emptied]"},
		{"mapRoles a text", operator, full(), roles("none"), false, "[emptied]"},
		{"mapRoles a comment", operator, full(), roles("# " + strings.ReplaceAll(adminEntry, "\n", "\n# ")), false, "[emptied]"},
		{"mapRoles an indented comment", operator, full(), roles("[]\n  #" + strings.ReplaceAll(adminEntry, "\n", "\n\t#")), false, "[emptied]"},
		{"mapRoles a list and a comment", operator, full(), roles("[] # - rolearn: arn:aws:iam::111122223333:role/Admin"), false, "[emptied]"},
		{"mapRoles null by EKS", eks, full(), roles("null"), false, admitted},
		{"mapRoles null, the glass broken", masters, full(), full(func(cm *corev1.ConfigMap) { cm.Data["mapRoles"] = "null" }, withReason("why")), false, admitted},
		{"mapRoles null, and everybody moved", operator, awsAuth(movedEntry), awsAuth("null"), false, admitted},
		{"mapRoles in JSON", operator, full(), roles(`[{"rolearn" : "arn:aws:iam::111122223333:role/Admin"}]`), false, admitted},
		{"mapRoles behind comments", operator, full(), roles("# the team\n---\n\n" + adminEntry + "# the end"), false, admitted},
		{"mapRoles with a comment in the line", operator, full(), roles("- rolearn: arn:aws:iam::111122223333:role/Admin # the team\n"), false, admitted},
		{"mapRoles in large letters", operator, full(), roles(strings.ToUpper(adminEntry)), false, admitted},
		{"mapRoles with sso alone", operator, awsAuth(nodeEntry), awsAuth("- sso:\n    permissionSetName: Admins\n    accountID: \"111122223333\"\n"), false, admitted},
		{"mapRoles null before", operator, awsAuth("null"), awsAuth("", withoutRoles), false, admitted},
		{"mapRoles a comment before", operator, awsAuth("# " + strings.ReplaceAll(nodeEntry, "\n", "\n# ")), awsAuth("[]"), false, admitted},
		{"mapRoles absent before", operator, full(withoutRoles), full(withoutRoles), false, admitted},
		{"mapRoles an empty list before", operator, awsAuth("[]\n"), awsAuth("", withoutRoles), false, admitted},
		{"mapRoles empty, and everybody moved", operator, awsAuth(movedEntry), awsAuth(""), false, admitted},
		{"mapRoles absent, and everybody moved", operator, awsAuth(movedEntry), awsAuth("", withoutRoles), false, admitted},
		{"moved, with the path", operator, moved("- rolearn: %s:role/teams/moved\n"), awsAuth(""), false, admitted},
		{"moved, with another path", operator, moved("- rolearn: %s:role/of/old/Moved\n"), awsAuth(""), false, admitted},
		{"moved, a user with a path", operator, moved("- userarn: %s:user/people/Bob\n"), awsAuth(""), false, admitted},
		{"a user with another path", operator, moved("- userarn: %s:user/Bob\n"), awsAuth(""), false, "[emptied]"},
		{"a user whose path looks like a role", operator, moved("- userarn: %s:user/x:role/Moved\n"), awsAuth(""), false, "[emptied]"},
		{"moved, in every form", operator, moved("# %[1]s:role/moved\n- {rolearn: %[1]s:role/Moved}\n- {rolearn: %[1]s:role/Moved, username: x}\n- {\"rolearn\":\"%[1]s:role/Moved\",\"username\":\"x\"}\n- rolearn: '%[1]s:role/Moved'\r\n- rolearn: %[1]s:role/Moved"), awsAuth(""), false, admitted},
		{"moved, in other letters", operator, awsAuth(strings.ToUpper(movedEntry)), awsAuth(""), false, admitted},
		{"not all moved", operator, awsAuth(movedEntry + nodeEntry), awsAuth(""), false, "[emptied]"},
		{"not all moved, the other first", operator, awsAuth(nodeEntry + movedEntry), awsAuth(""), false, "[emptied]"},
		{"another with a longer name", operator, moved("- rolearn: %s:role/Moved2\n"), awsAuth(""), false, "[emptied]"},
		{"another with a comma in its name", operator, moved("- rolearn: %s:role/Moved,2\n"), awsAuth(""), false, "[emptied]"},
		{"another with a shorter name", operator, moved("- rolearn: %s:role/Move\n"), awsAuth(""), false, "[emptied]"},
		{"a user of that name", operator, moved("- rolearn: %s:user/Moved\n"), awsAuth(""), false, "[emptied]"},
		{"a role below it", operator, moved("- rolearn: %s:role/Moved/x\n"), awsAuth(""), false, "[emptied]"},
		{"a role in China", operator, awsAuth(strings.Replace(movedEntry, "arn:aws:", "arn:aws-cn:", 1)), awsAuth(""), false, "[emptied]"},
		{"no ARN that can be seen", operator, awsAuth(strings.Replace(nodeEntry, "arn:aws:iam::111122223333:role/Node", `"\x61rn:aws:iam::111122223333:role/Node"`, 1)), awsAuth(""), false, "[emptied]"},
		{"mapRoles blank, the glass broken", masters, full(), full(withoutRoles, withReason("why")), false, admitted},

		{"a protected role", operator, full(), awsAuth(nodeEntry, withUsers(aliceEntry)), false, "arn:aws:iam::111122223333:role/admin [protected-principal]"},
		{"a protected user", operator, full(), full(withUsers("")), false, "arn:aws:iam::111122223333:user/people/alice [protected-principal]"},
		{"both", operator, full(), awsAuth(nodeEntry), false, "role/admin, arn:aws:iam::111122223333:user/people/alice [protected-principal]"},
		{"a protected role in other letters", operator, full(), awsAuth(strings.ToUpper(adminEntry)+nodeEntry, withUsers(aliceEntry)), false, admitted},
		{"a protected role with a comma behind it", operator, full(), awsAuth("[{rolearn: arn:aws:iam::111122223333:role/Admin,username: admin}]", withUsers(aliceEntry)), false, admitted},
		{"a protected role with a comma behind it before", operator, awsAuth("[{rolearn: arn:aws:iam::111122223333:role/Admin,username: admin}]"), awsAuth(nodeEntry), false, "[protected-principal]"},
		{"a protected role moved to mapUsers", operator, full(), awsAuth(nodeEntry, withUsers(aliceEntry+adminEntry)), false, admitted},
		{"a protected role that was not there", operator, awsAuth(nodeEntry), awsAuth(nodeEntry), false, admitted},
		{"with an access entry", operator, full(), awsAuth(adminEntry+nodeEntry, withUsers(aliceEntry)), false, admitted},
		{"not protected", operator, full(), awsAuth(adminEntry, withUsers(aliceEntry)), false, admitted},
		{"nothing", operator, full(), full(), false, admitted},

		{"the glass broken", masters, full(), awsAuth(nodeEntry, withReason("incident 4711")), false, admitted},
		{"the glass broken by a principal", rescuer, full(), awsAuth(nodeEntry, withReason("incident 4711")), false, admitted},
		{"the glass broken by another principal", other, full(), awsAuth(nodeEntry, withReason("incident 4711")), false, "[protected-principal]"},
		{"the glass broken by a user with the right", entitled, full(), awsAuth(nodeEntry, withReason("incident 4711")), false, admitted},
		{"the glass broken by another group", onCall, full(), awsAuth(nodeEntry, withReason("incident 4711")), false, admitted},
		{"another reason", masters, full(withReason("incident 4711")), awsAuth(nodeEntry, withReason("incident 4712")), false, admitted},
		{"the same reason", masters, full(withReason("incident 4711")), awsAuth(nodeEntry, withReason("incident 4711")), false, "[protected-principal]"},
		{"the same reason with blanks", masters, full(withReason("incident 4711")), awsAuth(nodeEntry, withReason(" incident 4711 ")), false, "[protected-principal]"},
		{"no reason", masters, full(), awsAuth(nodeEntry, withReason(" ")), false, "[protected-principal]"},
		{"no right to break the glass", operator, full(), awsAuth(nodeEntry, withReason("incident 4711")), false, "[protected-principal]"},
		{"a service account breaks the glass", robot, full(), awsAuth(nodeEntry, withReason("incident 4711")), false, "[protected-principal]"},
		{"a service account by its group", disguise, full(), awsAuth(nodeEntry, withReason("incident 4711")), false, "[protected-principal]"},
		{"by EKS", eks, full(), awsAuth(nodeEntry), false, admitted},
		{"with the bypass", bypass, full(), awsAuth(nodeEntry), false, admitted},
		{"by the guard in a dry run", guard, full(), awsAuth(nodeEntry), true, admitted},
		{"by the guard", guard, full(), awsAuth(nodeEntry), false, "[protected-principal]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			store(t, tt.old)
			var dryRun []string
			if tt.dryRun {
				dryRun = []string{metav1.DryRunAll}
			}
			configMaps := asUser(t, rest.ImpersonationConfig{UserName: tt.who.name, Groups: tt.who.groups, Extra: tt.who.extra}).CoreV1().ConfigMaps("kube-system")
			var err error
			switch {
			case tt.old == nil:
				_, err = configMaps.Create(t.Context(), tt.new, metav1.CreateOptions{DryRun: dryRun})
			case tt.new == nil:
				err = configMaps.Delete(t.Context(), "aws-auth", metav1.DeleteOptions{DryRun: dryRun})
			default:
				_, err = configMaps.Update(t.Context(), tt.new, metav1.UpdateOptions{DryRun: dryRun})
			}
			switch {
			case tt.want == admitted && err != nil:
				t.Error(err)
			case tt.want != admitted && err == nil:
				t.Error("admitted")
			case err != nil:
				wantSays(t, err.Error(), tt.want, "ValidatingAdmissionPolicy 'awsauth-guard-backstop'")
			}
		})
	}

	t.Run("a collection", func(t *testing.T) {
		store(t, full())
		wantOthersUntouched(t)
		err := as(t, "operator").CoreV1().ConfigMaps("kube-system").DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{FieldSelector: "metadata.name=aws-auth"})
		if err == nil {
			t.Fatal("admitted")
		}
		wantSays(t, err.Error(), "[deleted]")
	})
}

// TestBackstopRefusesLastFinalizer: after a client has deleted an aws-auth with finalizers, an update that removes the last finalizer
// completes the deletion. The backstop refuses this update like a deletion.
func TestBackstopRefusesLastFinalizer(t *testing.T) {
	install(t, "ignore")
	finalizers := func(names ...string) func(*corev1.ConfigMap) {
		return func(cm *corev1.ConfigMap) { cm.Finalizers = names }
	}
	fixture := as(t, "eks:fixture").CoreV1().ConfigMaps("kube-system")
	t.Cleanup(func() {
		_, err := fixture.Update(context.Background(), awsAuth(adminEntry+nodeEntry), metav1.UpdateOptions{})
		if notFoundIsFine(err) != nil {
			t.Error(err)
		}
	})
	update := func(who *client, cm *corev1.ConfigMap) error {
		_, err := who.CoreV1().ConfigMaps("kube-system").Update(t.Context(), cm, metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	}
	all := adminEntry + nodeEntry
	operator, masters := as(t, "operator"), as(t, "operator", "system:masters")

	store(t, awsAuth(all, finalizers("example.com/a", "example.com/b")))
	if err := update(operator, awsAuth(all)); err != nil {
		t.Errorf("aws-auth is not being deleted, but the removal of its finalizers is refused: %v", err)
	}
	if err := fixture.Delete(t.Context(), "aws-auth", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		who  *client
		cm   *corev1.ConfigMap
		want string // a part of the refusal
	}{
		"one of two finalizers":        {operator, awsAuth(all, finalizers("example.com/b")), ""},
		"the last":                     {operator, awsAuth(all), "[deleted]"},
		"the last, by admins":          {masters, awsAuth(all), "[deleted]"},
		"the last, break-glass":        {masters, awsAuth(all, withReason("incident 4711")), ""},
		"the last, by EKS":             {as(t, "eks:node-manager"), awsAuth(all), ""},
		"the last, by the bypass":      {as(t, "operator", "awsauth-guard:bypass"), awsAuth(all), ""},
		"both stay and a label is set": {operator, awsAuth(all, finalizers("example.com/a", "example.com/b"), func(cm *corev1.ConfigMap) { cm.Labels = map[string]string{"a": "b"} }), ""},
	} {
		err := update(tt.who, tt.cm)
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case tt.want != "" && err == nil:
			t.Errorf("%s: admitted", name)
		case err != nil:
			wantSays(t, err.Error(), tt.want, "ValidatingAdmissionPolicy 'awsauth-guard-backstop'")
		}
	}
}

// TestBackstopBound: the backstop can evaluate the sizes that docs/reference/limits.md promises: 1,000 entries, 1,000 access entries
// and 20 protected principals. If an expression cost too much, the API server would stop its evaluation and admit the change. An
// entry has about 200 characters.
func TestBackstopBound(t *testing.T) {
	const protected, entries = 20, 1000
	list := func(format string, n int) string {
		var text strings.Builder
		for i := range n {
			text.WriteString(strings.Replace(nodeEntry, "Node", fmt.Sprintf(format, i), 1))
		}
		return text.String()
	}
	const kept, moved = "a-role-with-a-name-of-some-length-%04d", "a-role-that-has-an-access-entry-%04d"
	var (
		principals []map[string]any
		accessible []string
	)
	for i := range entries {
		accessible = append(accessible, "arn:aws:iam::111122223333:role/"+fmt.Sprintf(moved, i))
	}
	for i := range protected {
		principals = append(principals, map[string]any{"arn": "arn:aws:iam::111122223333:role/" + fmt.Sprintf(kept, i), "groups": []string{"system:nodes"}})
	}
	values, err := json.Marshal(map[string]any{"guardConfig": map[string]any{"protected": principals, "accessEntries": accessible}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(file, values, 0o600); err != nil {
		t.Fatal(err)
	}
	install(t, "ignore", "--values", file)

	const admitted = ""
	all, none := list(kept, entries), list("another-role-with-a-name-of-some-length-%04d", entries)
	first, few := strings.Index(all[1:], "- rolearn")+1, len(list(kept, protected))
	for _, tt := range []struct {
		name, old, new string
		want           string
	}{
		{"every principal stays", all, all, admitted},
		{"one is lost", all, all[first:], "[protected-principal]"},
		{"all are lost", all, all[few:], "[protected-principal]"},
		{"all are lost at once", all, adminEntry, "[protected-principal]"},
		{"no principal before", none, none, admitted},
		{"all are lost in another form", strings.ReplaceAll(all, "\n  username", ",username"), none, "[protected-principal]"},
		{"not all are moved", list(moved, entries-1) + nodeEntry, "", "[emptied]"},
		{"all are moved", list(moved, entries), "", admitted},
		{"all are commented out", none, "# " + strings.ReplaceAll(none, "\n", "\n# "), "[emptied]"},
		{"one is left behind comments", none, "# " + strings.ReplaceAll(none, "\n", "\n# ") + "\n" + nodeEntry, admitted},
		{"all were commented out", "# " + strings.ReplaceAll(none, "\n", "\n# "), "[]", admitted},
	} {
		t.Run(tt.name, func(t *testing.T) {
			store(t, awsAuth(tt.old))
			_, err := as(t, "operator").CoreV1().ConfigMaps("kube-system").Update(t.Context(), awsAuth(tt.new, withUsers("# "+tt.name)), metav1.UpdateOptions{})
			switch {
			case tt.want == admitted && err != nil:
				t.Error(err)
			case tt.want != admitted && err == nil:
				t.Error("admitted")
			case err != nil:
				wantSays(t, err.Error(), tt.want)
			}
		})
	}
}

// TestBackstopAdmitsWhatTheGuardAdmits: the guard admits a change that empties mapRoles only if every principal has an access
// entry. TestBackstop has the same cases for the backstop, so both give the same answers.
func TestBackstopAdmitsWhatTheGuardAdmits(t *testing.T) {
	t.Parallel()
	c, err := config.Parse("guardconfig.yaml", []byte(named[corev1.ConfigMap](render(t, "ignore"), release).Data["guardconfig.yaml"]))
	if err != nil {
		t.Fatal(err)
	}
	for old, admitted := range map[string]bool{
		movedEntry: true,
		strings.Replace(movedEntry, "role/Moved", "role/of/old/Moved", 1): true,
		movedEntry + nodeEntry: false,
		strings.Replace(movedEntry, "role/Moved", "role/Moved2", 1): false,
	} {
		change := validate.Change{Operation: validate.Update, Old: &awsauth.Object{Data: awsAuth(old).Data}, New: &awsauth.Object{Data: map[string]string{"mapRoles": ""}}}
		if got := !slices.Contains(validate.Evaluate(change, c.Policy()).Denied(), "emptied"); got != admitted {
			t.Errorf("the guard admits that it is emptied: %t, want %t\n%s", got, admitted, old)
		}
	}
}

// TestChartLimitsListsOfBackstop: with the backstop, the chart refuses lists that are too long. The API server refuses an
// expression of more than 100,000 characters, so helm install would fail. Without the backstop, the chart accepts these lists.
func TestChartLimitsListsOfBackstop(t *testing.T) {
	t.Parallel()
	var arns []string
	for i := range 2000 {
		arns = append(arns, fmt.Sprintf("arn:aws:iam::111122223333:role/a-role-with-a-name-of-some-length-%04d", i))
	}
	err := withGuardConfig(t, fmt.Sprintf("{accessEntries: %s}\nbackstop: {enabled: true}", jsonOf(arns)))
	if err == nil {
		t.Fatal("accepted")
	}
	wantSays(t, err.Error(), "guardConfig.accessEntries: has 2000 elements")
	if err := withGuardConfig(t, fmt.Sprintf("{accessEntries: %s}", jsonOf(arns))); err != nil {
		t.Error(err)
	}
}

// TestBackstopAgain: the backstop works after it was deleted and installed again, as after helm uninstall. If the
// policy had a parameter, the API server would not find the parameter again.
func TestBackstopAgain(t *testing.T) {
	t.Run("the first time", func(t *testing.T) { install(t, "ignore") })
	install(t, "ignore")
	store(t, awsAuth(adminEntry+nodeEntry))
	if _, err := as(t, "operator").CoreV1().ConfigMaps("kube-system").Update(t.Context(), awsAuth(nodeEntry), metav1.UpdateOptions{}); err == nil {
		t.Error("admitted")
	}
}

// TestBackstopInModeWarn: in mode warn the backstop refuses no change. It warns about each change that it would
// refuse in mode enforce.
func TestBackstopInModeWarn(t *testing.T) {
	install(t, "warn")
	c := as(t, "operator")
	store(t, awsAuth(adminEntry+nodeEntry))
	if _, err := c.CoreV1().ConfigMaps("kube-system").Update(t.Context(), awsAuth(nodeEntry), metav1.UpdateOptions{}); err != nil {
		t.Error(err)
	}
	wantSays(t, strings.Join(c.Take(), "\n"), "[protected-principal]")
	if err := c.CoreV1().ConfigMaps("kube-system").Delete(t.Context(), "aws-auth", metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
	wantSays(t, strings.Join(c.Take(), "\n"), "[deleted]")
}

// TestBackstopIsRendered: the values decide whether the chart renders the backstop, and with how many validations.
func TestBackstopIsRendered(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		set  string
		want int // number of validations of the policy
	}{
		{"webhook.failurePolicy=Fail", 0},
		{"webhook.failurePolicy=Ignore", 4}, // no protected-principal, because no principal is protected
		{"backstop.enabled=true", 4},
		{"webhook.failurePolicy=Ignore,backstop.enabled=false", 0},
		{"backstop.enabled=true,guardConfig.rules.deleted=warn,guardConfig.rules.immutable=off", 1},
		{"backstop.enabled=true,guardConfig.rules.deleted=false,guardConfig.rules.immutable=off,guardConfig.rules.emptied=warn,guardConfig.rules.protected-principal=off", 0},
	} {
		n := 0
		for _, policy := range find[admissionregistrationv1.ValidatingAdmissionPolicy](render(t, "default", "--set", tt.set)) {
			n += len(policy.Spec.Validations)
		}
		if n != tt.want {
			t.Errorf("%s: %d validations, want %d", tt.set, n, tt.want)
		}
	}
}

// TestBackstopTypes checks the types in the expressions with the API server's own checker. The API server makes the
// same check, and writes warnings into the policy's status.
func TestBackstopTypes(t *testing.T) {
	t.Parallel()
	checker := &validating.TypeChecker{
		SchemaResolver: &resolver.ClientDiscoveryResolver{Discovery: admin.Discovery()},
		RestMapper:     restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(admin.Discovery())),
	}
	if _, err := checker.SchemaResolver.ResolveSchema(schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}); err != nil {
		t.Fatal(err)
	}
	for _, warning := range checker.Check(one[admissionregistrationv1.ValidatingAdmissionPolicy](t, render(t, "ignore"))) {
		t.Errorf("%s: %s", warning.FieldRef, warning.Warning)
	}
}
