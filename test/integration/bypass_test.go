package integration_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	guardhistory "github.com/awsauth-guard/awsauth-guard/internal/history"
	"github.com/awsauth-guard/awsauth-guard/internal/live"
	"github.com/awsauth-guard/awsauth-guard/test/controlplane"
)

const bypassed = "awsauth_guard_bypassed_changes_total"

// Every way that a webhook sees is told apart, and what none sees is a bypass.
func TestHowItWasStored(t *testing.T) {
	g := newGuarded(t, base(), guardConfig, quick())
	replicas := g.run(t, 2)
	since := time.Now()

	admitted := roles(admin + node + ci)
	c := as(t, operator)
	if err := update(t.Context(), c, admitted); err != nil {
		t.Fatal(err)
	}
	g.wantNewest(t, 2*time.Second, guardhistory.Admitted, "operator", admitted)

	t.Run("what changes nothing is no version", func(t *testing.T) {
		before, err := g.log(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, dryRun := range [][]string{nil, {metav1.DryRunAll}} {
			content := admitted
			if dryRun != nil {
				content = base()
			}
			if _, err := c.Update(t.Context(), content.configMap(), metav1.UpdateOptions{DryRun: dryRun}); err != nil {
				t.Fatal(err)
			}
		}
		if err := patch(t.Context(), c, types.MergePatchType, map[string]any{"metadata": map[string]any{"labels": map[string]string{"a": "b"}}}, nil); err != nil {
			t.Fatal(err)
		}
		wantRefused(t, update(t.Context(), c, roles("[")), "node-role-removed", "protected-principal", "yaml-syntax")
		wantEvent(t, g, since, live.Rejected, "operator")
		observed := base()
		user := rest.ImpersonationConfig{UserName: "eks:node-manager"}
		if err := update(t.Context(), as(t, user), observed); err != nil {
			t.Fatal(err)
		}
		g.wantNewest(t, 2*time.Second, guardhistory.Observed, "eks:node-manager", observed)
		after, err := g.log(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n, m := len(before.Versions()), len(after.Versions()); m != n+1 {
			t.Errorf("%d versions have become %d: %s", n, m, summary(after))
		}
	})
	user := rest.ImpersonationConfig{UserName: "somebody", Groups: []string{"awsauth-guard:bypass", "system:masters"}}
	if err := update(t.Context(), as(t, user), admitted); err != nil {
		t.Fatal(err)
	}
	g.wantNewest(t, 2*time.Second, guardhistory.Observed, "somebody", admitted)

	broken := annotated(base(), breakGlass, "incident 4711")
	if err := put(t, as(t, onCall(t)), broken); err != nil {
		t.Fatal(err)
	}
	replicas[0].wantMetric(t, "awsauth_guard_break_glass_present", 1, 5*time.Second)
	wantEvent(t, g, since, live.Overridden, "break-glass")
	if got := sum(t.Context(), replicas, bypassed); got != 0 {
		t.Errorf("%v changes have bypassed the guard", got)
	}

	since = time.Now()
	lost := roles(node)
	begun := time.Now()
	g.around(t, lost, "kubectl-edit")
	for _, r := range replicas {
		r.wantMetric(t, "awsauth_guard_live_protected_missing", 1, 5*time.Second)
		r.wantMetric(t, `awsauth_guard_live_findings{rule="protected-principal",severity="deny"}`, 1, 5*time.Second)
		r.wantMetric(t, `awsauth_guard_live_entries{section="mapRoles"}`, 1, 5*time.Second)
		r.wantMetric(t, "awsauth_guard_live_admins", 1, 5*time.Second)
	}
	wantEvent(t, g, since, live.ProtectedPrincipalLost, "1 protected principal")
	wantEvent(t, g, since, live.Bypassed, "kubectl-edit")
	g.wantNewest(t, 10*time.Second, guardhistory.Bypassed, "", lost)
	t.Logf("a bypass after %s", time.Since(begun).Round(time.Millisecond))
	if got := sum(t.Context(), replicas, bypassed); got != 1 {
		t.Errorf("%v changes have bypassed the guard, want 1", got)
	}
	g.until(t, "the manager is known", time.Second, func(log *guardhistory.Log) error {
		v, _ := log.Newest()
		return missing(v.Manager != "kubectl-edit" || v.Summary.ProtectedMissing != 1 || v.Verdict != "deny", fmt.Sprintf("%+v", v))
	})
	remove(t)
	replicas[1].wantMetric(t, "awsauth_guard_live_present", 0, 5*time.Second)
	g.until(t, "the deletion bypassed", 10*time.Second, func(log *guardhistory.Log) error {
		v, _ := log.Newest()
		return missing(!v.Absent || v.How != guardhistory.Bypassed, "it has not")
	})
}

// hurried edits aws-auth by many writers at a time.
func hurried(t *testing.T, edits, writers int) {
	t.Helper()
	var running sync.WaitGroup
	errs := make(chan error, writers)
	for w := range writers {
		c := as(t, rest.ImpersonationConfig{UserName: "writer-" + strconv.Itoa(w)})
		running.Go(func() {
			for i := range edits / writers {
				entry := fmt.Sprintf("- userarn: arn:aws:iam::111122223333:user/u-%d-%d\n  username: u\n  groups:\n  - viewers\n", w, i)
				// The API server tries a patch again where another one was faster, and asks again.
				err := controlplane.Poll(t.Context(), func(ctx context.Context) error {
					return patch(ctx, c, types.MergePatchType, map[string]any{"data": map[string]string{"mapUsers": alice + entry}}, nil)
				})
				if err != nil {
					errs <- err
					return
				}
			}
		})
	}
	running.Wait()
	select {
	case err := <-errs:
		t.Fatal(err)
	default:
	}
}

// Many at once, whom two replicas review, some several times: none of them has bypassed the guard.
func TestManyEdits(t *testing.T) {
	g := newGuarded(t, base(), guardConfig, quick())
	replicas := g.run(t, 2)
	begun := time.Now()
	hurried(t, 500, 10)
	t.Logf("500 edits by 10 writers in %s", time.Since(begun).Round(time.Millisecond))
	g.until(t, "all are decided", 20*time.Second, func(log *guardhistory.Log) error {
		versions := log.Versions()
		if len(versions) != 10 {
			return fmt.Errorf("there are %d versions", len(versions))
		}
		if newest := versions[9]; newest.Number != 501 {
			return fmt.Errorf("the newest has the number %d", newest.Number)
		}
		for i := range versions {
			if versions[i].How != guardhistory.Admitted {
				return errors.New("one is not admitted")
			}
		}
		return nil
	})
	// Those that nobody has matched would be counted by now.
	marker := time.Now()
	until(t, "the last ones are certain", 10*time.Second, func(context.Context) error {
		return missing(time.Since(marker) < 4*time.Second, "not yet")
	})
	if got := sum(t.Context(), replicas, bypassed); got != 0 {
		t.Errorf("%v of them have bypassed the guard", got)
	}
	if got := sum(t.Context(), replicas, "awsauth_guard_history_errors_total"); got != 0 {
		t.Errorf("%v errors of the history", got)
	}
}

// The leader goes while edits go on, one after the other: each is in the history once, in order. One that is
// killed takes the word with it that it has admitted the last ones: they count as bypassed, and no others.
func TestLeaderGoes(t *testing.T) {
	const edits, goes = 60, 20
	for _, test := range []struct {
		name  string
		way   func(*replica)
		tells bool // what it has admitted
	}{
		{"it ends", func(r *replica) { r.stop() }, true},
		{"it is killed", (*replica).kill, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := newGuarded(t, base(), guardConfig+"history: {versions: 100}\n", quick())
			replicas := g.run(t, 2)
			leads, follows := lead(t, replicas)
			c := as(t, operator)
			content := func(i int) data {
				return roles(admin + node + strings.Replace(ci, "role/CI", "role/CI-"+strconv.Itoa(i), 1))
			}
			var begun, gone atomic.Int32 // edits: all, and those that it may have been asked about
			for i := range edits {
				if i == goes {
					go func() {
						test.way(leads)
						gone.Store(begun.Load())
					}()
				}
				begun.Add(1)
				err := controlplane.Poll(t.Context(), func(ctx context.Context) error { return update(ctx, c, content(i)) })
				if err != nil {
					t.Fatal(err)
				}
			}
			var untold int
			g.until(t, "every edit is in the history", 40*time.Second, func(log *guardhistory.Log) error {
				versions := log.Versions()
				if len(versions) != edits+1 {
					return fmt.Errorf("there are %d versions", len(versions))
				}
				untold = 0
				for i, v := range versions[1:] {
					switch {
					case v.Number != i+2 || !maps.Equal(v.Data, content(i)):
						return fmt.Errorf("version %d is not edit %d", v.Number, i)
					case !test.tells && v.How == guardhistory.Bypassed && i < int(gone.Load()):
						untold++
					case v.How != guardhistory.Admitted:
						return fmt.Errorf("version %d is %s", v.Number, v.How)
					}
				}
				return nil
			})
			t.Logf("%d of %d edits are untold", untold, edits)
			follows.wantMetric(t, "awsauth_guard_leader", 1, 10*time.Second)
			follows.wantMetric(t, bypassed, float64(untold), time.Second)
		})
	}
}

// A replica that is restarted finds what it knows.
func TestRestarted(t *testing.T) {
	g := newGuarded(t, base(), guardConfig, quick())
	first := g.run(t, 1)[0]
	admitted := roles(admin + node + ci)
	c := as(t, operator)
	if err := update(t.Context(), c, admitted); err != nil {
		t.Fatal(err)
	}
	g.wantNewest(t, 5*time.Second, guardhistory.Admitted, "operator", admitted)
	if err := patch(t.Context(), c, types.MergePatchType, map[string]any{"metadata": map[string]any{"labels": map[string]string{"a": "b"}}}, nil); err != nil {
		t.Fatal(err)
	}
	first.stop()
	second := g.start(t)
	second.wantMetric(t, "awsauth_guard_leader", 1, 15*time.Second)
	until(t, "it says that it keeps the history", 5*time.Second, func(context.Context) error {
		return missing(len(second.lines("this replica keeps the history of aws-auth")) == 0, "it does not")
	})
	g.asked(t)
	other := base()
	if err := update(t.Context(), c, other); err != nil {
		t.Fatal(err)
	}
	g.wantNewest(t, 5*time.Second, guardhistory.Admitted, "operator", other)
	log, err := g.log(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := len(log.Versions()); got != 3 {
		t.Errorf("%d versions, want 3: %s", got, summary(log))
	}
	second.wantMetric(t, bypassed, 0, time.Second)

	second.stop()
	meanwhile := roles(admin + node)
	meanwhile["mapUsers"] = alice + strings.Replace(alice, "people/alice", "bob", 1)
	g.unregister(t)
	g.notAsked(t)
	g.write(t, meanwhile, "kubectl-edit")
	g.start(t)
	g.wantNewest(t, 20*time.Second, guardhistory.Found, "", meanwhile)
}
