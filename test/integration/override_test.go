package integration_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

const (
	breakGlass   = "awsauth-guard.io/break-glass"
	allowRemoval = "awsauth-guard.io/allow-removal"
)

// annotated returns an aws-auth with the data d and an annotation. If the value is empty, aws-auth has no annotation.
func annotated(d data, key, value string) *corev1.ConfigMap {
	cm := d.configMap()
	if value != "" {
		cm.Annotations = map[string]string{key: value}
	}
	return cm
}

// put replaces the stored aws-auth by cm.
func put(t *testing.T, c *client, cm *corev1.ConfigMap) error {
	t.Helper()
	_, err := c.Update(t.Context(), cm, metav1.UpdateOptions{})
	return err
}

// onCall and developer return users with and without the right to break the glass. Each test has its own users, because
// wantAudited finds audit events by the name of the user.
func onCall(t *testing.T) rest.ImpersonationConfig {
	t.Helper()
	return rest.ImpersonationConfig{UserName: "on-call in " + t.Name(), Groups: []string{"system:masters"}}
}

func developer(t *testing.T) rest.ImpersonationConfig {
	t.Helper()
	return rest.ImpersonationConfig{UserName: "developer in " + t.Name(), Groups: []string{"developers"}}
}

var robot = rest.ImpersonationConfig{
	UserName: "system:serviceaccount:kube-system:robot",
	Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:kube-system", "system:masters"},
}

// overridden returns the number of break-glass overrides, and the number of allowed removals.
func overridden(t *testing.T) [2]float64 {
	t.Helper()
	return [2]float64{metric(t, `awsauth_guard_overrides_total{dry_run="false",kind="break-glass"}`), metric(t, `awsauth_guard_overrides_total{dry_run="false",kind="allow-removal"}`)}
}

// wantOverridden checks by how much the numbers of overridden have risen since before. It sets before to the new numbers.
func wantOverridden(t *testing.T, before *[2]float64, breakGlassOverrides, removals float64) {
	t.Helper()
	now := overridden(t)
	if got := [2]float64{now[0] - before[0], now[1] - before[1]}; got != [2]float64{breakGlassOverrides, removals} {
		t.Errorf("the numbers of break-glass overrides and of allowed removals rose by %v, want %v and %v", got, breakGlassOverrides, removals)
	}
	*before = now
}

// wantWarned checks that one of the client's warnings contains a text. It clears the warnings.
func wantWarned(t *testing.T, c *client, text string) {
	t.Helper()
	if warned := c.Take(); !strings.Contains(strings.Join(warned, "\n"), text) {
		t.Errorf("no warning holds %q: %q", text, warned)
	}
}

