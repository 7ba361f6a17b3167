package rbac_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/rbac"
)

// rule returns a rule with these verbs, API groups, resources and names. Spaces separate the elements of each list.
func rule(verbs, groups, resources, names string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{
		Verbs: strings.Fields(verbs), APIGroups: strings.Fields(groups), Resources: strings.Fields(resources),
		ResourceNames: strings.Fields(names),
	}
}

// core returns a rule for resources of the core group.
func core(verbs, resources, names string) rbacv1.PolicyRule {
	r := rule(verbs, "", resources, names)
	r.APIGroups = []string{""}
	return r
}

func role(name string, rules ...rbacv1.PolicyRule) rbacv1.ClusterRole {
	return rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}
}

func group(name string) rbacv1.Subject {
	return rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: name}
}

// bind binds a ClusterRole in a namespace, or in the whole cluster if the namespace is empty.
func bind(o *rbac.Objects, namespace, role string, subjects ...rbacv1.Subject) {
	ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role}
	meta := metav1.ObjectMeta{Name: "bind-" + role, Namespace: namespace}
	if namespace == "" {
		o.ClusterRoleBindings = append(o.ClusterRoleBindings, rbacv1.ClusterRoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: subjects})
		return
	}
	o.RoleBindings = append(o.RoleBindings, rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: subjects})
}

var admin = role("cluster-admin", rule("*", "*", "*", ""))

// TestPathsToAdmin: PathsToAdmin lists a path to admin if and only if the subject has every right that the path needs.
func TestPathsToAdmin(t *testing.T) {
	const rbacAPI = "rbac.authorization.k8s.io"
	for name, test := range map[string]struct {
		namespace string // of the binding
		rules     []rbacv1.PolicyRule
		want      []string
	}{
		"nothing":                               {"", nil, nil},
		"to read everything":                    {"", []rbacv1.PolicyRule{rule("get list watch", "*", "*", "")}, nil},
		"to escalate and to update":             {"", []rbacv1.PolicyRule{rule("escalate update", rbacAPI, "clusterroles", "")}, []string{"escalate clusterroles"}},
		"to escalate alone":                     {"", []rbacv1.PolicyRule{rule("escalate", rbacAPI, "clusterroles", "")}, nil},
		"to escalate and update another":        {"", []rbacv1.PolicyRule{rule("escalate", rbacAPI, "clusterroles", "a"), rule("update", rbacAPI, "clusterroles", "b")}, nil},
		"to bind and to create bindings":        {"", []rbacv1.PolicyRule{rule("bind", rbacAPI, "clusterroles", ""), rule("create", rbacAPI, "clusterrolebindings", "")}, []string{"bind clusterroles"}},
		"to bind alone":                         {"", []rbacv1.PolicyRule{rule("bind", rbacAPI, "clusterroles", "")}, nil},
		"to bind the admin's role":              {"", []rbacv1.PolicyRule{rule("bind", rbacAPI, "clusterroles", "cluster-admin"), rule("create", rbacAPI, "clusterrolebindings", "")}, []string{"bind clusterroles"}},
		"to bind a harmless role":               {"", []rbacv1.PolicyRule{rule("bind", rbacAPI, "clusterroles", "view"), rule("create", rbacAPI, "clusterrolebindings", "")}, nil},
		"to impersonate users":                  {"", []rbacv1.PolicyRule{core("impersonate", "users", "")}, []string{"impersonate users"}},
		"to impersonate a harmless user":        {"", []rbacv1.PolicyRule{core("impersonate", "users", "bob")}, nil},
		"to impersonate an admin":               {"", []rbacv1.PolicyRule{core("impersonate", "users", "root")}, []string{"impersonate users/root"}},
		"to impersonate the admins' group":      {"", []rbacv1.PolicyRule{core("impersonate", "users", "bob"), core("impersonate", "groups", "system:masters")}, []string{"impersonate groups/system:masters"}},
		"to impersonate a group alone":          {"", []rbacv1.PolicyRule{core("impersonate", "groups", "system:masters")}, nil},
		"to impersonate service accounts":       {"kube-system", []rbacv1.PolicyRule{core("impersonate", "serviceaccounts", "")}, []string{"impersonate serviceaccounts in kube-system"}},
		"to impersonate accounts elsewhere":     {"team", []rbacv1.PolicyRule{core("impersonate", "serviceaccounts", "")}, nil},
		"to make tokens in kube-system":         {"kube-system", []rbacv1.PolicyRule{core("create", "serviceaccounts/token", "")}, []string{"create serviceaccounts/token in kube-system"}},
		"to make tokens elsewhere":              {"team", []rbacv1.PolicyRule{core("create", "serviceaccounts/token", "")}, nil},
		"to make tokens of an admin":            {"kube-system", []rbacv1.PolicyRule{core("create", "serviceaccounts/token", "boss other")}, []string{"create serviceaccounts/boss/token in kube-system"}},
		"to make harmless tokens":               {"kube-system", []rbacv1.PolicyRule{core("create", "serviceaccounts/token", "other")}, nil},
		"to impersonate an admin's account":     {"kube-system", []rbacv1.PolicyRule{core("impersonate", "serviceaccounts", "boss other")}, []string{"impersonate serviceaccounts/boss"}},
		"to bind in kube-system":                {"kube-system", []rbacv1.PolicyRule{rule("bind", rbacAPI, "clusterroles", ""), rule("create", rbacAPI, "rolebindings", "")}, []string{"bind clusterroles in kube-system"}},
		"to bind roles in another":              {"team", []rbacv1.PolicyRule{rule("bind", rbacAPI, "clusterroles", ""), rule("create", rbacAPI, "rolebindings", "")}, nil},
		"to escalate in kube-system":            {"kube-system", []rbacv1.PolicyRule{rule("escalate patch", rbacAPI, "roles", "a")}, []string{"escalate roles in kube-system"}},
		"to escalate in another namespace":      {"team", []rbacv1.PolicyRule{rule("escalate patch", rbacAPI, "roles", "")}, nil},
		"to bind an admin role without binding": {"", []rbacv1.PolicyRule{rule("bind", rbacAPI, "clusterroles", "spare"), rule("create", rbacAPI, "clusterrolebindings", "")}, []string{"bind clusterroles"}},
		"to write aws-auth":                     {"kube-system", []rbacv1.PolicyRule{core("patch", "configmaps", "aws-auth")}, []string{"patch configmaps/aws-auth in kube-system"}},
		"to write ConfigMaps elsewhere":         {"team", []rbacv1.PolicyRule{core("update patch", "configmaps", "")}, nil},
		"to write another ConfigMap":            {"kube-system", []rbacv1.PolicyRule{core("update patch", "configmaps", "coredns")}, nil},
	} {
		o := rbac.Objects{ClusterRoles: []rbacv1.ClusterRole{admin, role("spare", rule("*", "*", "*", "")), role("given", test.rules...)}}
		bind(&o, "", "cluster-admin", rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "root"},
			rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Name: "boss", Namespace: "kube-system"})
		bind(&o, test.namespace, "given", group("ops"))
		policy := rbac.NewPolicy(o)
		if diff := cmp.Diff(test.want, policy.PathsToAdmin(rbac.Subject{Groups: []string{"ops"}}, true)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if other := policy.PathsToAdmin(rbac.Subject{Groups: []string{"devs"}}, true); other != nil {
			t.Errorf("%s: another group has the paths %q", name, other)
		}
	}
}

