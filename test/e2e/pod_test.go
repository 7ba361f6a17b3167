//go:build e2e

package e2e_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// kill ends a pod's process with SIGKILL. If the process runs on another machine or as another user, kill deletes the pod without a
// grace period instead. Then the API server learns earlier that the pod has ended.
func kill(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	err := errors.New("it runs on another machine")
	if pid := process(pod); pid != 0 {
		err = syscall.Kill(pid, syscall.SIGKILL)
	}
	if err == nil {
		return
	}
	t.Logf("cannot kill the process of %s, so delete the pod: %v", pod.Name, err)
	kubectl(t, "delete", "pod", pod.Name, "--namespace", pod.Namespace, "--grace-period=0", "--force")
}

// process returns the id of a pod's process on this machine, or 0.
func process(pod *corev1.Pod) int {
	folders, _ := filepath.Glob("/proc/[0-9]*")
	for _, folder := range folders {
		line, err := os.ReadFile(filepath.Join(folder, "cmdline"))
		if err != nil || !strings.HasPrefix(string(line), "/awsauth-guard-webhook\x00") {
			continue
		}
		groups, err := os.ReadFile(filepath.Join(folder, "cgroup"))
		if err != nil || !strings.Contains(strings.ReplaceAll(string(groups), "_", "-"), string(pod.UID)) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(folder))
		if err == nil {
			return pid
		}
	}
	return 0
}

// restarted waits until the pod's container runs again, or until another pod has replaced the pod.
func restarted(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	eventually(t, late, "the container runs again", func(ctx context.Context) error {
		now, err := admin.CoreV1().Pods(namespace).Get(ctx, pod.Name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			return nil
		case err != nil:
			return err
		case len(now.Status.ContainerStatuses) != 1 || now.Status.ContainerStatuses[0].RestartCount == pod.Status.ContainerStatuses[0].RestartCount:
			return fmt.Errorf("%s has not been restarted", pod.Name)
		}
		return nil
	})
}

// serving returns the fingerprint of the certificate that a pod serves.
func serving(t *testing.T, pod *corev1.Pod) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	cmd := exec.CommandContext(ctx, kubectlPath, "port-forward", "--namespace", pod.Namespace, "pod/"+pod.Name, ":9443")
	cmd.Env = environment(t)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { cancel(); _ = cmd.Wait() }()
	line, err := bufio.NewReader(out).ReadString('\n') // for example: Forwarding from 127.0.0.1:40001 -> 9443
	address := strings.TrimPrefix(strings.TrimSuffix(strings.TrimSpace(line), " -> 9443"), "Forwarding from ")
	if err != nil {
		t.Fatalf("kubectl port-forward: %v: %q", err, line)
	}
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} // the test only reads the certificate, and trusts no answer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return fingerprint(conn.(*tls.Conn).ConnectionState().PeerCertificates[0].Raw)
}

// fingerprint returns the SHA-256 of a certificate in DER, in hexadecimal.
func fingerprint(der []byte) string {
	return fmt.Sprintf("%x", sha256.Sum256(der))
}

// wantServing waits until each pod serves the certificate, which is in PEM. The pods read it from a mounted Secret.
func wantServing(t *testing.T, pods []corev1.Pod, certificate []byte) {
	t.Helper()
	block, _ := pem.Decode(certificate)
	if block == nil {
		t.Fatalf("not a certificate:\n%s", certificate)
	}
	for i := range pods {
		eventually(t, late, "each pod has the new certificate", func(context.Context) error {
			touch(t, &pods[i]) // otherwise the kubelet updates the file up to two minutes later
			if serving(t, &pods[i]) != fingerprint(block.Bytes) {
				return fmt.Errorf("%s serves another certificate", pods[i].Name)
			}
			return nil
		})
	}
}

// startTime returns the time from the first line of a pod's log to the line that says that the pod serves reviews.
func startTime(t *testing.T, pod string) time.Duration {
	t.Helper()
	var started time.Time
	for text := range strings.Lines(kubectl(t, "logs", pod, "--namespace", namespace)) {
		var line struct {
			Time time.Time `json:"time"`
			Msg  string    `json:"msg"`
			Port any       `json:"port"` // a text or a number
		}
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("%s logs %q: %v", pod, text, err)
		}
		if started.IsZero() {
			started = line.Time
		}
		if line.Msg == "serving" && line.Port == "webhook" {
			return line.Time.Sub(started)
		}
	}
	t.Fatalf("%s does not log that it serves reviews", pod)
	return 0
}

// metricsOf returns a pod's metrics.
func metricsOf(t *testing.T, pod *corev1.Pod) string {
	t.Helper()
	return kubectl(t, "get", "--raw", "/api/v1/namespaces/"+pod.Namespace+"/pods/"+pod.Name+":8080/proxy/metrics")
}

// touch annotates a pod, so that the kubelet updates its mounted files at once.
func touch(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	kubectl(t, "annotate", "--overwrite", "pod", pod.Name, "--namespace", pod.Namespace, "e2e.test/touched="+strconv.FormatInt(time.Now().UnixNano(), 36))
}
