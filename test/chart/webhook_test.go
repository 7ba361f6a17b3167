package chart_test

import (
	"net"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/helmtest"
)

// TestEnforceAndObserve: with the chart's webhook configuration, the API server calls the right webhook for each requester. The
// enforcing webhook refuses a bad change. The observing webhook, for EKS and the bypass, only warns.
func TestEnforceAndObserve(t *testing.T) {
	register(t, webhook.Address)
	for _, tt := range []struct {
		name, user string
		groups     []string
		refused    bool
	}{
		{"an operator", "operator", nil, true},
		{"a cluster administrator", "operator", []string{"system:masters"}, true},
		{"almost EKS", "eks-node-manager", nil, true},
		{"almost the bypass", "operator", []string{"system:masters", "awsauth-guard"}, true},
		{"EKS", "eks:node-manager", nil, false},
		{"the bypass", "operator", []string{"system:masters", "awsauth-guard:bypass"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := as(t, tt.user, tt.groups...)
			configMaps := c.CoreV1().ConfigMaps("kube-system")
			for operation, do := range map[string]func() error{
				"update [yaml-syntax]": func() error {
					_, err := configMaps.Update(t.Context(), awsAuth(unreadable), metav1.UpdateOptions{})
					return err
				},
				"delete [deleted]": func() error { return configMaps.Delete(t.Context(), "aws-auth", metav1.DeleteOptions{}) },
				"deletecollection [deleted]": func() error {
					return configMaps.DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{FieldSelector: "metadata.name=aws-auth"})
				},
			} {
				store(t, awsAuth(adminEntry+nodeEntry))
				c.Take()
				err := do()
				said, want := strings.Join(c.Take(), "\n"), strings.Fields(operation)[1]
				switch {
				case tt.refused && err == nil:
					t.Errorf("%s is admitted", operation)
				case tt.refused:
					wantSays(t, err.Error(), `admission webhook "aws-auth.awsauth-guard.io" denied the request`, want)
				case err != nil:
					t.Errorf("%s: %v", operation, err)
				default:
					wantSays(t, said, want)
				}
			}
		})
	}

	t.Run("a good change", func(t *testing.T) {
		store(t, awsAuth(adminEntry))
		if _, err := as(t, "operator").CoreV1().ConfigMaps("kube-system").Update(t.Context(), awsAuth(adminEntry+nodeEntry), metav1.UpdateOptions{}); err != nil {
			t.Error(err)
		}
	})
	t.Run("others", func(t *testing.T) {
		store(t, awsAuth(adminEntry+nodeEntry))
		wantOthersUntouched(t)
	})
	t.Run("an aws-auth elsewhere", func(t *testing.T) {
		elsewhere := awsAuth(unreadable)
		elsewhere.Namespace = namespace
		if _, err := as(t, "operator").CoreV1().ConfigMaps(namespace).Create(t.Context(), elsewhere, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}); err != nil {
			t.Error(err)
		}
	})
	t.Run("helm test", func(t *testing.T) {
		if status, said := runSelftest(t, "enforce"); status != 0 {
			t.Errorf("status %d: %s", status, said)
		}
		if status, said := runSelftest(t, "warn"); status != 1 {
			t.Errorf("helm test accepts a guard that refuses as one in mode warn: status %d, %s", status, said)
		}
	})
}

// runSelftest runs the program that the pod of helm test runs, and returns its exit status and output.
func runSelftest(t *testing.T, mode string) (status int, said string) {
	t.Helper()
	var stdout, stderr strings.Builder
	status = helmtest.Main(t.Context(), []string{"--mode", mode, "--timeout", "2s", "--kubeconfig", cluster.Kubeconfig}, &stdout, &stderr)
	return status, stdout.String() + stderr.String()
}