// TestAggregateFillsRules: an aggregated ClusterRole without rules gets the rules of the roles that it selects,
// directly or through another aggregated role. A cycle of such roles does not hang Aggregate.
func TestAggregateFillsRules(t *testing.T) {
	labelled := func(r rbacv1.ClusterRole, label string) rbacv1.ClusterRole {
		r.Labels = map[string]string{label: "true"}
		return r
	}
	aggregated := func(r rbacv1.ClusterRole, label string) rbacv1.ClusterRole {
		r.AggregationRule = &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{label: "true"}}}}
		return r
	}
	pods, secrets := core("get", "pods", ""), core("get", "secrets", "")
	o := rbac.Objects{ClusterRoles: []rbacv1.ClusterRole{
		aggregated(role("outer"), "to-outer"),
		labelled(aggregated(role("inner"), "to-inner"), "to-outer"),
		labelled(role("pods", pods, pods), "to-inner"),
		labelled(role("other", secrets), "to-another"),
		aggregated(role("full", secrets), "to-inner"),
		labelled(aggregated(role("self"), "to-self"), "to-self"),
	}}
	o.Aggregate()
	for i, want := range [][]rbacv1.PolicyRule{{pods}, {pods}, {pods, pods}, {secrets}, {secrets}, nil} {
		if diff := cmp.Diff(want, o.ClusterRoles[i].Rules); diff != "" {
			t.Errorf("%s (-want +got):\n%s", o.ClusterRoles[i].Name, diff)
		}
	}
}

// TestBindingsNameRoles: the bindings of a subject name their roles, and the bindings for the whole cluster come first.
func TestBindingsNameRoles(t *testing.T) {
	o := rbac.Objects{ClusterRoles: []rbacv1.ClusterRole{role("view")}}
	bind(&o, "team", "view", group("ops"))
	bind(&o, "", "absent", group("ops"), group("devs"))
	var got []string
	for _, b := range rbac.NewPolicy(o).Bindings(rbac.Subject{Groups: []string{"ops"}}) {
		text := b.Kind + " " + b.Namespace + "/" + b.Name + " " + b.RoleKind + " " + b.RoleName
		if b.Missing {
			text += " missing"
		}
		got = append(got, text)
	}
	if diff := cmp.Diff([]string{"ClusterRoleBinding /bind-absent ClusterRole absent missing", "RoleBinding team/bind-view ClusterRole view"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestParseRequest(t *testing.T) {
	for text, want := range map[string]rbac.Request{
		"get pods":                           {Verb: "get", Resource: "pods"},
		"delete  secret/db":                  {Verb: "delete", Resource: "secrets", Name: "db"},
		"create deploy":                      {Verb: "create", Group: "apps", Resource: "deployments"},
		"get ingress":                        {Verb: "get", Group: "networking.k8s.io", Resource: "ingresses"},
		"get networkpolicy":                  {Verb: "get", Group: "networking.k8s.io", Resource: "networkpolicies"},
		"get certificates.cert-manager.io/a": {Verb: "get", Group: "cert-manager.io", Resource: "certificates", Name: "a"},
		"* *":                                {Verb: "*", Group: "*", Resource: "*"},
	} {
		got, err := rbac.ParseRequest(text)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%q: %v (-want +got):\n%s", text, err, diff)
		}
	}
	for text, want := range map[string]string{
		"pods":             `"pods" is not a verb and a resource, such as 'get pods'`,
		"get pods a":       `"get pods a" is not a verb and a resource, such as 'get pods'`,
		"get certificates": `the API group of the resource "certificates" is not known; write it as RESOURCE.GROUP, such as certificates.cert-manager.io`,
		"get /healthz":     `"/healthz" is a URL, and only requests for resources are supported`,
		"get pods/":        `"pods/" is not RESOURCE/NAME`,
	} {
		if _, err := rbac.ParseRequest(text); err == nil || err.Error() != want {
			t.Errorf("%q: %v", text, err)
		}
	}
}
