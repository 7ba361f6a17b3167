package chart_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	corev1 "k8s.io/api/core/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/metrics"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// recorded returns a Recorder in which every metric has a value.
func recorded() *metrics.Recorder {
	var rules []string
	for _, rule := range validate.Rules() {
		rules = append(rules, rule.ID)
	}
	r := metrics.New(rules)
	at := time.Unix(2e9, 0)
	r.BuildInfo("v1.2.3")
	r.ServingCertificate(at)
	r.ServingTrust(at, true)
	r.ServingCAStored(true)
	r.ConfigInUse(1)
	r.Stored(true, false)
	r.StoredAccess(1, 1, 0)
	for _, section := range []string{"mapRoles", "mapUsers", "mapAccounts"} {
		r.StoredEntries(section, 1)
	}
	r.StoredFindings(func(string, string) int { return 0 })
	r.StoredPrincipals(map[string]int{})
	r.EKSKnown(true)
	r.AccessEntryStates(map[string]int{})
	r.Leads(true)
	r.RestoreReady(true)
	r.Enforced(true)
	r.LastAdmitted(at)
	return r
}

// webhookSeries returns the series of the webhook with the labels that Prometheus adds to a target of the ServiceMonitor, and
// Prometheus's own series up.
func webhookSeries(t *testing.T) []labels.Labels {
	t.Helper()
	families, err := recorded().Gatherer().Gather()
	if err != nil {
		t.Fatal(err)
	}
	return append(seriesOf(families), labels.FromStrings(model.MetricNameLabel, "up", "job", release, "instance", "10.0.0.1:8080", "namespace", namespace, "pod", "a"))
}

// seriesOf returns the series of metrics, with the labels that Prometheus adds to a target.
func seriesOf(families []*dto.MetricFamily) (series []labels.Labels) {
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			b := labels.NewBuilder(labels.FromStrings("job", release, "instance", "10.0.0.1:8080", "namespace", namespace, "pod", "a"))
			for _, pair := range metric.GetLabel() {
				b.Set(pair.GetName(), pair.GetValue())
			}
			if family.GetType() != dto.MetricType_HISTOGRAM {
				series = append(series, b.Set(model.MetricNameLabel, family.GetName()).Labels())
				continue
			}
			for _, suffix := range []string{"_count", "_sum", "_bucket"} {
				if suffix == "_bucket" {
					b.Set("le", "+Inf")
				}
				series = append(series, b.Set(model.MetricNameLabel, family.GetName()+suffix).Labels())
			}
		}
	}
	return series
}

// ofAPIServer matches the names of the API server's metrics. [TestAPIServerMetrics] checks queries of these.
var ofAPIServer = regexp.MustCompile(`^apiserver_`)

// parsed parses a query of Prometheus. It first replaces Grafana's variables.
func parsed(t *testing.T, query string) parser.Expr {
	t.Helper()
	query = regexp.MustCompile(`\$__(rate_interval|range)`).ReplaceAllString(query, "5m")
	query = strings.ReplaceAll(query, "$cluster", ".*")
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(query)
	if err != nil {
		t.Fatalf("%v in %s", err, query)
	}
	return expr
}

// selectors returns the selectors of series in a query.
func selectors(expr parser.Node) (found []*parser.VectorSelector) {
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		if s, ok := node.(*parser.VectorSelector); ok {
			found = append(found, s)
		}
		return nil
	})
	return found
}

// selected returns the series that all matchers match.
func selected(series []labels.Labels, matchers []*labels.Matcher) (found []labels.Labels) {
	for _, s := range series {
		if !slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(s.Get(m.Name)) }) {
			found = append(found, s)
		}
	}
	return found
}

// missing returns the selector if no series matches it. For a pattern of alternatives, it also returns each
// alternative that no series has.
func missing(series []labels.Labels, s *parser.VectorSelector) (list []string) {
	if len(selected(series, s.LabelMatchers)) == 0 {
		list = append(list, s.String())
	}
	for i, m := range s.LabelMatchers {
		if m.Type != labels.MatchRegexp || !alternatives.MatchString(m.Value) {
			continue
		}
		for value := range strings.SplitSeq(m.Value, "|") {
			matchers := slices.Clone(s.LabelMatchers)
			matchers[i] = labels.MustNewMatcher(labels.MatchEqual, m.Name, value)
			if len(selected(series, matchers)) == 0 {
				list = append(list, value+" in "+s.String())
			}
		}
	}
	return list
}

// alternatives matches a pattern of alternatives, such as failed|limited.
var alternatives = regexp.MustCompile(`^[a-z_]+(\|[a-z_]+)+$`)