// wantOthersUntouched checks that the API server admits create, update, delete and deletecollection of other ConfigMaps in
// kube-system.
func wantOthersUntouched(t *testing.T) {
	t.Helper()
	const label = "collection=others"
	configMaps := as(t, "operator").CoreV1().ConfigMaps("kube-system")
	for _, name := range []string{"aaa", "zzz"} {
		cm := awsAuth("[", func(cm *corev1.ConfigMap) { cm.Name, cm.Labels = name, map[string]string{"collection": "others"} })
		if _, err := configMaps.Create(t.Context(), cm, metav1.CreateOptions{}); err != nil {
			t.Fatalf("creating another ConfigMap: %v", err)
		}
		if _, err := configMaps.Update(t.Context(), cm, metav1.UpdateOptions{}); err != nil {
			t.Errorf("updating another ConfigMap: %v", err)
		}
	}
	if err := configMaps.Delete(t.Context(), "zzz", metav1.DeleteOptions{}); err != nil {
		t.Errorf("deleting another ConfigMap: %v", err)
	}
	if err := configMaps.DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: label}); err != nil {
		t.Errorf("deleting a collection of other ConfigMaps: %v", err)
	}
	if left := list(t, label); len(left) > 0 {
		t.Errorf("%q are left", left)
	}
}

// TestDeleteEverything: if a client deletes all ConfigMaps of kube-system as a collection, the webhook refuses the deletion of
// aws-auth. The API server deletes the objects in the order of their names, and stops at this refusal.
func TestDeleteEverything(t *testing.T) {
	register(t, webhook.Address)
	store(t, awsAuth(adminEntry+nodeEntry))
	err := as(t, "operator").CoreV1().ConfigMaps("kube-system").DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{})
	if err == nil {
		t.Fatal("admitted")
	}
	wantSays(t, err.Error(), "[deleted]")
	if !slices.Contains(list(t, ""), "aws-auth") {
		t.Error("aws-auth is gone")
	}
}

// closedPort returns an address on which no process listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestNoPodAnswers: if the webhook doesn't answer, the API server refuses changes of aws-auth. It still admits changes by EKS,
// changes through the bypass, and changes of other objects. The self-test of helm test fails.
func TestNoPodAnswers(t *testing.T) {
	register(t, closedPort(t))
	operator := as(t, "operator").CoreV1().ConfigMaps("kube-system")

	store(t, awsAuth(adminEntry+nodeEntry)) // written as EKS, so the API server needs no answer
	if _, err := operator.Update(t.Context(), awsAuth(adminEntry+nodeEntry), metav1.UpdateOptions{}); !apierrors.IsInternalError(err) {
		t.Errorf("want an internal error, got %v", err)
	}
	wantOthersUntouched(t)
	bypass := as(t, "operator", "system:masters", "awsauth-guard:bypass").CoreV1().ConfigMaps("kube-system")
	if _, err := bypass.Update(t.Context(), awsAuth(adminEntry), metav1.UpdateOptions{}); err != nil {
		t.Errorf("the bypass: %v", err)
	}
	if err := bypass.Delete(t.Context(), "aws-auth", metav1.DeleteOptions{}); err != nil {
		t.Errorf("the bypass: %v", err)
	}
	if status, said := runSelftest(t, "enforce"); status != 1 || !strings.Contains(said, "failed calling webhook") {
		t.Errorf("helm test: status %d, %s", status, said)
	}
}

// TestOwnBypassGroup: if the values set another bypass group, only its members can bypass the guard, and no longer those of the
// default group.
func TestOwnBypassGroup(t *testing.T) {
	register(t, webhook.Address, "--set", "bypass.group=company:break-glass")
	for group, admitted := range map[string]bool{"company:break-glass": true, "awsauth-guard:bypass": false} {
		store(t, awsAuth(adminEntry+nodeEntry))
		_, err := as(t, "operator", group).CoreV1().ConfigMaps("kube-system").Update(t.Context(), awsAuth(unreadable), metav1.UpdateOptions{})
		if (err == nil) != admitted {
			t.Errorf("%s: %v", group, err)
		}
	}
}
