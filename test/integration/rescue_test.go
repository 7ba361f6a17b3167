package integration_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	guardhistory "github.com/awsauth-guard/awsauth-guard/internal/history"
	"github.com/awsauth-guard/awsauth-guard/internal/live"
	"github.com/awsauth-guard/awsauth-guard/internal/server"
)

const (
	rescuing     = guardConfig + "restore: {enabled: true}\n"
	restoredOnes = `awsauth_guard_restores_total{result="restored"}`
	limitedOnes  = `awsauth_guard_restores_total{result="limited"}`
)

// wantStored waits until d is stored.
func wantStored(t *testing.T, d data, within time.Duration) {
	t.Helper()
	until(t, "the map is back", within, func(context.Context) error {
		return missing(!maps.Equal(stored(t).Data, d), "it is not")
	})
}

// untouched waits until the loss is certain and was decided about, and the log gives this reason for leaving it.
func (g *guarded) untouched(t *testing.T, replicas []*replica, reason string) {
	t.Helper()
	lost := stored(t).Data
	until(t, "the log says why it is left alone: "+reason, 30*time.Second, func(context.Context) error {
		for _, r := range replicas {
			if lines := r.lines("what aws-auth has lost is not put back"); len(lines) > 0 {
				return missing(lines[0]["err"] != reason, fmt.Sprint(lines[0]["err"]))
			}
		}
		return errors.New("it does not")
	})
	if got := stored(t).Data; !maps.Equal(got, lost) {
		t.Errorf("it is put back: %v", got)
	}
	if got := sum(t.Context(), replicas, restoredOnes); got != 0 {
		t.Errorf("%v versions are put back", got)
	}
}

// What is lost on a way around the guard is put back, three times an hour.
func TestRescue(t *testing.T) {
	g := newGuarded(t, base(), rescuing, quick())
	replicas := g.run(t, 2)
	good := roles(admin + node + ci)
	if err := update(t.Context(), as(t, operator), good); err != nil {
		t.Fatal(err)
	}
	g.wantNewest(t, 5*time.Second, guardhistory.Admitted, "operator", good)
	if err := patchLabels(t, "keep"); err != nil {
		t.Fatal(err)
	}
	aged(t)
	for i, lost := range []data{roles(node), roles(admin), nil} {
		begun := time.Now()
		if lost == nil {
			remove(t)
		} else {
			g.around(t, lost, "kubectl-edit")
		}
		wantStored(t, good, 15*time.Second)
		t.Logf("back after %s", time.Since(begun).Round(time.Millisecond))
		wantEvent(t, g, begun, live.Restored, "is stored again")
		g.wantNewest(t, 5*time.Second, guardhistory.Restored, "system:anonymous", good)
		if lost != nil && stored(t).Labels["keep"] != "keep" {
			t.Error("its labels are gone")
		}
		if got := sum(t.Context(), replicas, restoredOnes); got != float64(i+1) {
			t.Errorf("%v versions are put back, want %d", got, i+1)
		}
	}
	g.write(t, roles(node), "kubectl-edit")
	until(t, "the limit holds", 15*time.Second, func(ctx context.Context) error {
		return missing(sum(ctx, replicas, limitedOnes) != 1, "it does not")
	})
	if got := stored(t).Data; !maps.Equal(got, roles(node)) {
		t.Errorf("it is put back: %v", got)
	}
	if got := sum(t.Context(), replicas, bypassed); got != 4 {
		t.Errorf("%v changes have bypassed the guard, want 4", got)
	}
}

// The webhook is asked again before it is certain that it was not, and what stood before has a fault that is new
// against what is stored: the guard does not refuse itself, and nobody else gets it stored.
func TestRescueIsNotRefused(t *testing.T) {
	faulty := roles(admin + node + "- rolearn: arn:aws:sts::111122223333:assumed-role/CI/x\n  username: ci\n")
	g := newGuarded(t, faulty, rescuing, quick())
	configure(t, guardConfig+"mode: warn\n") // the webhook of the other tests, which is another one's to the guard
	g.run(t, 2)
	aged(t)
	g.around(t, roles(node), "kubectl-edit")
	g.registerChart(t, nil)
	g.asked(t)
	wantRefused(t, update(t.Context(), as(t, operator), faulty), "assumed-role-arn")
	wantStored(t, faulty, 15*time.Second)
	g.wantNewest(t, 5*time.Second, guardhistory.Restored, "system:anonymous", faulty)
}