// TestBreakGlass: an update overrules every denial if it sets the break-glass annotation to a new reason, and if the user has the
// right to break the glass. Without this right, the guard refuses every update that sets the annotation.
func TestBreakGlass(t *testing.T) {
	const reason = "incident 4711"
	withoutNodes, broken := roles(admin), roles("[")
	type user func(*testing.T) rest.ImpersonationConfig
	robot := func(*testing.T) rest.ImpersonationConfig { return robot }
	for _, test := range []struct {
		name        string
		user        user
		stored, set string
		after       data
		refused     []string // empty if the change is admitted
		warned      []string
		counts      float64
	}{
		{"right group", onCall, "", reason, withoutNodes, nil, []string{"node-role-removed"}, 1},
		{"right group, broken text", onCall, "", reason, broken, nil, []string{"node-role-removed", "protected-principal", "yaml-syntax"}, 1},
		{"right group, a change that needs none", onCall, "", reason, roles(admin + node + ci), nil, nil, 1},
		{"right group, metadata only", onCall, "", reason, base(), nil, nil, 1},
		{"changed reason", onCall, reason, reason + ", again", withoutNodes, nil, []string{"node-role-removed"}, 1},
		{"reused annotation", onCall, reason, reason, withoutNodes, []string{"node-role-removed"}, nil, 0},
		{"reused annotation with white space", onCall, reason, " " + reason + "\n", withoutNodes, []string{"node-role-removed"}, nil, 0},
		{"annotation removed", onCall, reason, "", withoutNodes, []string{"node-role-removed"}, nil, 0},
		{"only white space", onCall, "", " ", withoutNodes, []string{"node-role-removed"}, nil, 0},
		{"wrong group", developer, "", reason, withoutNodes, []string{"break-glass-denied", "node-role-removed"}, nil, 0},
		{"wrong group, broken text", developer, "", reason, broken, []string{"break-glass-denied", "node-role-removed", "protected-principal", "yaml-syntax"}, nil, 0},
		{"wrong group, a change that needs none", developer, "", reason, roles(admin + node + ci), []string{"break-glass-denied"}, nil, 0},
		{"wrong group, metadata only", developer, "", reason, base(), []string{"break-glass-denied"}, nil, 0},
		{"wrong group, changed reason", developer, reason, reason + ", again", base(), []string{"break-glass-denied"}, nil, 0},
		{"wrong group, annotation kept", developer, reason, reason, roles(admin + node + ci), nil, nil, 0},
		{"wrong group, annotation removed", developer, reason, "", base(), nil, nil, 0},
		{"service account in the right group", robot, "", reason, withoutNodes, []string{"break-glass-denied", "node-role-removed"}, nil, 0},
		{"service account, metadata only", robot, "", reason, base(), []string{"break-glass-denied"}, nil, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			storeObject(t, annotated(base(), breakGlass, test.stored))
			before, counts := stored(t), overridden(t)
			user := test.user(t)
			c := as(t, user)
			err := put(t, c, annotated(test.after, breakGlass, test.set))
			if test.refused != nil {
				wantRefused(t, err, test.refused...)
				if diff := cmp.Diff(before, stored(t)); diff != "" {
					t.Errorf("stored although refused:\n%s", diff)
				}
			} else {
				warned := c.Take()
				for _, w := range warned {
					c.HandleWarningHeaderWithContext(t.Context(), 299, "", w)
				}
				wantAdmitted(t, c, err, test.warned...)
				if told := strings.Contains(strings.Join(warned, "\n"), "break-glass overrules every denial of this request: "+test.set); told != (test.counts > 0) {
					t.Errorf("a warning names the override: %t, want %t: %q", told, test.counts > 0, warned)
				}
			}
			wantOverridden(t, &counts, test.counts, 0)
			if test.counts > 0 {
				wantAudited(t, user, "warn", strings.Join(test.warned, ","), "break-glass: "+test.set)
			}
		})
	}
}

// TestBreakGlassByRight: a user with the right break-glass can break the glass. The guard asks the real API server for this
// right.
func TestBreakGlassByRight(t *testing.T) {
	configure(t, guardConfig+"overrides: {groups: [everyone]}\n") // keep the webhook of the other tests from refusing these changes
	g := newGuarded(t, base(), guardConfig+"overrides: {subjectAccessReview: true}\n", quick())
	g.bind(t, "ask-for-rights", "system:anonymous", rbacv1.PolicyRule{APIGroups: []string{"authorization.k8s.io"}, Resources: []string{"subjectaccessreviews"}, Verbs: []string{"create"}})
	bound := rest.ImpersonationConfig{UserName: "bound in " + t.Name(), Groups: []string{"developers", "everyone"}}
	other := rest.ImpersonationConfig{UserName: "other in " + t.Name(), Groups: bound.Groups}
	g.bind(t, "break-glass", bound.UserName, rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"configmaps"}, ResourceNames: []string{"aws-auth"}, Verbs: []string{"break-glass"}})
	g.run(t, 1)

	broken := annotated(roles("["), breakGlass, "incident 4711")
	wantRefused(t, put(t, as(t, other), broken), "break-glass-denied", "node-role-removed", "protected-principal", "yaml-syntax")
	c := as(t, bound)
	wantAdmitted(t, c, put(t, c, broken), "node-role-removed", "protected-principal", "yaml-syntax")
}

// TestBreakGlassByOtherVerbs: the annotation also works in a create, a merge patch and a server-side apply that makes a change
// which the guard would refuse. The request must set the annotation itself, and the user must have the right to break the glass.
// TestBreakGlass tests updates.
func TestBreakGlassByOtherVerbs(t *testing.T) {
	bad := roles(admin)
	t.Run("create", func(t *testing.T) {
		remove(t)
		cm := annotated(roles("["), breakGlass, "incident 4711")
		_, err := as(t, developer(t)).Create(t.Context(), cm, metav1.CreateOptions{})
		wantRefused(t, err, "break-glass-denied", "yaml-syntax")
		c := as(t, onCall(t))
		_, err = c.Create(t.Context(), cm, metav1.CreateOptions{})
		wantAdmitted(t, c, err, "admin-grant", "protected-principal", "yaml-syntax")
	})
	t.Run("merge patch", func(t *testing.T) {
		store(t, base())
		change := map[string]any{"data": bad, "metadata": map[string]any{"annotations": map[string]any{breakGlass: "incident 4711"}}}
		wantRefused(t, patch(t.Context(), as(t, developer(t)), types.MergePatchType, change, nil), "break-glass-denied", "node-role-removed")
		c := as(t, onCall(t))
		wantAdmitted(t, c, patch(t.Context(), c, types.MergePatchType, change, nil), "node-role-removed")
	})
	t.Run("apply", func(t *testing.T) {
		store(t, base())
		options := metav1.PatchOptions{FieldManager: "another", Force: new(true)}
		cm := annotated(bad, breakGlass, "incident 4711")
		wantRefused(t, apply(t.Context(), as(t, developer(t)), cm, options), "break-glass-denied", "node-role-removed")
		c := as(t, onCall(t))
		wantAdmitted(t, c, apply(t.Context(), c, cm, options), "node-role-removed")
		// A break-glass value that is already stored isn't an override.
		store(t, base())
		cm = annotated(base(), breakGlass, "incident 4711")
		wantAdmitted(t, c, apply(t.Context(), c, cm, options))
		cm.Data = bad
		wantRefused(t, apply(t.Context(), c, cm, options), "node-role-removed")
	})
}

