package integration_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	guardhistory "github.com/awsauth-guard/awsauth-guard/internal/history"
	"github.com/awsauth-guard/awsauth-guard/internal/kube"
	"github.com/awsauth-guard/awsauth-guard/test/controlplane"
)

const bypassed = "awsauth_guard_bypassed_changes_total"

// The history has the origin of each version. If the guard didn't review a change, its origin is a bypass only if the guard would
// have refused the change. Every replica exposes the stored version in its metrics.
func TestHistoryHasOriginOfEachVersion(t *testing.T) {
	g := newGuarded(t, base(), guardConfig, quick())
	replicas := g.run(t, 2)
	since := time.Now()

	admitted := roles(admin + node + ci)
	c := as(t, operator)
	if err := update(t.Context(), c, admitted); err != nil {
		t.Fatal(err)
	}
	g.wantNewest(t, 2*time.Second, guardhistory.Changed, "", admitted)

	t.Run("a request that stores no other content is no version", func(t *testing.T) {
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
		wantEvent(t, g, since, kube.Rejected, "operator")
		next := base()
		if err := update(t.Context(), as(t, rest.ImpersonationConfig{UserName: "eks:node-manager"}), next); err != nil {
			t.Fatal(err)
		}
		g.wantNewest(t, 2*time.Second, guardhistory.Changed, "", next)
		after, err := g.log(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n, m := len(before.Versions()), len(after.Versions()); m != n+1 {
			t.Errorf("the history has %d versions, want %d: %s", m, n+1, summary(after))
		}
	})

	broken := annotated(roles(node), breakGlass, "incident 4711")
	if err := put(t, as(t, onCall(t)), broken); err != nil {
		t.Fatal(err)
	}
	g.wantNewest(t, 2*time.Second, guardhistory.Overridden, "", roles(node))
	for _, r := range replicas {
		r.wantMetric(t, "awsauth_guard_break_glass_present", 1, 5*time.Second)
	}
	wantEvent(t, g, since, kube.Overridden, "break-glass")

	harmless := base()
	g.bypass(t, harmless)
	g.wantNewest(t, 5*time.Second, guardhistory.Changed, "kubectl-edit", harmless)
	if got := sum(t.Context(), replicas, bypassed); got != 0 {
		t.Errorf("%v changes have bypassed the guard", got)
	}

	since = time.Now()
	lost := roles(node)
	g.write(t, lost, "kubectl-replace")
	for _, r := range replicas {
		r.wantMetric(t, "awsauth_guard_live_protected_missing", 1, 5*time.Second)
		r.wantMetric(t, `awsauth_guard_live_findings{rule="protected-principal",severity="deny"}`, 1, 5*time.Second)
		r.wantMetric(t, `awsauth_guard_live_entries{section="mapRoles"}`, 1, 5*time.Second)
		r.wantMetric(t, "awsauth_guard_live_admins", 1, 5*time.Second)
	}
	wantEvent(t, g, since, kube.ProtectedPrincipalLost, "1 protected principal")
	wantEvent(t, g, since, kube.Bypassed, "kubectl-replace")
	g.wantNewest(t, 5*time.Second, guardhistory.Bypassed, "kubectl-replace", lost)
	t.Logf("a bypass is in the history after %s", time.Since(since).Round(time.Millisecond))
	if got := sum(t.Context(), replicas, bypassed); got != 1 {
		t.Errorf("%v changes have bypassed the guard, want 1", got)
	}
	g.until(t, "the version says what was lost", time.Second, func(log *guardhistory.Log) error {
		v, _ := log.Newest()
		return errorIf(strings.Join(v.Lost, " ") != "protected-principal" || v.Summary.ProtectedMissing != 1 || v.Verdict != "deny", fmt.Sprintf("%+v", v))
	})
	remove(t)
	replicas[1].wantMetric(t, "awsauth_guard_live_present", 0, 5*time.Second)
	g.until(t, "the deletion bypassed the guard", 5*time.Second, func(log *guardhistory.Log) error {
		v, _ := log.Newest()
		return errorIf(!v.Deleted || v.Origin != guardhistory.Bypassed, "it has not")
	})
}

// editConcurrently lets several writers edit aws-auth at the same time. edits is the total number of edits.
func editConcurrently(t *testing.T, edits, writers int) {
	t.Helper()
	var running sync.WaitGroup
	errs := make(chan error, writers)
	for w := range writers {
		c := as(t, rest.ImpersonationConfig{UserName: "writer-" + strconv.Itoa(w)})
		running.Go(func() {
			for i := range edits / writers {
				entry := fmt.Sprintf("- userarn: arn:aws:iam::111122223333:user/u-%d-%d\n  username: u\n  groups:\n  - viewers\n", w, i)
				// A writer's request can conflict with another writer's. Then the API server applies the patch again,
				// and calls the webhook again.
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

// Many quick edits that the guard admits don't count as bypasses. The history has the ten newest versions.
func TestManyEditsAreNoBypass(t *testing.T) {
	g := newGuarded(t, base(), guardConfig, quick())
	replicas := g.run(t, 2)
	begun := time.Now()
	editConcurrently(t, 500, 10)
	t.Logf("500 edits by 10 writers in %s", time.Since(begun).Round(time.Millisecond))
	g.until(t, "the history has the newest", 20*time.Second, func(log *guardhistory.Log) error {
		versions := log.Versions()
		if len(versions) != 10 {
			return fmt.Errorf("there are %d versions", len(versions))
		}
		if newest := versions[9]; newest.Number != 501 || newest.ResourceVersion != stored(t).ResourceVersion {
			return fmt.Errorf("the newest has the number %d", newest.Number)
		}
		for i := range versions {
			if versions[i].Origin != guardhistory.Changed {
				return fmt.Errorf("the origin of version %d is %s", versions[i].Number, versions[i].Origin)
			}
		}
		return nil
	})
	for _, series := range []string{bypassed, "awsauth_guard_history_errors_total"} {
		if got := sum(t.Context(), replicas, series); got != 0 {
			t.Errorf("%s is %v", series, got)
		}
	}
}

// While a client makes edits, the leader ends or is killed. The history still has each edit once and in order. The new leader
// counts no edit as a bypass.
func TestHistoryIsCompleteIfLeaderEnds(t *testing.T) {
	const edits, endsAt = 60, 20 // the leader ends during the edit with the number endsAt
	for name, end := range map[string]func(*replica){"it ends": func(r *replica) { r.stop() }, "it is killed": (*replica).kill} {
		t.Run(name, func(t *testing.T) {
			g := newGuarded(t, base(), guardConfig+"history: {versions: 100}\n", quick())
			replicas := g.run(t, 2)
			leads, follows := lead(t, replicas)
			c := as(t, operator)
			content := func(i int) data {
				return roles(admin + node + strings.Replace(ci, "role/CI", "role/CI-"+strconv.Itoa(i), 1))
			}
			for i := range edits {
				if i == endsAt {
					go end(leads)
				}
				err := controlplane.Poll(t.Context(), func(ctx context.Context) error { return update(ctx, c, content(i)) })
				if err != nil {
					t.Fatal(err)
				}
			}
			g.until(t, "every edit is in the history", 40*time.Second, func(log *guardhistory.Log) error {
				versions := log.Versions()
				if len(versions) != edits+1 {
					return fmt.Errorf("there are %d versions", len(versions))
				}
				for i, v := range versions[1:] {
					if v.Number != i+2 || !maps.Equal(v.Data, content(i)) || v.Origin != guardhistory.Changed {
						return fmt.Errorf("version %d is %s, and not edit %d", v.Number, v.Origin, i)
					}
				}
				return nil
			})
			follows.wantMetric(t, "awsauth_guard_leader", 1, 10*time.Second)
			follows.wantMetric(t, bypassed, 0, time.Second)
		})
	}
}

// A bypass counts once, even if it happens while no replica leads. If the previous leader has counted a bypass, a new
// leader doesn't count it again.
func TestBypassWithoutLeaderCountsOnce(t *testing.T) {
	g := newGuarded(t, base(), guardConfig, quick())
	replicas := g.run(t, 2)
	leads, follows := lead(t, replicas)
	first, second := roles(admin+ci), roles(ci)
	g.bypass(t, first)
	g.wantNewest(t, 5*time.Second, guardhistory.Bypassed, "kubectl-edit", first)
	leads.wantMetric(t, bypassed, 1, time.Second)
	leads.kill()
	g.write(t, second, "kubectl-edit")
	g.wantNewest(t, 20*time.Second, guardhistory.Bypassed, "kubectl-edit", second)
	follows.wantMetric(t, bypassed, 1, 5*time.Second)
}

// A restarted replica continues the history. It appends the versions that were stored while it did not run, in their order. It
// reads them from the API server, and evaluates them to find their origins.
func TestHistoryIsCompleteAfterRestart(t *testing.T) {
	g := newGuarded(t, base(), guardConfig, quick())
	first := g.run(t, 1)[0]
	admitted := roles(admin + node + ci)
	c := as(t, operator)
	if err := update(t.Context(), c, admitted); err != nil {
		t.Fatal(err)
	}
	g.wantNewest(t, 5*time.Second, guardhistory.Changed, "", admitted)
	if err := patch(t.Context(), c, types.MergePatchType, map[string]any{"metadata": map[string]any{"labels": map[string]string{"a": "b"}}}, nil); err != nil {
		t.Fatal(err)
	}
	first.stop()
	second := g.start(t)
	second.wantMetric(t, "awsauth_guard_leader", 1, 15*time.Second)
	g.wantCalled(t)
	other := base()
	if err := update(t.Context(), c, other); err != nil {
		t.Fatal(err)
	}
	g.wantNewest(t, 5*time.Second, guardhistory.Changed, "", other)
	log, err := g.log(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := len(log.Versions()); got != 3 {
		t.Errorf("%d versions, want 3: %s", got, summary(log))
	}
	second.wantMetric(t, bypassed, 0, time.Second)

	second.stop()
	g.bypass(t, base().with("mapUsers", alice+strings.Replace(alice, "people/alice", "bob", 1)))
	g.write(t, roles(node), "kubectl-replace")
	third := g.start(t)
	g.until(t, "the history has both versions", 20*time.Second, func(log *guardhistory.Log) error {
		versions := log.Versions()
		if len(versions) != 5 {
			return errors.New("it has not")
		}
		return errorIf(versions[3].Origin != guardhistory.Changed || versions[4].Origin != guardhistory.Bypassed, "the two newest versions have other origins")
	})
	third.wantMetric(t, bypassed, 1, 5*time.Second)
}