// aged waits until the replicas have been up for longer than clocks may differ.
func aged(t *testing.T) {
	t.Helper()
	begun := time.Now()
	until(t, "the replicas are up for a while", 10*time.Second, func(context.Context) error {
		return missing(time.Since(begun) < 5500*time.Millisecond, "not yet")
	})
}

func patchLabels(t *testing.T, label string) error {
	t.Helper()
	cm := stored(t)
	cm.Labels = map[string]string{label: label}
	_, err := fixture(t).Update(t.Context(), cm, metav1.UpdateOptions{})
	return err
}

// Where somebody may mean it, or the guard may not have been asked for other reasons, nothing is put back.
func TestNoRescue(t *testing.T) {
	for _, test := range []struct {
		name, reason string
		do           func(t *testing.T, g *guarded, replicas []*replica)
	}{
		{"EKS has removed a node role", "EKS has written it, as vpcLambda", func(t *testing.T, g *guarded, _ []*replica) {
			t.Helper()
			g.around(t, roles(admin), "vpcLambda")
		}},
		{"break-glass", "aws-auth has the annotation that breaks the glass", func(t *testing.T, g *guarded, _ []*replica) {
			t.Helper()
			g.unregister(t)
			g.notAsked(t)
			if _, err := fixture(t).Update(t.Context(), annotated(roles(node), breakGlass, "incident 4711"), metav1.UpdateOptions{FieldManager: "kubectl-edit"}); err != nil {
				t.Fatal(err)
			}
		}},
		{"a replica was restarted", "the replica replica-2: it has started since, or anew", func(t *testing.T, g *guarded, replicas []*replica) {
			t.Helper()
			leads, follows := lead(t, replicas)
			if leads != replicas[0] {
				t.Fatal("the first replica does not lead")
			}
			follows.stop()
			g.started.Add(-1) // it comes back under the same name
			again := g.start(t)
			again.wantReady(t, 10*time.Second)
			g.around(t, roles(node), "kubectl-edit")
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := newGuarded(t, base(), rescuing, quick())
			replicas := g.run(t, 2)
			aged(t)
			test.do(t, g, replicas)
			g.untouched(t, replicas, test.reason)
		})
	}
}

// The API server was out of reach when it happened.
func TestNoRescueAfterGap(t *testing.T) {
	g := newGuarded(t, base(), rescuing, quick())
	l := newLink(t)
	own := g.adjust
	g.adjust = func(o *server.Options) { own(o); o.Kubeconfig = l.kubeconfig(t, &clientcmdapi.AuthInfo{}) }
	replicas := g.run(t, 1)
	aged(t)
	g.unregister(t)
	g.notAsked(t)
	l.interrupt()
	g.write(t, roles(node), "kubectl-edit")
	l.resume(t)
	replicas[0].wantMetric(t, "awsauth_guard_live_protected_missing", 1, 15*time.Second)
	replicas[0].wantMetric(t, "awsauth_guard_leader", 1, 15*time.Second)
	replicas[0].wantMetric(t, bypassed, 1, 15*time.Second)
	g.untouched(t, replicas, "the replica replica-1: it may not have been up for the API server all the time")
}

// With the times that are in use: 30 s until it is certain, and the map is back within 45 s.
func TestRescueInTime(t *testing.T) {
	g := newGuarded(t, base(), rescuing, live.DefaultTiming())
	g.registerChart(t, nil)
	replicas := []*replica{g.start(t), g.start(t)}
	for _, r := range replicas {
		r.wantReady(t, 10*time.Second)
		r.wantMetric(t, "awsauth_guard_enforced", 1, 10*time.Second)
	}
	g.asked(t)
	good := roles(admin + node + ci)
	if err := update(t.Context(), as(t, operator), good); err != nil {
		t.Fatal(err)
	}
	g.wantNewest(t, 10*time.Second, guardhistory.Admitted, "operator", good)
	aged(t)
	begun := time.Now()
	g.around(t, data{"mapRoles": "[]\n"}, "kubectl-edit")
	wantStored(t, good, 45*time.Second)
	t.Logf("back after %s", time.Since(begun).Round(time.Millisecond))
}
