package integration_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/retry"

	guardhistory "github.com/awsauth-guard/awsauth-guard/internal/history"
	"github.com/awsauth-guard/awsauth-guard/internal/kube"
)

const (
	restoring      = guardConfig + "restore: {enabled: true}\n"
	restoredSeries = `awsauth_guard_restores_total{result="restored"}`
	limitedSeries  = `awsauth_guard_restores_total{result="limited"}`
	// restoredWithin is the longest time between a loss and its restore on an idle machine.
	restoredWithin = 15 * time.Second
	otherNode      = "- rolearn: arn:aws:iam::111122223333:role/OtherNode\n  username: system:node:{{EC2PrivateDNSName}}\n  groups:\n  - system:bootstrappers\n  - system:nodes\n"
)

// wantStored waits until the stored aws-auth has the data d, and logs how long this took.
func wantStored(t *testing.T, d data) {
	t.Helper()
	begun := time.Now()
	until(t, "the last good version is stored", restoredWithin, func(context.Context) error {
		return errorIf(!maps.Equal(stored(t).Data, d), "it is not")
	})
	t.Logf("stored after %s", time.Since(begun).Round(time.Millisecond))
}

// wantUntouched waits for 10 s. A leader restores within 8 s (maxSettleTime of internal/restore) and the time of the write. Then
// wantUntouched checks that aws-auth still has the data d, and that no replica has restored a version.
func wantUntouched(t *testing.T, replicas []*replica, d data) {
	t.Helper()
	begun := time.Now()
	until(t, "a restore would have been made", restoredWithin, func(context.Context) error {
		return errorIf(time.Since(begun) < 10*time.Second, "not yet")
	})
	if got := stored(t).Data; !maps.Equal(got, d) {
		t.Errorf("the stored data is %v, want %v", got, d)
	}
	if got := sum(t.Context(), replicas, restoredSeries); got != 0 {
		t.Errorf("%v versions were restored", got)
	}
}

// wantReadyToRestore waits until a replica is ready to restore.
func wantReadyToRestore(t *testing.T, replicas []*replica) {
	t.Helper()
	until(t, "a replica is ready to restore", 15*time.Second, func(ctx context.Context) error {
		return errorIf(sum(ctx, replicas, "awsauth_guard_restore_ready") != 1, "none is")
	})
}

// The leader restores aws-auth after a protected principal or the last node role was removed, and after aws-auth was deleted, if
// the change bypassed the guard. It keeps the labels. After the limit of restores per hour, it restores no more, and isn't ready
// to restore.
func TestRestore(t *testing.T) {
	g := newGuarded(t, base(), restoring, quick())
	replicas := g.run(t, 2)
	good := roles(admin + node + ci)
	if err := update(t.Context(), as(t, operator), good); err != nil {
		t.Fatal(err)
	}
	g.wantNewest(t, 5*time.Second, guardhistory.Changed, "", good)
	if err := patchLabels(t, "keep"); err != nil {
		t.Fatal(err)
	}
	wantReadyToRestore(t, replicas)
	for i, lost := range []data{roles(node), roles(admin), nil} {
		begun := time.Now()
		if lost == nil {
			remove(t)
		} else {
			g.bypass(t, lost)
		}
		wantStored(t, good)
		wantEvent(t, g, begun, kube.Restored, "restored the last good aws-auth")
		g.wantNewest(t, 5*time.Second, guardhistory.Restored, "awsauth-guard", good)
		if lost != nil && stored(t).Labels["keep"] != "keep" {
			t.Error("the restored aws-auth lacks the labels")
		}
		if got := sum(t.Context(), replicas, restoredSeries); got != float64(i+1) {
			t.Errorf("%v versions were restored, want %d", got, i+1)
		}
	}
	g.write(t, data{"mapRoles": "[]\n"}, "kubectl-edit")
	until(t, "the leader reports that the limit prevents a restore", restoredWithin, func(ctx context.Context) error {
		return errorIf(sum(ctx, replicas, limitedSeries) != 1, "it does not")
	})
	if got := stored(t).Data; !maps.Equal(got, data{"mapRoles": "[]\n"}) {
		t.Errorf("the guard restored a version beyond the limit: %v", got)
	}
	if got := sum(t.Context(), replicas, bypassed); got != 4 {
		t.Errorf("%v changes have bypassed the guard, want 4", got)
	}
	leads, _ := lead(t, replicas)
	leads.wantMetric(t, "awsauth_guard_restore_ready", 0, 15*time.Second)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+leads.address("health")+"/readyz?verbose", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if want := "restore: not ready: the limit of 3 restores an hour is reached"; err != nil || !strings.Contains(string(body), want) {
		t.Errorf("/readyz?verbose says %s, %v", body, err)
	}
}

