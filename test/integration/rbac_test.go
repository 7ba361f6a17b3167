package integration_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/awsauth-guard/awsauth-guard/internal/rbac"
	"github.com/awsauth-guard/awsauth-guard/test/controlplane"
)

const (
	rbacRounds   = 10
	rbacSubjects = 100 // in each round
	rbacLabel    = "generated-rbac"
)

// TestRBACAgreesWithAPIServer: rbac.Policy gives the same answers as SubjectAccessReview, for 1,000 subjects and generated RBAC objects. For
// each subject, the test compares the answers to two requests: every verb on every resource, which makes the subject an admin, and a random
// request.
func TestRBACAgreesWithAPIServer(t *testing.T) {
	client, err := kubernetes.NewForConfig(cluster.Admin)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removeRBAC(context.Background(), t, client) })
	const seed = 1
	random := rand.New(rand.NewPCG(seed, seed))
	admins, allowed := 0, 0
	for round := range rbacRounds {
		g := &rbacGenerator{Rand: random, prefix: fmt.Sprintf("round-%d-", round)}
		createRBAC(t, client, g)
		policy := rbac.NewPolicy(readRBAC(t, client))
		group, ctx := errgroup.WithContext(t.Context())
		group.SetLimit(8)
		for range rbacSubjects {
			s, r := g.subject(), g.request()
			everything := rbac.Request{Verb: "*", Group: "*", Resource: "*"}
			isAdmin := policy.AllowsEverything(s)
			_, isAllowed := policy.Allows(s, r)
			if isAdmin {
				admins++
			}
			if isAllowed {
				allowed++
			}
			group.Go(func() error { return agree(ctx, client, s, everything, isAdmin) })
			group.Go(func() error { return agree(ctx, client, s, r, isAllowed) })
		}
		if err := group.Wait(); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
	}
	if total := rbacRounds * rbacSubjects; admins < total/20 || admins > total/2 || allowed < total/20 || allowed > total/2 {
		t.Errorf("of %d subjects %d are admins, and %d may make the other request: too few of one answer", total, admins, allowed)
	}
}

// agree returns an error if the answer of SubjectAccessReview to a request is not want, the answer of the policy.
func agree(ctx context.Context, client kubernetes.Interface, s rbac.Subject, r rbac.Request, want bool) error {
	answer, err := client.AuthorizationV1().SubjectAccessReviews().Create(ctx, reviewOf(s, r), metav1.CreateOptions{})
	if err != nil {
		return err
	}
	if answer.Status.Allowed != want {
		return fmt.Errorf("the API server answers %t (%s), and the policy %t, for %+v of %+v", answer.Status.Allowed, answer.Status.Reason, want, r, s)
	}
	return nil
}

func reviewOf(s rbac.Subject, r rbac.Request) *authorizationv1.SubjectAccessReview {
	resource, subresource, _ := strings.Cut(r.Resource, "/")
	return &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: s.Usernames[0], Groups: s.Groups,
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Verb: r.Verb, Group: r.Group, Version: "*", Resource: resource, Subresource: subresource, Name: r.Name, Namespace: r.Namespace,
		},
	}}
}

// rbacGenerator generates RBAC objects. A few of their rules allow every request, and many allow nearly every request.
type rbacGenerator struct {
	*rand.Rand
	prefix string // prefix of the names of a round
}

func pick[T any](g *rbacGenerator, list ...T) T { return list[g.IntN(len(list))] }

// some returns one to three of the values. A value can occur several times.
func (g *rbacGenerator) some(list ...string) []string {
	var chosen []string
	for range 1 + g.IntN(3) {
		chosen = append(chosen, pick(g, list...))
	}
	return chosen
}

var (
	rbacVerbs     = []string{"get", "list", "update", "create"}
	rbacGroups    = []string{"", "apps", "rbac.authorization.k8s.io"}
	rbacResources = []string{"pods", "deployments", "deployments/scale", "clusterroles"}
	rbacNames     = []string{"a", "b"}
	rbacSpaces    = []string{"default", "kube-system"}
)

// rule returns a rule for a Role or, if clusterWide is set, for a ClusterRole. Only a rule for a ClusterRole can have URLs.
func (g *rbacGenerator) rule(clusterWide bool) rbacv1.PolicyRule {
	if clusterWide && g.IntN(15) == 0 {
		return rbacv1.PolicyRule{Verbs: []string{"*"}, NonResourceURLs: []string{"*"}}
	}
	// Each list has the asterisk in half of the rules, so that some rules have it in every list.
	starred := func(list ...string) []string {
		if g.IntN(2) == 0 {
			return append(g.some(list...), "*")
		}
		return g.some(list...)
	}
	rule := rbacv1.PolicyRule{
		Verbs: starred(rbacVerbs...), APIGroups: starred(rbacGroups...), Resources: starred(append([]string{"*/scale", "*/*"}, rbacResources...)...),
	}
	if g.IntN(4) == 0 {
		rule.ResourceNames = g.some(append([]string{"", "*"}, rbacNames...)...)
	}
	return rule
}

func (g *rbacGenerator) rules(clusterWide bool) (list []rbacv1.PolicyRule) {
	for range g.IntN(3) {
		list = append(list, g.rule(clusterWide))
	}
	return list
}

func (g *rbacGenerator) username() string { return fmt.Sprintf("%suser-%d", g.prefix, g.IntN(20)) }
func (g *rbacGenerator) group() string    { return fmt.Sprintf("%sgroup-%d", g.prefix, g.IntN(20)) }
func (g *rbacGenerator) account() string  { return fmt.Sprintf("%saccount-%d", g.prefix, g.IntN(3)) }

