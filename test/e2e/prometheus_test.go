//go:build e2e

package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// TestPrometheus runs a real Prometheus, which scrapes the pods and evaluates the chart's rules. The rules are
// unchanged, so the alerts wait as long as in production before they fire.
func TestPrometheus(t *testing.T) {
	program := os.Getenv("E2E_PROMETHEUS")
	if program == "" {
		t.Skip("E2E_PROMETHEUS names no Prometheus")
	}
	alone(t)
	install(t, "with Prometheus")
	var targets []target
	for _, pod := range readyPods(t) {
		targets = append(targets, target{
			Targets: []string{forward(t, "port-forward", "--namespace", namespace, "pod/"+pod.Name, ":8080")},
			Labels:  map[string]string{"namespace": namespace, "pod": pod.Name},
		})
	}
	p := startPrometheus(t, program, targets)
	p.wantTargets(t, replicas)
	p.wantNoAlert(t)

	// After this change, the API server no longer calls the enforcing webhook for kube-system.
	const selected = "/webhooks/0/namespaceSelector/matchLabels/e2e.test~1none"
	configure := func(patch string) {
		kubectl(t, "patch", "validatingwebhookconfiguration", release, "--type", "json", "--patch", patch)
	}
	started := time.Now()
	configure(`[{"op": "add", "path": "` + selected + `", "value": "x"}]`)
	p.wantAlert(t, "AwsAuthGuardNotEnforced", "pending", "firing")
	figure("%-34s %.1f s", "  selector to pending alert", time.Since(started).Seconds())
	p.wantAlert(t, "AwsAuthGuardNotEnforced", "firing")
	figure("%-34s %.1f s", "  selector to firing alert", time.Since(started).Seconds())
	configure(`[{"op": "remove", "path": "` + selected + `"}]`)
	p.wantNoAlert(t, "AwsAuthGuardNotEnforced")

	// After this deletion, no webhook reviews the edit that removes a protected admin.
	kubectl(t, "delete", "validatingwebhookconfiguration", release)
	p.wantAlert(t, "AwsAuthGuardNotEnforced", "pending", "firing")
	locked := good()
	locked.Data["mapRoles"], _, _ = strings.Cut(locked.Data["mapRoles"], "- rolearn: arn:aws:iam::111122223333:role/Admin")
	if _, err := admin.CoreV1().ConfigMaps("kube-system").Update(t.Context(), locked, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	p.wantAlert(t, "AwsAuthGuardProtectedPrincipalMissing", "pending", "firing")
	p.wantAlert(t, "AwsAuthGuardNoAdmin", "pending", "firing")
	p.wantAlert(t, "AwsAuthGuardBypassed", "firing")
}

// forward starts a kubectl command that forwards a port to the cluster until the test ends. It returns the address on
// this machine.
func forward(t *testing.T, args ...string) (address string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), kubectlPath, args...)
	cmd.Env = environment(t)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n') // for example: Forwarding from 127.0.0.1:40001 -> 8080
	if err != nil {
		t.Fatalf("kubectl %s: %v: %q", strings.Join(args, " "), err, line)
	}
	address, _, _ = strings.Cut(strings.TrimPrefix(line, "Forwarding from "), " -> ")
	return address
}

// target is an item of Prometheus's static_configs.
type target struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

// prometheus is a running Prometheus.
type prometheus struct {
	url string
	log string // the path of the log
}

// startPrometheus starts a Prometheus that evaluates the chart's rules, until the test ends.
func startPrometheus(t *testing.T, program string, targets []target) *prometheus {
	t.Helper()
	dir := t.TempDir()
	write := func(name string, content any) {
		text, err := yaml.Marshal(content)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	write("rules.yaml", rules(t))
	write("prometheus.yaml", map[string]any{
		"global":         map[string]any{"scrape_interval": "1s", "evaluation_interval": "1s"},
		"rule_files":     []string{"rules.yaml"},
		"scrape_configs": []any{map[string]any{"job_name": release, "static_configs": targets}},
	})
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	p := &prometheus{url: "http://" + address, log: filepath.Join(dir, "log")}
	log, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.CommandContext(t.Context(), program, "--config.file="+filepath.Join(dir, "prometheus.yaml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if text, err := os.ReadFile(p.log); t.Failed() && err == nil {
			t.Logf("Prometheus's log:\n%s", text)
		}
	})
	return p
}