// wantQuery checks that the webhook has the series that a query selects, and the labels by which the query groups
// them.
func wantQuery(t *testing.T, query string) {
	t.Helper()
	expr, series := parsed(t, query), webhookSeries(t)
	if len(selectors(expr)) == 0 {
		t.Errorf("no metric in %q", query)
	}
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		var names []string
		switch n := node.(type) {
		case *parser.VectorSelector:
			if !ofAPIServer.MatchString(n.Name) {
				for _, what := range missing(series, n) {
					t.Errorf("there is no %s", what)
				}
			}
		case *parser.AggregateExpr:
			names = n.Grouping
		case *parser.BinaryExpr:
			if n.VectorMatching != nil && n.VectorMatching.On {
				names = n.VectorMatching.MatchingLabels
			}
		}
		for _, name := range names {
			if slices.Contains([]string{"job", "instance", "namespace", "pod"}, name) {
				continue // Prometheus adds this label
			}
			for _, s := range selectors(node) {
				if !slices.ContainsFunc(selected(series, s.LabelMatchers), func(s labels.Labels) bool { return s.Has(name) }) {
					t.Errorf("%s has no label %s, in %s", s, name, query)
				}
			}
		}
		return nil
	})
}

// TestMissing: missing finds a wrong name of a metric, a wrong label and a wrong value in a selector, and accepts correct selectors.
func TestMissing(t *testing.T) {
	t.Parallel()
	series := webhookSeries(t)
	for query, good := range map[string]bool{
		`awsauth_guard_restores_total{result=~"limited|failed"}`:    true,
		`awsauth_guard_restores_total{result=~"limited|abandoned"}`: false,
		`awsauth_guard_restores_total{result="abandoned"}`:          false,
		`awsauth_guard_restores_total{kind="failed"}`:               false,
		`awsauth_guard_restored_total`:                              false,
		`awsauth_guard_review_duration_seconds`:                     false,
		`awsauth_guard_review_duration_seconds_bucket{le="+Inf"}`:   true,
	} {
		for _, s := range selectors(parsed(t, query)) {
			if got := missing(series, s); len(got) == 0 != good {
				t.Errorf("%s: missing %q", query, got)
			}
		}
	}
}

// alerts returns the alerts of a PrometheusRule.
func alerts(t *testing.T, rule *monitoringv1.PrometheusRule) (list []monitoringv1.Rule) {
	t.Helper()
	for _, group := range rule.Spec.Groups {
		list = append(list, group.Rules...)
	}
	if len(list) < 20 {
		t.Fatalf("%d alerts", len(list))
	}
	return list
}

// runbook is the page to which the alerts link.
const runbook = "https://github.com/awsauth-guard/awsauth-guard/blob/main/docs/how-to/runbook.md"

var labelInText = regexp.MustCompile(`\$labels\.([a-z_]+)`)

// TestPrometheusRule: the series that an alert queries exist. Each alert has a severity, a summary, a description
// with the first step, and a link to the runbook.
func TestPrometheusRule(t *testing.T) {
	t.Parallel()
	rule := one[monitoringv1.PrometheusRule](t, render(t, "ignore", "--set", "prometheusRule.enabled=true,prometheusRule.labels.release=prometheus"))
	if rule.Labels["release"] != "prometheus" {
		t.Errorf("labels %v", rule.Labels)
	}
	for _, alert := range alerts(t, rule) {
		wantQuery(t, alert.Expr.String())
		if !slices.Contains([]string{"critical", "warning", "info"}, alert.Labels["severity"]) || alert.Labels["namespace"] != namespace {
			t.Errorf("%s has the labels %v", alert.Alert, alert.Labels)
		}
		for _, name := range []string{"summary", "description"} {
			if text := alert.Annotations[name]; text == "" || strings.Contains(text, "\n") || strings.Contains(text, "<no value>") {
				t.Errorf("%s: %s is %q", alert.Alert, name, text)
			}
		}
		if !strings.Contains(alert.Annotations["description"], "First") {
			t.Errorf("%s does not say what to do first: %q", alert.Alert, alert.Annotations["description"])
		}
		if want := runbook + "#" + strings.ToLower(alert.Alert); alert.Annotations["runbook_url"] != want {
			t.Errorf("%s leads to %s, want %s", alert.Alert, alert.Annotations["runbook_url"], want)
		}
		for _, match := range labelInText.FindAllStringSubmatch(alert.Annotations["summary"]+alert.Annotations["description"], -1) {
			if !strings.Contains(alert.Expr.String(), "by ("+match[1]+")") {
				t.Errorf("%s has no label %s", alert.Alert, match[1])
			}
		}
	}
}