// TestBreakGlassDelete: a DELETE request can't set an annotation, so a stored break-glass value can admit a deletion. It must name an
// end within the next hour and a reason, and the user who deletes must have the right to break the glass.
func TestBreakGlassDelete(t *testing.T) {
	in := func(d time.Duration, reason string) string {
		return "delete " + time.Now().Add(d).UTC().Format(time.RFC3339) + " " + reason
	}
	all := []string{"deleted", "last-admin", "node-role-removed", "protected-principal"}
	for _, test := range []struct {
		name, value string
		user        rest.ImpersonationConfig
		admitted    bool
	}{
		{"valid", in(30*time.Minute, "moved"), onCall(t), true},
		{"valid, in another time zone", "delete " + time.Now().Add(30*time.Minute).In(time.FixedZone("", 5*60*60)).Format(time.RFC3339) + " moved", onCall(t), true},
		{"without the right", in(30*time.Minute, "moved"), developer(t), false},
		{"service account", in(30*time.Minute, "moved"), robot, false},
		{"expired", in(-time.Second, "moved"), onCall(t), false},
		{"more than an hour ahead", in(62*time.Minute, "moved"), onCall(t), false},
		{"no reason", strings.TrimSpace(in(30*time.Minute, "")), onCall(t), false},
		{"no expiry", "delete moved", onCall(t), false},
		{"a reason for something else", "incident 4711", onCall(t), false},
		{"nothing", "", onCall(t), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			user := test.user
			if user.UserName != robot.UserName {
				user.UserName = strings.Replace(user.UserName, "TestBreakGlassDelete", t.Name(), 1)
			}
			c := as(t, user)
			del := func() error { return c.Delete(t.Context(), "aws-auth", metav1.DeleteOptions{}) }
			deleteCollection := func() error {
				return c.DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{FieldSelector: "metadata.name=aws-auth"})
			}
			for _, do := range []func() error{del, deleteCollection} {
				storeObject(t, annotated(base(), breakGlass, test.value))
				counts := overridden(t)
				err := do()
				if !test.admitted {
					wantForbidden(t, err, all...)
					wantOverridden(t, &counts, 0, 0)
					continue
				}
				wantAdmitted(t, c, err, all...)
				wantOverridden(t, &counts, 1, 0)
				if stored(t).Name != "" {
					t.Error("aws-auth is still stored")
				}
			}
			if test.admitted {
				wantAudited(t, user, "warn", strings.Join(all, ","), "break-glass: moved")
			}
		})
	}

	for _, test := range []struct {
		name, value string
		user        rest.ImpersonationConfig
		refused     []string
	}{
		{"set", in(30*time.Minute, "moved"), onCall(t), nil},
		{"set without the right", in(30*time.Minute, "moved"), developer(t), []string{"break-glass-denied"}},
		{"set when expired", in(-time.Second, "moved"), onCall(t), []string{"break-glass-denied"}},
		{"set more than an hour ahead", in(62*time.Minute, "moved"), onCall(t), []string{"break-glass-denied"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			store(t, base())
			c := as(t, test.user)
			err := put(t, c, annotated(base(), breakGlass, test.value))
			if test.refused != nil {
				wantRefused(t, err, test.refused...)
				return
			}
			wantAdmitted(t, c, err)
			wantAdmitted(t, c, c.Delete(t.Context(), "aws-auth", metav1.DeleteOptions{}), all...)
		})
	}
}

