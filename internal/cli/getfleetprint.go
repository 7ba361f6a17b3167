package cli

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/awsauth-guard/awsauth-guard/internal/fleet"
	"github.com/awsauth-guard/awsauth-guard/internal/report"
)

// formatOpenMetrics is the format for Prometheus. Only commands that read several clusters have it.
const formatOpenMetrics = "openmetrics"

// maxColumns is the highest number of columns for clusters in the matrix. With more columns the lines are too long to read, so get lists
// the clusters of each access instead.
const maxColumns = 8

// fleetAccess is the JSON output of get for several clusters.
type fleetAccess struct {
	Clusters   []fleetCluster   `json:"clusters"`
	Principals []fleetPrincipal `json:"principals"`
}

// fleetCluster is one of several clusters in the JSON output.
type fleetCluster struct {
	Name    string      `json:"name"`
	Account string      `json:"account,omitempty"`
	State   fleet.State `json:"state"`
	Errors  []string    `json:"errors"`
	Rows    []row       `json:"rows"`
}

// fleetPrincipal has the access of a principal in several clusters.
type fleetPrincipal struct {
	Principal string              `json:"principal"`
	Differs   bool                `json:"differs"`
	Access    []fleetAccessOfSome `json:"access"`
}

// fleetAccessOfSome is one access of a principal, and the clusters in which the principal has it.
type fleetAccessOfSome struct {
	fleet.Cell

	Clusters []string `json:"clusters"`
}

// writeFleet writes the access in several clusters in the format that the flags select.
func (o *getOptions) writeFleet(w io.Writer, m *fleet.Matrix, results []clusterResult[clusterRows]) error {
	switch o.format.value {
	case formatJSON, formatYAML:
		return writeObject(w, o.format.value, newFleetAccess(m, results))
	case formatOpenMetrics:
		return fleet.WriteOpenMetrics(w, accessGauges(m))
	case formatName:
		var b strings.Builder
		for _, r := range m.Rows {
			fmt.Fprintln(&b, report.OneLine(r.Principal))
		}
		_, err := io.WriteString(w, b.String())
		return err
	}
	columns := m.Columns()
	if o.format.value == formatWide || len(columns) > maxColumns {
		return o.writeAccesses(w, m)
	}
	return o.writeMatrix(w, m, columns)
}

func newFleetAccess(m *fleet.Matrix, results []clusterResult[clusterRows]) fleetAccess {
	all := fleetAccess{Clusters: []fleetCluster{}, Principals: []fleetPrincipal{}}
	for _, r := range results {
		all.Clusters = append(all.Clusters, fleetCluster{r.name, r.account, r.state, r.reasons(), append([]row{}, r.value.rows...)})
	}
	for _, r := range m.Rows {
		p := fleetPrincipal{Principal: r.Principal, Differs: len(r.Odd) > 0}
		for _, access := range r.Accesses(len(m.Clusters)) {
			p.Access = append(p.Access, fleetAccessOfSome{access.Cell, clusterNames(m, access.Clusters)})
		}
		all.Principals = append(all.Principals, p)
	}
	return all
}

// clusterNames returns the names of the clusters with these indexes.
func clusterNames(m *fleet.Matrix, indexes []int) []string {
	list := make([]string, len(indexes))
	for i, index := range indexes {
		list[i] = m.Clusters[index].Name
	}
	return list
}

// accessGauges returns the metrics of get: which clusters were read as a whole, the number of principals with access in each cluster by the
// kind of their access, and the number of principals whose access in the cluster differs from that in most clusters. The two numbers leave
// out a cluster that was not read as a whole.
func accessGauges(m *fleet.Matrix) []fleet.Gauge {
	principals := fleet.Gauge{Name: "awsauth_guard_fleet_principals", Help: "Principals that can log in to the cluster."}
	odd := fleet.Gauge{Name: "awsauth_guard_fleet_odd_principals", Help: "Principals whose access in the cluster differs from their access in most clusters."}
	differ := make([]int, len(m.Clusters)) // for each cluster, the number of principals whose access differs there
	for _, r := range m.Rows {
		for _, i := range r.Odd {
			differ[i]++
		}
	}
	for i, c := range m.Clusters {
		if c.State != fleet.StateOK {
			continue // a count of the readable part would look like the whole number
		}
		count := make(map[string]int)
		for _, g := range c.Grants {
			if kind := kindOf(g); g.Effective && g.Principal != "" {
				count[kind]++
			}
		}
		cluster := fleet.Label{Name: "cluster", Value: c.Name}
		for _, kind := range []string{kindAdmin, kindNode, kindOther} {
			principals.Samples = append(principals.Samples, fleet.Sample{Labels: []fleet.Label{cluster, {Name: "access", Value: kind}}, Value: count[kind]})
		}
		odd.Samples = append(odd.Samples, fleet.Sample{Labels: []fleet.Label{cluster}, Value: differ[i]})
	}
	return []fleet.Gauge{fleet.KnownGauge("awsauth_guard_fleet_cluster_known", m.Clusters), principals, odd}
}

// The values of the label access. An admin is a principal that is an admin or can become one.
const (
	kindAdmin = "admin"
	kindNode  = "node"
	kindOther = "other"
)

func kindOf(g fleet.Grant) string {
	switch {
	case g.Admin:
		return kindAdmin
	case g.Node:
		return kindNode
	}
	return kindOther
}

