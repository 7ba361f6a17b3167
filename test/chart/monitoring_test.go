package chart_test

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/awsauth-guard/awsauth-guard/internal/metrics"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// series are the labels and their values that each metric of the webhook has from the start, by name.
func series(t *testing.T) map[string]map[string][]string {
	t.Helper()
	var rules []string
	for _, rule := range validate.Rules() {
		rules = append(rules, rule.ID)
	}
	families, err := metrics.New(rules).Gatherer().Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]map[string][]string)
	for _, family := range families {
		labels := make(map[string][]string)
		for _, metric := range family.GetMetric() {
			for _, pair := range metric.GetLabel() {
				labels[pair.GetName()] = append(labels[pair.GetName()], pair.GetValue())
			}
		}
		names := []string{family.GetName()}
		if family.GetType().String() == "HISTOGRAM" {
			labels["le"] = nil
			names = []string{family.GetName() + "_bucket", family.GetName() + "_sum", family.GetName() + "_count"}
		}
		for _, name := range names {
			found[name] = labels
		}
	}
	return found
}

var (
	selected = regexp.MustCompile(`([a-z_]+)(?:\{([^}]*)\})?\[|\b(awsauth_guard_[a-z_]+)(?:\{([^}]*)\})?`)
	matcher  = regexp.MustCompile(`^([a-z_]+)="([^"]*)"$`)
	grouped  = regexp.MustCompile(`\bby \(([^)]*)\)`)
)

// wantQuery checks that the webhook has each series that a query asks for.
func wantQuery(t *testing.T, query string) {
	t.Helper()
	known := series(t)
	var names []string
	for _, match := range selected.FindAllStringSubmatch(query, -1) {
		name, selector := match[1]+match[3], match[2]+match[4]
		names = append(names, name)
		if known[name] == nil {
			t.Errorf("no metric %s in %s", name, query)
			continue
		}
		for part := range strings.SplitSeq(selector, ",") {
			if part == "" {
				continue
			}
			pair := matcher.FindStringSubmatch(part)
			if len(pair) != 3 || !slices.Contains(known[name][pair[1]], pair[2]) {
				t.Errorf("no series %s{%s} in %s", name, part, query)
			}
		}
	}
	for _, match := range grouped.FindAllStringSubmatch(query, -1) {
		for label := range strings.SplitSeq(match[1], ", ") {
			if !slices.ContainsFunc(names, func(name string) bool {
				return slices.Contains(slices.Collect(maps.Keys(known[name])), label)
			}) && label != "pod" {
				t.Errorf("no label %s in %s", label, query)
			}
		}
	}
	if len(names) == 0 {
		t.Errorf("no metric in %q", query)
	}
}

// TestPrometheusRule reads each alert: what it asks for exists, and it says what has happened.
func TestPrometheusRule(t *testing.T) {
	t.Parallel()
	objects := render(t, "default", "--set", "prometheusRule.enabled=true,prometheusRule.labels.release=prometheus")
	at := slices.IndexFunc(objects, func(o object) bool { return o.GetKind() == "PrometheusRule" })
	if at < 0 {
		t.Fatal("there is none")
	}
	if objects[at].GetLabels()["release"] != "prometheus" {
		t.Errorf("labels %v", objects[at].GetLabels())
	}
	groups, _, err := unstructured.NestedSlice(objects[at].Object, "spec", "groups")
	if err != nil || len(groups) != 1 {
		t.Fatalf("%d groups: %v", len(groups), err)
	}
	alerts, _, err := unstructured.NestedSlice(groups[0].(map[string]any), "rules")
	if err != nil || len(alerts) < 4 {
		t.Fatalf("%d alerts: %v", len(alerts), err)
	}
	for _, alert := range alerts {
		alert := alert.(map[string]any)
		query, _, _ := unstructured.NestedString(alert, "expr")
		wantQuery(t, query)
		for _, field := range [][]string{{"alert"}, {"labels", "severity"}, {"annotations", "summary"}, {"annotations", "description"}} {
			if text, _, err := unstructured.NestedString(alert, field...); err != nil || text == "" || strings.Contains(text, "\n") {
				t.Errorf("%s: %q is %q: %v", query, field, text, err)
			}
		}
	}
}

// TestDashboard reads the dashboard as Grafana does.
func TestDashboard(t *testing.T) {
	t.Parallel()
	cm := named[corev1.ConfigMap](render(t, "default", "--set", "dashboard.enabled=true"), release+"-dashboard")
	if cm == nil {
		t.Fatal("there is none")
	}
	if cm.Labels["grafana_dashboard"] != "1" {
		t.Errorf("Grafana's sidecar does not find it by the labels %v", cm.Labels)
	}
	var dashboard struct {
		UID    string `json:"uid"`
		Title  string `json:"title"`
		Panels []struct {
			ID      int    `json:"id"`
			Title   string `json:"title"`
			GridPos struct {
				W int `json:"w"`
				X int `json:"x"`
			} `json:"gridPos"`
			Targets []struct {
				Expr string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
	}
	if err := json.Unmarshal([]byte(cm.Data["awsauth-guard.json"]), &dashboard); err != nil {
		t.Fatal(err)
	}
	if dashboard.UID == "" || dashboard.Title == "" || len(dashboard.Panels) == 0 {
		t.Errorf("uid %q, title %q, %d panels", dashboard.UID, dashboard.Title, len(dashboard.Panels))
	}
	ids := make(map[int]bool)
	for _, panel := range dashboard.Panels {
		if panel.Title == "" || ids[panel.ID] || panel.GridPos.W == 0 || panel.GridPos.X+panel.GridPos.W > 24 || len(panel.Targets) == 0 {
			t.Errorf("panel %+v", panel)
		}
		ids[panel.ID] = true
		for _, target := range panel.Targets {
			wantQuery(t, target.Expr)
		}
	}
}

// TestMonitoringIsOff: what needs an operator, or a Grafana, is there only when it is asked for.
func TestMonitoringIsOff(t *testing.T) {
	t.Parallel()
	objects := render(t, "default")
	for i := range objects {
		if o := &objects[i]; o.GroupVersionKind().Group == "monitoring.coreos.com" || o.GetName() == release+"-dashboard" {
			t.Errorf("%s is rendered", o.id())
		}
	}
}