// rules returns the spec of the PrometheusRule that the chart renders.
func rules(t *testing.T) any {
	t.Helper()
	args := append([]string{
		"template", release, chart, "--namespace", namespace, "--kube-version", "1.30.0",
		"--set", "prometheusRule.enabled=true", "--show-only", "templates/prometheusrule.yaml",
	}, values()...)
	text, _, err := output(t, "", helmPath, args...)
	if err != nil {
		t.Fatal(err)
	}
	var rule struct {
		Spec map[string]any `json:"spec"`
	}
	if err := yaml.Unmarshal([]byte(text), &rule); err != nil || rule.Spec["groups"] == nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return rule.Spec
}

// get calls Prometheus's API, and decodes the data of the response into data.
func (p *prometheus) get(ctx context.Context, path string, data any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/api/v1/"+path, http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer := struct {
		Data any `json:"data"`
	}{data}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %w", path, response.Status, errors.Join(err))
	}
	return nil
}

// wantTargets waits until there are n targets and all of them are up.
func (p *prometheus) wantTargets(t *testing.T, n int) {
	t.Helper()
	eventually(t, soon, "all targets are up", func(ctx context.Context) error {
		var data struct {
			ActiveTargets []struct{ Health, LastError string } `json:"activeTargets"`
		}
		if err := p.get(ctx, "targets", &data); err != nil {
			return err
		}
		up := 0
		for _, target := range data.ActiveTargets {
			if target.Health == "up" {
				up++
			}
		}
		if up != n || len(data.ActiveTargets) != n {
			return fmt.Errorf("targets: %+v", data.ActiveTargets)
		}
		return nil
	})
}

// alerting returns the pending and the firing alerts as "NAME STATE", and the time of the last evaluation. It returns
// an error if Prometheus could not evaluate a rule.
func (p *prometheus) alerting(ctx context.Context) (list []string, evaluated time.Time, err error) {
	var data struct {
		Groups []struct {
			Rules []struct {
				Name, State, Health, LastError string
				LastEvaluation                 time.Time
			}
		}
	}
	if err := p.get(ctx, "rules", &data); err != nil {
		return nil, evaluated, err
	}
	for _, group := range data.Groups {
		for _, rule := range group.Rules {
			if rule.Health != "ok" {
				return nil, evaluated, fmt.Errorf("%s is %s: %s", rule.Name, rule.Health, rule.LastError)
			}
			if rule.State != "inactive" {
				list = append(list, rule.Name+" "+rule.State)
			}
			evaluated = rule.LastEvaluation
		}
	}
	if evaluated.IsZero() {
		err = errors.New("there are no rules")
	}
	return list, evaluated, err
}

// wantNoAlert waits until no alert has been pending or firing for 20 seconds. Meanwhile, it reports an error for each
// firing alert that is not in before.
func (p *prometheus) wantNoAlert(t *testing.T, before ...string) {
	t.Helper()
	var since time.Time
	eventually(t, late, "no alert fires for 20 s", func(ctx context.Context) error {
		list, evaluated, err := p.alerting(ctx)
		switch {
		case err != nil:
			return err
		case len(list) > 0:
			for _, alert := range list {
				if name, ok := strings.CutSuffix(alert, " firing"); ok && !slices.Contains(before, name) {
					t.Errorf("%s fires", name)
				}
			}
			since = time.Time{}
			return fmt.Errorf("alerts: %q", list)
		case since.IsZero():
			since = evaluated
		}
		if evaluated.Sub(since) < 20*time.Second {
			return fmt.Errorf("no alert for %s so far", evaluated.Sub(since))
		}
		return nil
	})
}

// wantAlert waits until an alert has one of the states.
func (p *prometheus) wantAlert(t *testing.T, name string, states ...string) {
	t.Helper()
	eventually(t, late, name+" is "+strings.Join(states, " or "), func(ctx context.Context) error {
		list, _, err := p.alerting(ctx)
		if err == nil && !slices.ContainsFunc(states, func(state string) bool { return slices.Contains(list, name+" "+state) }) {
			err = fmt.Errorf("alerts: %q", list)
		}
		return err
	})
}