// TestAllowRemovalBeforehand: a user can set the annotation allow-removal with a time until which it allows the removal of a node
// role. Until then, a tool that doesn't change the annotation can remove the role.
func TestAllowRemovalBeforehand(t *testing.T) {
	until := func(ahead time.Duration, arn string) string {
		return "until " + time.Now().Add(ahead).UTC().Format(time.RFC3339) + " " + arn
	}
	for _, test := range []struct {
		name, allowance string
		warned          []string // when a user sets the annotation
		refused         []string // when the tool removes the entry
	}{
		{"for half an hour", until(30*time.Minute, nodeARN), nil, nil},
		{"expired", until(-time.Minute, nodeARN), []string{"allow-removal-denied"}, []string{"node-role-removed"}},
		{"for a day", until(24*time.Hour, nodeARN), []string{"allow-removal-denied"}, []string{"node-role-removed"}},
		{"for another role", until(30*time.Minute, "arn:aws:iam::111122223333:role/Other"), nil, []string{"node-role-removed"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			store(t, base())
			c := as(t, developer(t))
			err := put(t, c, annotated(base(), allowRemoval, test.allowance))
			wantAdmitted(t, c, err, test.warned...)
			err = put(t, c, annotated(roles(admin), allowRemoval, test.allowance))
			if test.refused != nil {
				wantRefused(t, err, test.refused...)
				return
			}
			if err != nil {
				t.Errorf("the removal is refused: %v", err)
			}
		})
	}
}

// TestAllowRemoval: a change may remove the node roles that it names in the annotation allow-removal. The annotation doesn't allow
// other removals, faults or a deletion.
func TestAllowRemoval(t *testing.T) {
	const other = "arn:aws:iam::111122223333:role/Other"
	for _, test := range []struct {
		name        string
		stored, set string
		after       data
		refused     []string
		warned      []string
		counts      float64
	}{
		{"names the node role", "", nodeARN, roles(admin), nil, nil, 1},
		{"names two roles", "", other + ", " + nodeARN, roles(admin), nil, []string{"node-role-removed"}, 1},
		{"names another role", "", other, roles(admin), []string{"node-role-removed"}, nil, 0},
		{"names a part of the ARN", "", nodeARN[:len(nodeARN)-1], roles(admin), []string{"node-role-removed"}, nil, 0},
		{"stored earlier", nodeARN, nodeARN, roles(admin), []string{"node-role-removed"}, nil, 0},
		{"stored earlier for another role", other, nodeARN, roles(admin), nil, nil, 1},
		{"removed by the change", nodeARN, "", roles(admin), []string{"node-role-removed"}, nil, 0},
		{"not for an admin", "", nodeARN + "," + adminARN, roles(ci), []string{"protected-principal"}, nil, 1},
		{"not for a fault", "", nodeARN, roles(admin + strings.Replace(node, "role/", "role/eks/", 1)), []string{"role-path"}, nil, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			storeObject(t, annotated(base(), allowRemoval, test.stored))
			counts := overridden(t)
			user := developer(t)
			c := as(t, user)
			err := put(t, c, annotated(test.after, allowRemoval, test.set))
			if test.refused != nil {
				wantRefused(t, err, test.refused...)
				return
			}
			wantAdmitted(t, c, err, test.warned...)
			wantOverridden(t, &counts, 0, test.counts)
			wantAudited(t, user, "warn", strings.Join(test.warned, ","), "allow-removal: "+nodeARN)
		})
	}
	t.Run("is warned of", func(t *testing.T) {
		store(t, base())
		c := as(t, developer(t))
		if err := put(t, c, annotated(roles(admin), allowRemoval, nodeARN)); err != nil {
			t.Fatal(err)
		}
		wantWarned(t, c, nodeARN)
	})
	t.Run("by a service account", func(t *testing.T) {
		store(t, base())
		c := as(t, robot)
		wantAdmitted(t, c, put(t, c, annotated(roles(admin), allowRemoval, nodeARN)))
	})
	t.Run("set ahead of the change", func(t *testing.T) {
		store(t, base())
		c := as(t, developer(t))
		if err := put(t, c, annotated(base(), allowRemoval, nodeARN)); err != nil {
			t.Fatal(err)
		}
		wantRefused(t, put(t, c, annotated(roles(admin), allowRemoval, nodeARN)), "node-role-removed")
	})
	t.Run("not for a deletion", func(t *testing.T) {
		storeObject(t, annotated(base(), allowRemoval, nodeARN))
		wantForbidden(t, as(t, developer(t)).Delete(t.Context(), "aws-auth", metav1.DeleteOptions{}),
			"deleted", "last-admin", "node-role-removed", "protected-principal")
	})
}
