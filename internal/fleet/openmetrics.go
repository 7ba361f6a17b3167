package fleet

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// Gauge is a metric of the OpenMetrics text format with its samples.
type Gauge struct {
	Name    string
	Help    string
	Samples []Sample
}

// Sample is a value with its labels.
type Sample struct {
	Labels []Label
	Value  int
}

// Label is the name and value of a label.
type Label struct{ Name, Value string }

// WriteOpenMetrics writes gauges in the OpenMetrics text format 1.0.0. The text also is valid in the older format of Prometheus, which the
// textfile collector of node_exporter reads.
func WriteOpenMetrics(w io.Writer, gauges []Gauge) error {
	b := bufio.NewWriter(w)
	for _, g := range gauges {
		fmt.Fprintf(b, "# TYPE %s gauge\n# HELP %[1]s %s\n", g.Name, escaped.Replace(g.Help))
		for _, s := range g.Samples {
			var labels []string
			for _, l := range s.Labels {
				labels = append(labels, l.Name+`="`+escaped.Replace(strings.ToValidUTF8(l.Value, "\ufffd"))+`"`)
			}
			fmt.Fprintf(b, "%s{%s} %d\n", g.Name, strings.Join(labels, ","), s.Value)
		}
	}
	fmt.Fprintln(b, "# EOF")
	return b.Flush()
}

// escaped escapes a text for a label or a help line (OpenMetrics 1.0.0, section Escaping).
var escaped = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

// KnownGauge returns the gauge that says for each cluster whether it was read as a whole.
func KnownGauge(name string, clusters []Cluster) Gauge {
	g := Gauge{Name: name, Help: "Whether the whole cluster was read (1), or not (0)."}
	for _, c := range clusters {
		known := 0
		if c.State == StateOK {
			known = 1
		}
		g.Samples = append(g.Samples, Sample{[]Label{{"cluster", c.Name}}, known})
	}
	return g
}
