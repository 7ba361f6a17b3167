package chart_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// promtool returns the path of promtool in Go's cache. If the cache doesn't have promtool, it builds promtool first. The build
// leaves out Prometheus's service discovery in clouds, which takes most of the time to compile. `go tool -n` has no option for the
// build tag that leaves it out. `go run -exec=echo` has one, and prints the path of the program instead of running it.
var promtool = sync.OnceValues(func() (path string, err error) {
	for range 2 { // the first go run may link promtool to a temporary path, which it deletes; the second finds promtool in the cache
		cmd := exec.CommandContext(context.Background(), "go", "run", "-exec=echo",
			"-modfile=../../tools/promtool/go.mod", "-tags=remove_all_sd", "github.com/prometheus/prometheus/cmd/promtool")
		cmd.Stderr = new(bytes.Buffer)
		out, err := cmd.Output()
		if err != nil {
			return "", fmt.Errorf("building promtool: %w\n%s", err, cmd.Stderr)
		}
		path = strings.TrimSpace(string(out))
	}
	return path, nil
})

// runPromtool runs promtool and returns its output. It reports an error if promtool fails.
func runPromtool(t *testing.T, stdin io.Reader, args ...string) (said string) {
	t.Helper()
	path, err := promtool()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Stdin = stdin
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// writeYAML writes a file for promtool and returns its path.
func writeYAML(t *testing.T, path string, content any) string {
	t.Helper()
	text, err := yaml.Marshal(content)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// alertCase has series of metrics, the times at which an alert fires for them, and the times at which it doesn't fire.
type alertCase struct {
	alert string
	// rendered is a value for helm --set in addition to those of TestAlerts. It may be empty.
	rendered string
	// series has values in the notation of promtool, one for each half minute.
	series map[string]string
	// At the times fires the alert fires, and at the times quiet it doesn't. more has the labels of the firing alert in addition
	// to those of the rule. says is the expected description. It is empty if the description has no template.
	fires, quiet []string
	more         map[string]string
	says         string
}

// The format of a test for promtool, from the documentation of Prometheus, "Unit testing for rules".
type (
	promtoolTests struct {
		RuleFiles          []string       `json:"rule_files"`
		EvaluationInterval string         `json:"evaluation_interval"`
		Tests              []promtoolTest `json:"tests"`
	}
	promtoolTest struct {
		Name           string           `json:"name"`
		Interval       string           `json:"interval"`
		InputSeries    []promtoolSeries `json:"input_series"`
		AlertRuleTests []promtoolCheck  `json:"alert_rule_test"`
	}
	promtoolSeries struct {
		Series string `json:"series"`
		Values string `json:"values"`
	}
	promtoolCheck struct {
		EvalTime  string          `json:"eval_time"`
		AlertName string          `json:"alertname"`
		ExpAlerts []promtoolAlert `json:"exp_alerts"`
	}
	promtoolAlert struct {
		ExpLabels      map[string]string `json:"exp_labels"`
		ExpAnnotations map[string]string `json:"exp_annotations"`
	}
)

// test returns the case as a test for promtool. It expects the labels and annotations of the rendered rule.
func (c *alertCase) test(t *testing.T, rule *monitoringv1.Rule) promtoolTest {
	t.Helper()
	test := promtoolTest{Name: c.alert, Interval: "30s"}
	for series, values := range c.series {
		test.InputSeries = append(test.InputSeries, promtoolSeries{series, values})
	}
	alert := promtoolAlert{ExpLabels: maps.Clone(rule.Labels), ExpAnnotations: maps.Clone(rule.Annotations)}
	maps.Copy(alert.ExpLabels, c.more)
	if c.says != "" {
		alert.ExpAnnotations["description"] = c.says
	}
	for _, at := range c.fires {
		test.AlertRuleTests = append(test.AlertRuleTests, promtoolCheck{at, c.alert, []promtoolAlert{alert}})
	}
	for _, at := range c.quiet {
		test.AlertRuleTests = append(test.AlertRuleTests, promtoolCheck{at, c.alert, []promtoolAlert{}})
	}
	return test
}

// TestAlerts evaluates alertCases with Prometheus's rule engine. Each alert must have times at which it fires, and times at which it
// doesn't.
func TestAlerts(t *testing.T) {
	t.Parallel()
	byRendering := make(map[string][]alertCase)
	for _, c := range alertCases {
		byRendering[c.rendered] = append(byRendering[c.rendered], c)
	}
	fires, quiet := make(map[string]bool), make(map[string]bool)
	for rendered, cases := range byRendering {
		args := []string{"--set", "prometheusRule.enabled=true,backstop.enabled=true"}
		if rendered != "" {
			args = append(args, "--set", rendered)
		}
		rule := one[monitoringv1.PrometheusRule](t, render(t, "default", args...))
		dir := t.TempDir()
		rules := writeYAML(t, filepath.Join(dir, "rules.yaml"), rule.Spec)
		runPromtool(t, nil, "check", "rules", "--lint=all", "--lint-fatal", rules)
		tests := promtoolTests{RuleFiles: []string{rules}, EvaluationInterval: "30s"}
		list := alerts(t, rule)
		for i := range cases {
			c := &cases[i]
			at := slices.IndexFunc(list, func(r monitoringv1.Rule) bool { return r.Alert == c.alert })
			if at < 0 {
				t.Fatalf("there is no alert %s", c.alert)
			}
			tests.Tests = append(tests.Tests, c.test(t, &list[at]))
			fires[c.alert], quiet[c.alert] = fires[c.alert] || len(c.fires) > 0, quiet[c.alert] || len(c.quiet) > 0
		}
		runPromtool(t, nil, "test", "rules", writeYAML(t, filepath.Join(dir, "tests.yaml"), tests))
		for _, alert := range list {
			if rendered == "" && (!fires[alert.Alert] || !quiet[alert.Alert]) {
				t.Errorf("%s needs a time at which it fires and a time at which it does not", alert.Alert)
			}
		}
	}
}

// TestRunbook: the runbook has a section for each alert, in the same order, and no other sections.
func TestRunbook(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/how-to/runbook.md")
	if err != nil {
		t.Fatal(err)
	}
	var sections, want []string
	for _, match := range regexp.MustCompile(`(?m)^## (\w+)$`).FindAllSubmatch(text, -1) {
		sections = append(sections, string(match[1]))
	}
	for _, alert := range alerts(t, one[monitoringv1.PrometheusRule](t, render(t, "ignore", "--set", "prometheusRule.enabled=true"))) {
		want = append(want, alert.Alert)
	}
	if diff := cmp.Diff(want, sections); diff != "" {
		t.Errorf("sections of docs/how-to/runbook.md (-alerts +sections):\n%s", diff)
	}
}

// scrape returns the body of the response to a GET.
func scrape(t *testing.T, url string) []byte {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s: %v", url, response.Status, err)
	}
	return text
}

// TestMetricsAreWellNamed runs promtool's linter on the metrics of a running webhook, and on all metrics that a webhook can have.
func TestMetricsAreWellNamed(t *testing.T) {
	t.Parallel()
	if said := runPromtool(t, bytes.NewReader(scrape(t, webhook.Metrics)), "check", "metrics"); said != "" {
		t.Errorf("promtool check metrics, of a process: %s", said)
	}
	families, err := recorded().Gatherer().Gather()
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	for _, family := range families {
		if _, err := expfmt.MetricFamilyToText(&text, family); err != nil {
			t.Fatal(err)
		}
	}
	if said := runPromtool(t, &text, "check", "metrics"); said != "" {
		t.Errorf("promtool check metrics: %s", said)
	}
}

// TestAPIServerMetrics: the API server has the metrics that the alerts and the dashboard query. To create these metrics, the test
// registers a webhook that doesn't answer, with both failure policies, and makes a change that the backstop denies.
func TestAPIServerMetrics(t *testing.T) {
	dead := closedPort(t)
	t.Run("Fail", func(t *testing.T) { register(t, dead) })
	t.Run("backstop", func(t *testing.T) { install(t, "ignore") })
	t.Run("Ignore", func(t *testing.T) {
		configuration := one[admissionregistrationv1.ValidatingWebhookConfiguration](t, render(t, "ignore"))
		for i := range configuration.Webhooks {
			c := &configuration.Webhooks[i].ClientConfig
			url := "https://" + dead + *c.Service.Path
			c.URL, c.Service, c.CABundle = &url, nil, cluster.Admin.CAData
		}
		configurations := admin.AdmissionregistrationV1().ValidatingWebhookConfigurations()
		if _, err := configurations.Create(t.Context(), configuration, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := configurations.Delete(context.Background(), configuration.Name, metav1.DeleteOptions{}); err != nil {
				t.Error(err)
			}
		})
		eventually(t, "the API server counts calls without an answer", func() error {
			_, err := as(t, "operator").CoreV1().ConfigMaps("kube-system").Create(t.Context(), awsAuth(adminEntry), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			if !bytes.Contains(apiServerText(t), []byte(`fail_open_count{name="aws-auth.awsauth-guard.io"`)) {
				return fmt.Errorf("it does not count them; the last call: %w", err)
			}
			return nil
		})
	})

	parser := expfmt.NewTextParser(model.LegacyValidation)
	byName, err := parser.TextToMetricFamilies(bytes.NewReader(apiServerText(t)))
	if err != nil {
		t.Fatal(err)
	}
	var families []*dto.MetricFamily
	for _, family := range byName {
		families = append(families, family)
	}
	series := seriesOf(families)
	objects := render(t, "ignore", "--set", "prometheusRule.enabled=true,dashboard.enabled=true")
	var queries []string
	for _, alert := range alerts(t, one[monitoringv1.PrometheusRule](t, objects)) {
		queries = append(queries, alert.Expr.String())
	}
	for _, panel := range readDashboard(t, named[corev1.ConfigMap](objects, release+"-dashboard")).Panels {
		for _, target := range panel.Targets {
			queries = append(queries, target.Expr)
		}
	}
	looked := 0
	for _, query := range queries {
		for _, s := range selectors(parsed(t, query)) {
			if !ofAPIServer.MatchString(s.Name) {
				continue
			}
			looked++
			for _, what := range missing(series, s) {
				t.Errorf("the API server has no %s", what)
			}
		}
	}
	if looked < 6 {
		t.Errorf("found only %d selectors of metrics of the API server", looked)
	}
}

// apiServerText returns the metrics of the API server.
func apiServerText(t *testing.T) []byte {
	t.Helper()
	text, err := admin.RESTClient().Get().AbsPath("/metrics").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return text
}
