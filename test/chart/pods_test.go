package chart_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/server"
)

// wantPods checks the pods of the Deployment, and that the Service and the PodDisruptionBudget fit them.
func wantPods(t *testing.T, objects []object) {
	t.Helper()
	deployment := one[appsv1.Deployment](t, objects)
	pod := &deployment.Spec.Template
	labels := deployment.Spec.Selector.MatchLabels
	for _, selector := range []map[string]string{labels, one[corev1.Service](t, objects).Spec.Selector} {
		for key, value := range selector {
			if pod.Labels[key] != value {
				t.Errorf("the pods have the label %s=%s, and are selected by %s", key, pod.Labels[key], value)
			}
		}
	}
	for i := range objects {
		if test, ok := objects[i].Typed.(*corev1.Pod); ok && test.Labels["app.kubernetes.io/component"] == labels["app.kubernetes.io/component"] {
			t.Error("the Service selects the pod of helm test")
		}
	}
	container := &pod.Spec.Containers[0]
	for _, mount := range container.VolumeMounts {
		if mount.SubPath != "" {
			t.Errorf("%s is mounted by subPath, which the kubelet never updates", mount.Name)
		}
	}
	update := deployment.Spec.Strategy.RollingUpdate
	if away := update.MaxUnavailable.IntValue(); away > 0 && (!pod.Spec.HostNetwork || int(*deployment.Spec.Replicas) <= away) {
		t.Errorf("during an upgrade, %v of %d replicas may be unavailable", update.MaxUnavailable, *deployment.Spec.Replicas)
	}
	budgets := find[policyv1.PodDisruptionBudget](objects)
	if alone := *deployment.Spec.Replicas == 1; alone != (len(budgets) == 0) {
		t.Errorf("%d budgets for %d replicas", len(budgets), *deployment.Spec.Replicas)
	}
	if *pod.Spec.TerminationGracePeriodSeconds != 30 {
		t.Errorf("the grace period is %d s", *pod.Spec.TerminationGracePeriodSeconds)
	}
	wantPorts(t, objects, container, wantFlags(t, container.Args))
	if !*pod.Spec.AutomountServiceAccountToken {
		t.Error("the pods have no token, which they need to call the API server")
	}
}

// TestClientAuth: the webhook requires a client certificate only if the values name a ConfigMap or a Secret with CAs. The pod mounts
// only the key with the CAs.
func TestClientAuth(t *testing.T) {
	t.Parallel()
	items := []corev1.KeyToPath{{Key: "tls.crt", Path: "ca.crt"}}
	for set, want := range map[string]struct {
		file, name string
		volume     corev1.VolumeSource
	}{
		"log.level=info": {},
		"clientAuth.configMap=cas,clientAuth.key=tls.crt": {"/etc/awsauth-guard-client-ca/ca.crt", "", corev1.VolumeSource{
			ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "cas"}, Items: items},
		}},
		"clientAuth.secret=cas,clientAuth.key=tls.crt,clientAuth.name=api": {"/etc/awsauth-guard-client-ca/ca.crt", "api", corev1.VolumeSource{
			Secret: &corev1.SecretVolumeSource{SecretName: "cas", Items: items},
		}},
		"clientAuth=null": {}, // as with --reuse-values and the values of an older chart
	} {
		pod := one[appsv1.Deployment](t, render(t, "default", "--set", set)).Spec.Template.Spec
		options := wantFlags(t, pod.Containers[0].Args)
		if options.ClientCAFile != want.file || options.ClientName != want.name {
			t.Errorf("%s: the CAs are in %q and the name is %q, want %q and %q", set, options.ClientCAFile, options.ClientName, want.file, want.name)
		}
		var volume corev1.VolumeSource
		for i := range pod.Volumes {
			if pod.Volumes[i].Name == "client-ca" {
				volume = pod.Volumes[i].VolumeSource
			}
		}
		mounted := slices.ContainsFunc(pod.Containers[0].VolumeMounts, func(m corev1.VolumeMount) bool {
			return m.Name == "client-ca" && m.MountPath == "/etc/awsauth-guard-client-ca" && m.ReadOnly
		})
		if diff := cmp.Diff(want.volume, volume); diff != "" || mounted != (want.file != "") {
			t.Errorf("%s: mounted %t, the volume (-want +got):\n%s", set, mounted, diff)
		}
	}
}

// wantPorts checks that the Service, the probes and the NetworkPolicy use the ports on which the webhook listens.
func wantPorts(t *testing.T, objects []object, container *corev1.Container, o *server.Options) {
	t.Helper()
	got := make(map[string]string)
	for _, port := range container.Ports {
		got[port.Name] = fmt.Sprintf(":%d", port.ContainerPort)
	}
	want := map[string]string{"webhook": o.WebhookAddress, "metrics": o.MetricsAddress, "health": o.HealthAddress}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ports of the container (-flags +it):\n%s", diff)
	}
	for _, port := range one[corev1.Service](t, objects).Spec.Ports {
		if want[port.TargetPort.StrVal] == "" {
			t.Errorf("the Service leads to the port %s", port.TargetPort.String())
		}
	}
	for _, probe := range []*corev1.Probe{container.ReadinessProbe, container.LivenessProbe} {
		if port := probe.HTTPGet.Port.StrVal; port != "health" {
			t.Errorf("%s is asked for on the port %q", probe.HTTPGet.Path, port)
		}
	}
	for _, policy := range find[networkingv1.NetworkPolicy](objects) {
		var ingress []string
		for _, rule := range policy.Spec.Ingress {
			for _, port := range rule.Ports {
				ingress = append(ingress, port.Port.StrVal)
			}
		}
		slices.Sort(ingress)
		if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), ingress); diff != "" {
			t.Errorf("ports that the NetworkPolicy lets in (-flags +it):\n%s", diff)
		}
		if diff := cmp.Diff(one[appsv1.Deployment](t, objects).Spec.Selector, &policy.Spec.PodSelector); diff != "" {
			t.Errorf("pods of the NetworkPolicy (-Deployment +it):\n%s", diff)
		}
	}
}

// wantFlags parses the arguments as the webhook does.
func wantFlags(t *testing.T, args []string) *server.Options {
	t.Helper()
	o := server.DefaultOptions()
	flags := pflag.NewFlagSet("webhook", pflag.ContinueOnError)
	o.AddFlags(flags)
	if err := errors.Join(flags.Parse(args), o.Complete()); err != nil {
		t.Error(err)
	}
	return o
}