// writeMatrix writes a table with a line for each principal and a column for each group of clusters with the same access. Below the table
// it lists the clusters of each group that has several. With --no-headers it omits this list.
func (o *getOptions) writeMatrix(w io.Writer, m *fleet.Matrix, columns [][]int) error {
	names := make([]string, len(m.Clusters))
	for i, c := range m.Clusters {
		names[i] = c.Name
	}
	short := shortNames(names)
	t := tabwriter.NewWriter(w, 0, 8, 3, ' ', 0)
	header := []string{"PRINCIPAL", "DIFFERS IN"}
	var groups []string
	for _, column := range columns {
		name := short[column[0]]
		if len(column) > 1 {
			name += fmt.Sprintf(" +%d", len(column)-1)
			groups = append(groups, report.OneLine(name+": "+strings.Join(clusterNames(m, column), ", ")))
		}
		header = append(header, name)
	}
	if !o.noHeaders {
		writeCells(t, header)
	}
	for _, r := range m.Rows {
		texts := cellTexts(&r, len(m.Clusters))
		cells := []string{r.Principal, oddNames(&r, short)}
		for _, column := range columns {
			cells = append(cells, texts[column[0]])
		}
		writeCells(t, cells)
	}
	if err := t.Flush(); err != nil || o.noHeaders || len(groups) == 0 {
		return err
	}
	_, err := fmt.Fprintln(w, "\n"+strings.Join(groups, "\n"))
	return err
}

// writeCells writes a line of a table. A hyphen stands for an empty cell.
func writeCells(w io.Writer, cells []string) {
	for i, cell := range cells {
		cells[i] = cmp.Or(report.OneLine(cell), "-")
	}
	fmt.Fprintln(w, strings.Join(cells, "\t"))
}

// maxNames is the highest number of clusters that a cell names. With -o wide, the column CLUSTERS names all of them.
const maxNames = 3

// oddNames names the clusters in which the access of a principal differs. If there are more than maxNames, it returns only their number.
func oddNames(r *fleet.Row, names []string) string {
	if len(r.Odd) > maxNames {
		return fmt.Sprintf("%d clusters", len(r.Odd))
	}
	var list []string
	for _, i := range r.Odd {
		list = append(list, names[i])
	}
	return strings.Join(list, ",")
}

// cellTexts returns the text for the access of a principal in each cluster. If different accesses have the same short text, their groups
// follow. If the texts are then still equal, the usernames follow, too.
func cellTexts(r *fleet.Row, clusters int) []string {
	forms := []func(*fleet.Cell) string{
		func(c *fleet.Cell) string { return c.Access },
		func(c *fleet.Cell) string { return c.Access + " [" + strings.Join(c.Groups, ",") + "]" },
		func(c *fleet.Cell) string {
			return c.Access + " [" + strings.Join(c.Groups, ",") + "] as " + cmp.Or(c.Username, "-")
		},
	}
	accesses := r.Accesses(clusters)
	var texts []string
	for _, form := range forms {
		texts = make([]string, clusters)
		clash, seen := false, make(map[string]bool)
		for _, access := range accesses {
			text := cellText(&access.Cell, form)
			if access.Access != "" && !access.Unknown {
				clash = clash || seen[text]
				seen[text] = true
			}
			for _, i := range access.Clusters {
				texts[i] = text
			}
		}
		if !clash {
			break
		}
	}
	return texts
}

func cellText(c *fleet.Cell, form func(*fleet.Cell) string) string {
	switch {
	case c.Unknown:
		return unknownText
	case c.Access == "":
		return c.NoEffect
	}
	return form(c)
}

// writeAccesses writes a table with a line for each access of a principal and the clusters in which the principal has it.
func (o *getOptions) writeAccesses(w io.Writer, m *fleet.Matrix) error {
	wide := o.format.value == formatWide
	t := tabwriter.NewWriter(w, 0, 8, 3, ' ', 0)
	header := []string{"PRINCIPAL", "DIFFERS", "ACCESS", "CLUSTERS"}
	if wide {
		header = []string{"PRINCIPAL", "DIFFERS", "ACCESS", "USERNAME", "GROUPS", "POLICIES", "CLUSTERS"}
	}
	if !o.noHeaders {
		writeCells(t, header)
	}
	for _, r := range m.Rows {
		texts, differs := cellTexts(&r, len(m.Clusters)), "no"
		if len(r.Odd) > 0 {
			differs = "yes"
		}
		for _, access := range r.Accesses(len(m.Clusters)) {
			cells := []string{r.Principal, differs, texts[access.Clusters[0]], someClusters(clusterNames(m, access.Clusters), wide)}
			if wide {
				text := cellText(&access.Cell, func(c *fleet.Cell) string { return c.Access })
				cells = []string{cells[0], differs, text, access.Username, strings.Join(access.Groups, ","), strings.Join(access.Policies, ","), cells[3]}
			}
			writeCells(t, cells)
		}
	}
	return t.Flush()
}

// someClusters returns the number of clusters, and the names of the first maxNames. If allNames is true, it returns all names.
func someClusters(names []string, allNames bool) string {
	text := fmt.Sprintf("%d: ", len(names))
	if len(names) > maxNames && !allNames {
		return text + strings.Join(names[:maxNames], ", ") + ", …"
	}
	return text + strings.Join(names, ", ")
}