func (g *rbacGenerator) bound() (list []rbacv1.Subject) {
	for range 1 + g.IntN(3) {
		switch g.IntN(5) {
		case 0, 1:
			list = append(list, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: g.username()})
		case 2, 3:
			list = append(list, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: g.group()})
		default:
			list = append(list, rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Name: g.account(), Namespace: pick(g, rbacSpaces...)})
		}
	}
	return list
}

func (g *rbacGenerator) subject() rbac.Subject {
	s := rbac.Subject{Usernames: []string{g.username()}}
	if g.IntN(6) == 0 {
		s.Usernames[0] = "system:serviceaccount:" + pick(g, rbacSpaces...) + ":" + g.account()
	}
	for range g.IntN(3) {
		s.Groups = append(s.Groups, g.group())
	}
	if g.IntN(40) == 0 {
		s.Groups = append(s.Groups, "system:masters")
	}
	return s
}

func (g *rbacGenerator) request() rbac.Request {
	return rbac.Request{
		Verb: pick(g, rbacVerbs...), Group: pick(g, rbacGroups...), Resource: pick(g, rbacResources...),
		Name: pick(g, append([]string{"", ""}, rbacNames...)...), Namespace: pick(g, append([]string{""}, rbacSpaces...)...),
	}
}

func (g *rbacGenerator) meta(kind string, n int, namespace string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: fmt.Sprintf("%s%s-%d", g.prefix, kind, n), Namespace: namespace, Labels: map[string]string{rbacLabel: "true"}}
}

// createRBAC creates the objects of a round. It waits until the API server's authorizer knows all of them.
func createRBAC(t *testing.T, client kubernetes.Interface, g *rbacGenerator) {
	t.Helper()
	const roles, last = 12, 99
	ctx, create := t.Context(), metav1.CreateOptions{}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	api := client.RbacV1()
	clusterRole := func(n int, rules []rbacv1.PolicyRule) {
		r := &rbacv1.ClusterRole{ObjectMeta: g.meta("cluster-role", n, ""), Rules: rules}
		if n%5 == 4 { // without a controller that fills in the rules, the API server uses the rules as they are
			r.AggregationRule = &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{rbacLabel: "true"}}}}
		}
		_, err := api.ClusterRoles().Create(ctx, r, create)
		must(err)
	}
	role := func(n int, namespace string, rules []rbacv1.PolicyRule) {
		_, err := api.Roles(namespace).Create(ctx, &rbacv1.Role{ObjectMeta: g.meta("role", n, namespace), Rules: rules}, create)
		must(err)
	}
	bindCluster := func(n, role int, subjects ...rbacv1.Subject) {
		_, err := api.ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
			ObjectMeta: g.meta("cluster-binding", n, ""), Subjects: subjects,
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: g.meta("cluster-role", role, "").Name},
		}, create)
		must(err)
	}
	bind := func(n int, namespace, kind, role string, subjects ...rbacv1.Subject) {
		_, err := api.RoleBindings(namespace).Create(ctx, &rbacv1.RoleBinding{
			ObjectMeta: g.meta("binding", n, namespace), Subjects: subjects,
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: role},
		}, create)
		must(err)
	}
	for n := range roles {
		clusterRole(n, g.rules(true))
		role(n, pick(g, rbacSpaces...), g.rules(false))
	}
	for n := range roles {
		bindCluster(n, g.IntN(roles+1), g.bound()...) // the role with the index roles does not exist
		bind(n, pick(g, rbacSpaces...), "ClusterRole", g.meta("cluster-role", g.IntN(roles+1), "").Name, g.bound()...)
		bind(n+roles, pick(g, rbacSpaces...), "Role", g.meta("role", g.IntN(roles+1), "").Name, g.bound()...)
	}
	// The authorizer receives the objects of each kind in the order of their creation. So it knows all objects when it knows the last of
	// each kind.
	sentinel := rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: g.prefix + "sentinel"}
	rule := []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"secrets"}}}
	clusterRole(last, rule)
	bindCluster(last, last, sentinel)
	rule[0].Resources[0] = "configmaps"
	role(last, "default", rule)
	bind(last, "default", "Role", g.meta("role", last, "").Name, sentinel)
	subject := rbac.Subject{Usernames: []string{sentinel.Name}}
	for _, r := range []rbac.Request{{Verb: "get", Resource: "secrets"}, {Verb: "get", Resource: "configmaps", Namespace: "default"}} {
		if err := controlplane.Poll(ctx, func(ctx context.Context) error { return agree(ctx, client, subject, r, true) }); err != nil {
			t.Fatal(err)
		}
	}
}

// readRBAC returns all RBAC objects of the cluster.
func readRBAC(t *testing.T, client kubernetes.Interface) (o rbac.Objects) {
	t.Helper()
	ctx, api := t.Context(), client.RbacV1()
	clusterRoles, err := api.ClusterRoles().List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	roles, err := api.Roles("").List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	clusterRoleBindings, err := api.ClusterRoleBindings().List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	roleBindings, err := api.RoleBindings("").List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return rbac.Objects{ClusterRoles: clusterRoles.Items, Roles: roles.Items, ClusterRoleBindings: clusterRoleBindings.Items, RoleBindings: roleBindings.Items}
}

// removeRBAC removes the generated objects.
func removeRBAC(ctx context.Context, t *testing.T, client kubernetes.Interface) {
	t.Helper()
	all, generated := metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: rbacLabel}
	api := client.RbacV1()
	errs := []error{api.ClusterRoleBindings().DeleteCollection(ctx, all, generated), api.ClusterRoles().DeleteCollection(ctx, all, generated)}
	for _, namespace := range rbacSpaces {
		errs = append(errs, api.RoleBindings(namespace).DeleteCollection(ctx, all, generated), api.Roles(namespace).DeleteCollection(ctx, all, generated))
	}
	for _, err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
}
