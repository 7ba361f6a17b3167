//go:build e2e

package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/awsauth-guard/awsauth-guard/test/controlplane"
)

// turn is a lock, because only one test at a time may edit kube-system/aws-auth. alone locks it.
var turn sync.Mutex

// alone begins a test that edits kube-system/aws-auth. It waits until no other such test runs, and then removes the release.
// TestRotateCA, which waits for minutes, may run at the same time.
func alone(t *testing.T) {
	t.Helper()
	t.Parallel()
	turn.Lock()
	t.Cleanup(turn.Unlock)
	clean(t)
	t.Cleanup(func() { clean(t) })
}

// clean removes the release and stores a good aws-auth.
func clean(t *testing.T) {
	t.Helper()
	_, err := run(t, "", helmPath, "uninstall", release, "--namespace", namespace, "--ignore-not-found", "--wait")
	if err != nil {
		t.Fatal(err)
	}
	kubectl(t, "delete", "namespace", namespace, "--ignore-not-found")
	text, err := yaml.Marshal(good())
	if err != nil {
		t.Fatal(err)
	}
	kubectl(t, "delete", "configmap", "aws-auth", "--namespace", "kube-system", "--ignore-not-found")
	apply(t, string(text))
}

// values returns helm's arguments for every release. They set the image and a protected principal.
func values() []string {
	colon := strings.LastIndexByte(image, ':')
	return []string{
		"--set", "image.repository=" + image[:colon], "--set", "image.tag=" + image[colon+1:],
		"--set", "guardConfig.protected[0].arn=arn:aws:iam::111122223333:role/Admin",
		"--set", "guardConfig.protected[0].groups[0]=system:masters",
	}
}

// install installs the release. It measures the time until the pods are Ready, and until the first refusal.
func install(t *testing.T, what string, more ...string) {
	t.Helper()
	started := time.Now()
	var refused time.Duration
	var watching sync.WaitGroup
	ctx, cancel := context.WithTimeout(t.Context(), late)
	defer func() { cancel(); watching.Wait() }()
	watching.Go(func() {
		if err := controlplane.Poll(ctx, isRefused); err != nil {
			t.Errorf("nothing is refused: %v", err)
		}
		refused = time.Since(started)
	})
	args := append([]string{"install", release, chart, "--create-namespace", "--wait", "--timeout", "3m"}, values()...)
	helm(t, append(args, more...)...)
	installed := time.Since(started)
	watching.Wait()
	figure("%-34s Ready after %.1f s, first refusal after %.1f s", "helm install, "+what, installed.Seconds(), refused.Seconds())
	readyPods(t)
}

// upgrade upgrades the release, and waits until its pods are Ready.
func upgrade(t *testing.T, more ...string) {
	t.Helper()
	args := append([]string{"upgrade", release, chart, "--wait", "--timeout", "3m"}, values()...)
	helm(t, append(args, more...)...)
}

// hasLeader waits until a Ready pod holds the Lease.
func hasLeader(t *testing.T) {
	t.Helper()
	eventually(t, late, "there is a leader", func(ctx context.Context) error {
		lease, err := admin.CoordinationV1().Leases(namespace).Get(ctx, release+"-ca", metav1.GetOptions{})
		if err != nil {
			return err
		}
		pods, err := ready(ctx)
		if err != nil {
			return err
		}
		holder := ""
		if lease.Spec.HolderIdentity != nil {
			holder, _, _ = strings.Cut(*lease.Spec.HolderIdentity, "_") // the identity is the name of a pod and a random suffix
		}
		if !slices.ContainsFunc(pods, func(p corev1.Pod) bool { return p.Name == holder }) {
			return fmt.Errorf("the Lease is held by %q", holder)
		}
		return nil
	})
}

// gone waits until the pods have ended.
func gone(t *testing.T, pods []corev1.Pod) {
	t.Helper()
	for _, pod := range pods {
		eventually(t, late, pod.Name+" has ended", func(ctx context.Context) error {
			now, err := admin.CoreV1().Pods(namespace).Get(ctx, pod.Name, metav1.GetOptions{})
			if apierrors.IsNotFound(err) || err == nil && now.UID != pod.UID {
				return nil
			}
			return errors.Join(errors.New("it is there"), err)
		})
	}
}
