package fleet_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/internal/fleet"
)

const arn = "arn:aws:iam::111122223333:role/"

// grant returns a grant by which a role logs in.
func grant(role, access string) fleet.Grant {
	return fleet.Grant{Key: arn + role, Principal: arn + role, Effective: true, Access: access, Username: role, Admin: access == "admin", Node: access == "node"}
}

func cluster(name string, grants ...fleet.Grant) fleet.Cluster {
	return fleet.Cluster{Name: name, State: fleet.StateOK, Grants: grants}
}

// summary returns a line for each row: the role, its access in each cluster, and the names of the clusters in which its access
// differs, each after an exclamation mark. A question mark stands for unknown access, and a dash for no access.
func summary(m *fleet.Matrix) string {
	var b strings.Builder
	for _, r := range m.Rows {
		b.WriteString(strings.TrimPrefix(r.Principal, arn) + ":")
		for i := range m.Clusters {
			switch c := r.Cell(i); {
			case c.Unknown:
				b.WriteString(" ?")
			case c.Access == "":
				b.WriteString(" -" + c.NoEffect)
			default:
				b.WriteString(" " + c.Access)
			}
		}
		for _, i := range r.Odd {
			b.WriteString(" !" + m.Clusters[i].Name)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// The principals whose access differs come first. Among them, administrators come first, then principals whose access differs
// in the fewest clusters, then nodes. The principals with the same access in all clusters follow.
func TestMatrixBeginsWithDifferences(t *testing.T) {
	m := fleet.NewMatrix([]fleet.Cluster{
		cluster("a", grant("same", "view"), grant("node-a", "node"), grant("two", "view"), grant("one", "view"), grant("root", "view")),
		cluster("b", grant("same", "view"), grant("node-b", "node"), grant("two", "edit"), grant("one", "view"), grant("root", "view")),
		cluster("c", grant("same", "view"), grant("two", "view"), grant("one", "edit"), grant("root", "admin")),
		cluster("d", grant("same", "view"), grant("one", "view"), grant("root", "view")),
	})
	want := `root: view view admin view !c
one: view view edit view !c
two: view edit view - !b !d
node-a: node - - - !a
node-b: - node - - !b
same: view view view view
`
	if diff := cmp.Diff(want, summary(m)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Access is unknown in a cluster that can't be read. If only a part of a cluster was read, the access of a principal that this
// part does not have is unknown, too. Unknown access is neither equal to other access nor different from it.
func TestMatrixKeepsUnknownAccessApart(t *testing.T) {
	partial := cluster("partial", grant("a", "view"))
	partial.State, partial.Incomplete = fleet.StatePartial, true
	guess := grant("a", "none")
	guess.Unknown = true
	m := fleet.NewMatrix([]fleet.Cluster{
		{Name: "gone", State: fleet.StateUnknown}, partial, cluster("guess", guess), cluster("x", grant("a", "view"), grant("b", "view")), cluster("y", grant("a", "view")),
	})
	want := "b: ? ? - view - !x\na: ? view ? view view\n"
	if diff := cmp.Diff(want, summary(m)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// An element without effect gives no access, so it makes no difference. Grants with different usernames or groups differ, even
// if their Access is equal.
func TestMatrixComparesAccess(t *testing.T) {
	shadowed := fleet.Grant{Key: arn + "a", Principal: arn + "a", State: "shadowed"}
	renamed, regrouped := grant("c", "view"), grant("d", "view")
	renamed.Username, regrouped.Groups = "other", []string{"g"}
	m := fleet.NewMatrix([]fleet.Cluster{
		cluster("x", shadowed, grant("b", "view"), shadowedOf("b"), grant("c", "view"), grant("d", "view")),
		cluster("y", grant("b", "view"), renamed, regrouped),
	})
	want := "c: view view !y\nd: view view !y\na: -shadowed -\nb: view view\n"
	if diff := cmp.Diff(want, summary(m)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func shadowedOf(role string) fleet.Grant {
	return fleet.Grant{Key: arn + role, Principal: arn + role, State: "shadowed"}
}

// If the clusters are in several accounts, the matrix replaces the account of a cluster in its principals by ACCOUNT. So the
// matrix compares principals of the same name. It writes the ARN of a principal of a third account in full.
func TestMatrixComparesRolesOfTheAccountOfEachCluster(t *testing.T) {
	in := func(account, suffix string) fleet.Cluster {
		c := fleet.Cluster{Name: account, Account: account, State: fleet.StateOK}
		for _, role := range []string{"arn:aws:iam::" + account + ":role/ops", "arn:aws:iam::" + account + ":role/AWSReservedSSO_Admin_" + suffix, arn + "central"} {
			c.Grants = append(c.Grants, fleet.Grant{Key: strings.ToLower(role), Principal: role, Effective: true, Access: "view", Username: "arn:aws:sts::" + account + ":assumed-role/x"})
		}
		c.Grants[2].Username = "central"
		c.Grants = append(c.Grants, fleet.Grant{Key: account, Principal: account, Effective: true, Access: "none"})
		return c
	}
	m := fleet.NewMatrix([]fleet.Cluster{in("222233334444", "0123456789abcdef"), in("333344445555", "fedcba9876543210")})
	want := "ACCOUNT: none none\ncentral: view view\narn:aws:iam::ACCOUNT:role/AWSReservedSSO_Admin_SUFFIX: view view\narn:aws:iam::ACCOUNT:role/ops: view view\n"
	if diff := cmp.Diff(want, summary(m)); diff != "" || !m.OwnAccount {
		t.Errorf("(-want +got):\n%s", diff)
	}
	m = fleet.NewMatrix([]fleet.Cluster{in("111122223333", "0123456789abcdef")})
	if text := summary(m); m.OwnAccount || strings.Contains(text, fleet.OwnAccount) || strings.Contains(text, fleet.Suffix) {
		t.Errorf("clusters of one account: %s", text)
	}
}

// Clusters with the same access of every principal share a column. The clusters that can't be read share another column.
func TestColumnsJoinEqualClusters(t *testing.T) {
	m := fleet.NewMatrix([]fleet.Cluster{
		cluster("a", grant("x", "view")), cluster("b", grant("x", "edit")), cluster("c", grant("x", "view")),
		{Name: "d", State: fleet.StateUnknown},
		{Name: "e", State: fleet.StateUnknown},
	})
	if diff := cmp.Diff([][]int{{0, 2}, {1}, {3, 4}}, m.Columns()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// WriteOpenMetrics escapes quotes, backslashes and line breaks in a label, and replaces bytes that are not UTF-8.
func TestOpenMetricsEscapesLabels(t *testing.T) {
	var b strings.Builder
	err := fleet.WriteOpenMetrics(&b, []fleet.Gauge{fleet.KnownGauge("known", []fleet.Cluster{{Name: "a\"\\\n\xff", State: fleet.StatePartial}})})
	want := "# TYPE known gauge\n# HELP known Whether the whole cluster was read (1), or not (0).\nknown{cluster=\"a\\\"\\\\\\n\ufffd\"} 0\n# EOF\n"
	if diff := cmp.Diff(want, b.String()); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}
