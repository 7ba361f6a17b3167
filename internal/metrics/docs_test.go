package metrics_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/awsauth-guard/awsauth-guard/internal/metrics"
	"github.com/awsauth-guard/awsauth-guard/test/markdown"
)

// TestReference checks the table of docs/reference/metrics.md. UPDATE_GOLDEN=1 writes it.
func TestReference(t *testing.T) {
	t.Parallel()
	r := metrics.New([]string{"role-path"})
	r.ServingCertificate(time.Unix(1, 0))
	r.ServingTrust(time.Unix(1, 0), true)
	r.ServingCAStored(true)
	r.EKSRead(nil, time.Unix(1, 0))
	r.AccessEntries(1, 1, 0)
	r.RestoreReady(true)
	r.EKSKnown(true)
	r.AccessEntryStates(map[string]int{})
	stored(r)
	families, err := r.Gatherer().Gather()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("| metric | type | labels | meaning |\n|---|---|---|---|\n")
	for _, family := range families {
		if !strings.HasPrefix(family.GetName(), "awsauth_guard_") {
			continue
		}
		var labels []string
		for _, metric := range family.GetMetric() {
			for _, pair := range metric.GetLabel() {
				labels = append(labels, "`"+pair.GetName()+"`")
			}
		}
		slices.Sort(labels)
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", family.GetName(), strings.ToLower(dto.MetricType_name[int32(family.GetType())]),
			strings.Join(slices.Compact(labels), ", "), markdown.Cell(family.GetHelp()))
	}
	markdown.Hold(t, "../../docs/reference/metrics.md", "metrics", b.String())
}
