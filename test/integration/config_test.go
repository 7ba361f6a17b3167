package integration_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/awsauth-guard/awsauth-guard/test/controlplane"
)

// configured is the last valid configuration that the webhook loaded.
var configured = guardConfig

// configure makes the running webhook use a configuration until the test ends.
func configure(t *testing.T, config string) {
	t.Helper()
	reconfigure(t.Context(), t, config)
	t.Cleanup(func() { reconfigure(context.Background(), t, guardConfig) })
}

func reconfigure(ctx context.Context, t *testing.T, config string) {
	t.Helper()
	if config == configured {
		return // the webhook doesn't load an unchanged file
	}
	configured = config
	const generation = "awsauth_guard_config_generation"
	before := metricFor(ctx, t, generation)
	if err := webhook.Configure(config); err != nil {
		t.Fatal(err)
	}
	eventually(ctx, t, "the configuration is in use", func() bool { return metricFor(ctx, t, generation) == before+1 })
}

// eventually waits until holds returns true. It fails the test after 30 s, ten times the usual wait.
func eventually(ctx context.Context, t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := controlplane.Poll(ctx, func(context.Context) error {
		if !holds() {
			return errors.New("not yet")
		}
		return nil
	}); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// A change may remove the entries of principals that have an access entry, even those of the last admin, a node role or a
// protected principal. It may even remove all entries or delete aws-auth, if every principal has an access entry. Without an
// access entry, the guard refuses these removals.
func TestEntriesMayBeRemovedOnlyWithAccessEntry(t *testing.T) {
	const bob = "- userarn: arn:aws:iam::111122223333:user/bob\n  username: bob\n  groups:\n  - system:masters\n"
	asAlice := rest.ImpersonationConfig{
		UserName: "alice", Groups: []string{"system:masters"},
		Extra: map[string][]string{"canonicalArn": {aliceARN}, "arn": {aliceARN}},
	}
	lastAdmin := data{"mapRoles": ci + node, "mapUsers": alice}

	// The configuration doesn't name the access entry yet.
	c := as(t, operator)
	store(t, lastAdmin)
	wantRefused(t, update(t.Context(), c, lastAdmin.with("mapUsers", "")), "last-admin")

	configure(t, guardConfig+"accessEntries: ["+aliceARN+"]\n")
	for _, test := range []struct {
		name          string
		user          rest.ImpersonationConfig
		before, after data
		refused       []string
	}{
		{"the last admin", operator, lastAdmin, lastAdmin.with("mapUsers", ""), nil},
		{"the last admin, by the same admin", asAlice, lastAdmin, lastAdmin.with("mapUsers", ""), nil},
		{"another last admin, who has no access entry", operator, lastAdmin.with("mapUsers", bob), lastAdmin.with("mapUsers", ""), []string{"last-admin"}},
		{"the last admin, and a node role that has no access entry", operator, lastAdmin, data{"mapRoles": ci}, []string{"node-role-removed"}},
		{"the last admin, and a protected admin who has no access entry", operator, base(), data{"mapRoles": node}, []string{"protected-principal"}},
		{"every entry, of which one principal has an access entry", operator, lastAdmin, data{"mapRoles": "[]"}, []string{"emptied", "node-role-removed"}},
		{"the only entry", operator, data{"mapUsers": alice}, data{"mapUsers": ""}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			store(t, test.before)
			c := as(t, test.user)
			err := update(t.Context(), c, test.after)
			if test.refused != nil {
				wantRefused(t, err, test.refused...)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
		})
	}

	configure(t, guardConfig+"accessEntries: ["+aliceARN+", "+adminARN+", "+nodeARN+"]\n")
	c = as(t, operator)
	del := func() error { return c.Delete(t.Context(), "aws-auth", metav1.DeleteOptions{}) }
	t.Run("emptied", func(t *testing.T) {
		store(t, base())
		wantAdmitted(t, c, update(t.Context(), c, data{"mapRoles": "[]\n"}))
		store(t, roles(admin+node+ci))
		wantRefused(t, update(t.Context(), c, data{"mapRoles": "[]\n"}), "emptied")
	})
	t.Run("deleted", func(t *testing.T) {
		store(t, base())
		wantAdmitted(t, c, del())
		store(t, roles(admin+node+ci))
		wantForbidden(t, del(), "deleted")
	})
}

// TestModeWarnRefusesNoChange: in mode warn the guard refuses no change. It counts the changes that it would refuse in
// mode enforce.
func TestModeWarnRefusesNoChange(t *testing.T) {
	configure(t, guardConfig+"mode: warn\n")
	would := func(rule string) string {
		return fmt.Sprintf("awsauth_guard_would_deny_total{dry_run=\"false\",rule=%q}", rule)
	}
	const rejected = `awsauth_guard_rejections_total{dry_run="false",operation="UPDATE",rule="node-role-removed"}`
	before, refusedBefore := metric(t, would("node-role-removed")), metric(t, rejected)
	user := developer(t)
	c := as(t, user)

	store(t, base())
	wantAdmitted(t, c, update(t.Context(), c, roles("[")), "node-role-removed", "protected-principal", "yaml-syntax")
	wantAudited(t, user, "warn", "node-role-removed,protected-principal,yaml-syntax", "")
	store(t, base())
	wantAdmitted(t, c, c.Delete(t.Context(), "aws-auth", metav1.DeleteOptions{}), "deleted", "last-admin", "node-role-removed", "protected-principal")
	if got := metric(t, would("node-role-removed")) - before; got != 2 {
		t.Errorf("would_deny rose by %v, want 2", got)
	}
	if got := metric(t, rejected) - refusedBefore; got != 0 {
		t.Errorf("rejections rose by %v, want 0", got)
	}

	store(t, base())
	denied, counts := metric(t, would("break-glass-denied")), overridden(t)
	wantAdmitted(t, c, put(t, c, annotated(roles(admin), breakGlass, "please")), "break-glass-denied", "node-role-removed")
	if got := metric(t, would("break-glass-denied")) - denied; got != 1 {
		t.Errorf("would_deny of break-glass-denied rose by %v, want 1", got)
	}
	wantOverridden(t, &counts, 0, 0)
}

// TestRuleSeverities: the configured severities of rules replace their defaults.
func TestRuleSeverities(t *testing.T) {
	configure(t, guardConfig+"rules:\n  node-role-removed: off\n  role-path: warn\noverrides: {groups: [platform]}\n")
	path := strings.Replace(ci, "role/CI", "role/team/CI", 1)
	c := as(t, operator)

	store(t, base())
	wantAdmitted(t, c, update(t.Context(), c, roles(admin)))
	store(t, base())
	wantAdmitted(t, c, update(t.Context(), c, roles(admin+node+path)), "role-path")
	store(t, base())
	wantRefused(t, update(t.Context(), c, roles(node)), "protected-principal")
	wantRefused(t, update(t.Context(), c, roles("[")), "protected-principal", "yaml-syntax")

	// The configured override groups replace the default.
	broken := annotated(roles("["), breakGlass, "incident 4711")
	wantRefused(t, put(t, as(t, onCall(t)), broken), "break-glass-denied", "protected-principal", "yaml-syntax")
	c = as(t, rest.ImpersonationConfig{UserName: "platform", Groups: []string{"platform"}})
	wantAdmitted(t, c, put(t, c, broken), "protected-principal", "yaml-syntax")
}

// TestInvalidConfigurationIsNotLoaded: the running webhook loads a valid configuration, and keeps it if the next
// configuration is invalid.
func TestInvalidConfigurationIsNotLoaded(t *testing.T) {
	const failures = `awsauth_guard_config_reloads_total{result="failure"}`
	c := as(t, operator)
	withoutAlice := base().with("mapUsers", "")

	store(t, base())
	wantAdmitted(t, c, update(t.Context(), c, withoutAlice), "lost-section")
	configure(t, guardConfig+"  - {arn: '"+aliceARN+"', groups: [system:masters]}\n")
	store(t, base())
	wantRefused(t, update(t.Context(), c, withoutAlice), "protected-principal")

	// The webhook keeps its configuration if the new one has an error.
	generation := metric(t, "awsauth_guard_config_generation")
	for _, bad := range []string{guardConfig + "protekted: []\n", ""} {
		before := metric(t, failures)
		if err := webhook.Configure(bad); err != nil {
			t.Fatal(err)
		}
		eventually(t.Context(), t, "the bad configuration is refused", func() bool { return metric(t, failures) == before+1 })
		wantRefused(t, update(t.Context(), c, withoutAlice), "protected-principal")
		if got := metric(t, "awsauth_guard_config_generation"); got != generation {
			t.Errorf("generation %v is in use, want %v", got, generation)
		}
	}
	ready, err := webhook.Get(t.Context(), webhook.Ready+"?verbose")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(ready, fmt.Sprintf("generation %v in use", generation)) || !strings.Contains(ready, "refused") {
		t.Errorf("/readyz?verbose does not say which configuration is in use:\n%s", ready)
	}
}