// dashboard has the fields of a Grafana dashboard that the tests check.
type dashboard struct {
	UID        string `json:"uid"`
	Title      string `json:"title"`
	Templating struct {
		List []struct {
			Name     string `json:"name"`
			AllValue string `json:"allValue"`
		} `json:"list"`
	} `json:"templating"`
	Panels []struct {
		ID      int    `json:"id"`
		Type    string `json:"type"`
		Title   string `json:"title"`
		GridPos struct {
			W int `json:"w"`
			H int `json:"h"`
			X int `json:"x"`
			Y int `json:"y"`
		} `json:"gridPos"`
		FieldConfig struct {
			Defaults struct {
				Decimals *int   `json:"decimals"`
				NoValue  string `json:"noValue"`
			} `json:"defaults"`
		} `json:"fieldConfig"`
		Targets []struct {
			Expr         string `json:"expr"`
			Instant      bool   `json:"instant"`
			LegendFormat string `json:"legendFormat"`
		} `json:"targets"`
	} `json:"panels"`
}

func readDashboard(t *testing.T, cm *corev1.ConfigMap) (d dashboard) {
	t.Helper()
	if err := json.Unmarshal([]byte(cm.Data["awsauth-guard.json"]), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// TestDashboard decodes the dashboard as Grafana does, and checks its panels and queries.
func TestDashboard(t *testing.T) {
	t.Parallel()
	cm := named[corev1.ConfigMap](render(t, "default", "--set", "dashboard.enabled=true"), release+"-dashboard")
	if cm == nil {
		t.Fatal("the chart renders no dashboard")
	}
	if cm.Labels["grafana_dashboard"] != "1" {
		t.Errorf("Grafana's sidecar does not find it by the labels %v", cm.Labels)
	}
	dashboard := readDashboard(t, cm)
	if dashboard.UID == "" || dashboard.Title == "" || len(dashboard.Panels) == 0 {
		t.Errorf("uid %q, title %q, %d panels", dashboard.UID, dashboard.Title, len(dashboard.Panels))
	}
	ids := make(map[int]bool)
	taken := make(map[[2]int]string)
	for _, panel := range dashboard.Panels {
		at := panel.GridPos
		if panel.Title == "" || ids[panel.ID] || at.W == 0 || at.H == 0 || at.X+at.W > 24 || len(panel.Targets) == 0 != (panel.Type == "row") {
			t.Errorf("panel %+v", panel)
		}
		ids[panel.ID] = true
		for x := at.X; x < at.X+at.W; x++ {
			for y := at.Y; y < at.Y+at.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" {
					t.Fatalf("the panel %q overlaps the panel %q", panel.Title, other)
				}
				taken[[2]int{x, y}] = panel.Title
			}
		}
		for _, target := range panel.Targets {
			wantQuery(t, target.Expr)
			for _, match := range regexp.MustCompile(`\{\{([a-z_]+)}}`).FindAllStringSubmatch(target.LegendFormat, -1) {
				if !regexp.MustCompile(`by \(([a-z_]+, )*` + match[1] + `\b`).MatchString(target.Expr) {
					t.Errorf("%s has no label %s", target.Expr, match[1])
				}
			}
		}
	}
}

// TestDashboardStats: a stat panel shows the current number as an integer, or a text if it has no value, as when no pod answers. Each
// query selects the chosen clusters. The choice "all" includes series without the label cluster.
func TestDashboardStats(t *testing.T) {
	t.Parallel()
	dashboard := readDashboard(t, named[corev1.ConfigMap](render(t, "default", "--set", "dashboard.enabled=true"), release+"-dashboard"))
	all := ""
	for _, variable := range dashboard.Templating.List {
		if variable.Name == "cluster" {
			all = variable.AllValue
		}
	}
	if all != ".*" {
		t.Errorf("the choice of all clusters has the value %q, want .*", all)
	}
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			if (panel.Type == "stat") != target.Instant {
				t.Errorf("%q is a %s, and its query is instant: %t", panel.Title, panel.Type, target.Instant)
			}
			for _, s := range selectors(parsed(t, target.Expr)) {
				if !slices.ContainsFunc(s.LabelMatchers, func(m *labels.Matcher) bool { return m.Name == "cluster" }) {
					t.Errorf("the query of %q does not select the chosen clusters: %s", panel.Title, s)
				}
			}
		}
		if defaults := panel.FieldConfig.Defaults; panel.Type == "stat" && (defaults.NoValue == "" || defaults.Decimals == nil || *defaults.Decimals != 0) {
			t.Errorf("%q shows %q if it has no value, or does not show integers; want a text and 0 decimals", panel.Title, defaults.NoValue)
		}
	}
}

// TestMonitoringIsOff: by default, the chart renders no objects that need the Prometheus operator or Grafana.
func TestMonitoringIsOff(t *testing.T) {
	t.Parallel()
	objects := render(t, "default")
	for i := range objects {
		if o := &objects[i]; o.GroupVersionKind().Group == "monitoring.coreos.com" || o.GetName() == release+"-dashboard" {
			t.Errorf("%s is rendered", o.id())
		}
	}
}