// TestRestoreIsNotRefused restores a good version with a fault that the stored version doesn't have. The webhook
// admits this request from the guard. It refuses the same request from another user.
func TestRestoreIsNotRefused(t *testing.T) {
	faulty := roles(admin + node + "- rolearn: arn:aws:sts::111122223333:assumed-role/CI/x\n  username: ci\n")
	g := newGuarded(t, faulty, restoring, quick())
	configure(t, guardConfig+"mode: warn\n") // the webhook of the other tests doesn't know this guard's user, so it must not refuse the restore
	g.run(t, 2)
	g.bypass(t, roles(node))
	g.registerChart(t, nil)
	g.wantCalled(t)
	wantRefused(t, update(t.Context(), as(t, operator), faulty), "assumed-role-arn")
	wantStored(t, faulty)
	g.wantNewest(t, 5*time.Second, guardhistory.Restored, "awsauth-guard", faulty)
}

func patchLabels(t *testing.T, label string) error {
	t.Helper()
	cm := stored(t)
	cm.Labels = map[string]string{label: label}
	_, err := fixture(t).Update(t.Context(), cm, metav1.UpdateOptions{})
	return err
}

// bypassObject stores an object while the webhook is not registered.
func (g *guarded) bypassObject(t *testing.T, cm *corev1.ConfigMap, manager string) {
	t.Helper()
	g.unregister(t)
	g.wantNotCalled(t)
	if _, err := fixture(t).Update(t.Context(), cm, metav1.UpdateOptions{FieldManager: manager}); err != nil {
		t.Fatal(err)
	}
}

// The leader doesn't restore after a change that adds a fault, removes one of two node roles, or has the annotation allow-removal
// for the node role that it removes. It also doesn't restore after a change by EKS, a change with break-glass, or a loss that a
// client repairs at once. Between these changes, the test adds entries again.
func TestHarmlessChangesAreNotRestored(t *testing.T) {
	all := admin + node + otherNode
	g := newGuarded(t, roles(all), restoring, quick())
	replicas := g.run(t, 2)
	wantReadyToRestore(t, replicas)
	g.unregister(t)
	g.wantNotCalled(t)
	write := func(cm *corev1.ConfigMap, manager string, how guardhistory.Origin) {
		t.Helper()
		if _, err := fixture(t).Update(t.Context(), cm, metav1.UpdateOptions{FieldManager: manager}); err != nil {
			t.Fatal(err)
		}
		g.wantNewest(t, 5*time.Second, how, manager, cm.Data)
	}
	faulty := roles(all + "- rolearn: arn:aws:sts::111122223333:assumed-role/CI/x\n  username: ci\n")
	write(faulty.configMap(), "kubectl-edit", guardhistory.Bypassed)
	write(roles(admin+node).configMap(), "kubectl-edit", guardhistory.Bypassed)
	write(annotated(roles(admin), allowRemoval, nodeARN), "kubectl-edit", guardhistory.Changed)
	write(roles(admin+node).configMap(), "kubectl-edit", guardhistory.Changed)
	write(roles(node).configMap(), "vpcLambda", guardhistory.Changed)
	write(annotated(roles(ci), breakGlass, "incident 4711"), "kubectl-edit", guardhistory.Overridden)
	write(roles(all).configMap(), "kubectl-edit", guardhistory.Changed)
	g.write(t, roles(ci), "kubectl-edit")
	g.write(t, roles(admin+otherNode), "kubectl-edit") // a repair while the leader waits before it restores
	wantUntouched(t, replicas, roles(admin+otherNode))
}

// The guard restores after a loss even if its leader was killed before.
func TestRestoreAfterKill(t *testing.T) {
	g := newGuarded(t, base(), restoring, quick())
	leads, _ := lead(t, g.run(t, 3))
	g.unregister(t)
	g.wantNotCalled(t)
	leads.kill()
	g.write(t, roles(node), "kubectl-edit")
	wantStored(t, base()) // the other replicas elect a leader quickly, because the test's Lease is short
}

// The replica stops before the loss and starts after it, so it reads the good version and the loss from the API server. It
// restores the last good version. It doesn't restore if the loss had the annotation break-glass, even if a later change removed
// the annotation.
func TestRestoreAfterRestart(t *testing.T) {
	for _, test := range []struct {
		name      string
		meanwhile []*corev1.ConfigMap
		want      data // nil if the guard must not restore
	}{
		{"the loss alone", []*corev1.ConfigMap{roles(node).configMap()}, base()},
		{"another version before it", []*corev1.ConfigMap{roles(admin + node + ci).configMap(), roles(ci).configMap()}, roles(admin + node + ci)},
		{"a loss with break-glass, whose annotation is then removed", []*corev1.ConfigMap{annotated(roles(node), breakGlass, "incident 4711"), roles(node).configMap()}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := newGuarded(t, base(), restoring, quick())
			g.run(t, 1)[0].stop()
			for _, cm := range test.meanwhile {
				g.bypassObject(t, cm, "kubectl-edit")
			}
			r := g.start(t)
			if test.want != nil {
				wantStored(t, test.want)
				return
			}
			r.wantMetric(t, "awsauth_guard_leader", 1, 10*time.Second)
			wantUntouched(t, []*replica{r}, test.meanwhile[len(test.meanwhile)-1].Data)
		})
	}
}

// While a client writes five times a second, the leader still restores the good version in time.
func TestRestoreDuringWrites(t *testing.T) {
	g := newGuarded(t, base(), restoring, quick())
	replicas := g.run(t, 2)
	wantReadyToRestore(t, replicas)
	g.unregister(t)
	g.wantNotCalled(t)
	begun := time.Now()
	c := fixture(t)
	for i := 0; ; i++ {
		time.Sleep(200 * time.Millisecond)
		cm, err := c.Get(t.Context(), "aws-auth", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if maps.Equal(cm.Data, base()) && i > 0 {
			t.Logf("restored after %d writes in %s", i, time.Since(begun).Round(time.Millisecond))
			break
		}
		if time.Since(begun) > restoredWithin {
			t.Fatalf("not restored after %d writes", i)
		}
		cm.Data = roles(strings.Replace(ci, "role/CI", "role/CI-"+strconv.Itoa(i), 1))
		if _, err := c.Update(t.Context(), cm, metav1.UpdateOptions{FieldManager: "mallory"}); err != nil && i == 0 {
			t.Fatal(err)
		}
	}
}

// After 500 quick writes without the protected admin and the node role, the leader still restores the good version. The history
// also keeps this version.
func TestRestoreAfterManyWrites(t *testing.T) {
	g := newGuarded(t, base(), guardConfig+"restore: {enabled: true, maxPerHour: 60}\n", quick())
	replicas := g.run(t, 2)
	wantReadyToRestore(t, replicas)
	g.unregister(t)
	g.wantNotCalled(t)
	c := fixture(t)
	for i := range 500 {
		lost := roles(strings.Replace(ci, "role/CI", "role/CI-"+strconv.Itoa(i), 1)).configMap()
		if err := retry.RetryOnConflict(retry.DefaultRetry, func() error { // a restore at the same time may cause a conflict
			_, err := c.Update(t.Context(), lost, metav1.UpdateOptions{FieldManager: "mallory"})
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	wantStored(t, base())
	g.until(t, "the history keeps a good version", 5*time.Second, func(log *guardhistory.Log) error {
		v, ok := log.NewestGood()
		return errorIf(!ok || !maps.Equal(v.Data, base()), "it does not")
	})
}

// A forged history can't change the data that the guard restores, because the guard reads the data from the API
// server.
func TestForgedHistory(t *testing.T) {
	evil := roles(admin + node + strings.ReplaceAll(ci, "deployers", "system:masters"))
	forge := func(t *testing.T, g *guarded, version string) {
		t.Helper()
		store := &guardhistory.Store{Client: g.client.CoreV1().ConfigMaps(g.namespace), Name: "history", Versions: keep(10)}
		if _, err := store.Change(t.Context(), func(log *guardhistory.Log) error {
			log.Append(guardhistory.Version{
				ResourceVersion: version, Hash: guardhistory.Hash(evil, nil), Data: evil, Origin: guardhistory.Changed, Time: time.Now(),
			})
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("while the leader runs", func(t *testing.T) {
		g := newGuarded(t, base(), restoring, quick())
		wantReadyToRestore(t, g.run(t, 1))
		forge(t, g, stored(t).ResourceVersion)
		g.bypass(t, roles(node))
		wantStored(t, base())
	})
	t.Run("before the leader starts", func(t *testing.T) {
		g := newGuarded(t, base(), restoring, quick())
		g.run(t, 1)[0].stop()
		forge(t, g, stored(t).ResourceVersion)
		g.bypass(t, roles(node))
		g.start(t)
		wantStored(t, base())
	})
	t.Run("an earlier version is named as the newest", func(t *testing.T) {
		old := roles(admin + node + strings.ReplaceAll(ci, "role/CI", "role/Leaver"))
		g := newGuarded(t, old, restoring, quick())
		version := stored(t).ResourceVersion
		g.run(t, 1)[0].stop()
		g.bypass(t, base())
		forge(t, g, version)
		g.write(t, roles(node), "kubectl-edit")
		g.start(t)
		wantStored(t, base())
	})
}

// A restore keeps bytes that are not UTF-8.
func TestRestoreKeepsBytes(t *testing.T) {
	alone(t) // the webhook of the other tests would refuse U+FFFD in the restore, because it doesn't know this guard's user
	g := newGuarded(t, base(), restoring, quick())
	config := rest.CopyConfig(kube.Protobuf(cluster.Admin))
	config.Impersonate = rest.ImpersonationConfig{UserName: "fixture"}
	core, err := typedcorev1.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	c := core.ConfigMaps(metav1.NamespaceSystem)
	good := base().with("mapUsers", alice+"# \xff\n")
	if _, err := c.Update(t.Context(), good.configMap(), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	wantReadyToRestore(t, g.run(t, 1))
	g.bypass(t, roles(node))
	until(t, "the bytes are stored again", restoredWithin, func(ctx context.Context) error {
		cm, err := c.Get(ctx, "aws-auth", metav1.GetOptions{})
		return errorIf(err != nil || !maps.Equal(cm.Data, good), fmt.Sprint(err))
	})
	g.until(t, "the history holds them", 5*time.Second, func(log *guardhistory.Log) error {
		v, ok := log.NewestGood()
		return errorIf(!ok || !maps.Equal(v.Data, good) || len(log.Damaged()) > 0, "it does not")
	})
}
