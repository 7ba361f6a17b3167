package fleet

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// State says how much of a cluster was read.
type State string

// The states of a cluster.
const (
	StateOK      State = "ok"
	StatePartial State = "partial" // a part of the cluster can't be read
	StateUnknown State = "unknown" // the cluster can't be read
)

// Cluster holds the access in one cluster.
type Cluster struct {
	Name    string
	Account string // the AWS account of the cluster; empty if it is not known
	State   State
	// Incomplete reports whether principals can have access in the cluster without a grant in Grants, because a source can't be read.
	Incomplete bool
	Grants     []Grant
}

// Grant is the access that one element of a source gives to a principal.
type Grant struct {
	Key       string // is equal for all grants of one principal in all clusters
	Principal string // an ARN or an account
	Effective bool   // callers log in by it, or may do so
	State     string // the reason why it isn't effective
	Unknown   bool   // a part of the access is unknown
	Admin     bool
	Node      bool
	Access    string // a short text, such as admin
	Username  string
	Groups    []string
	Policies  []string
}

// Cell is the access of a principal in a cluster. The zero value means that the principal has no access.
type Cell struct {
	Access   string   `json:"access"` // a short text, such as admin
	Username string   `json:"username,omitempty"`
	Groups   []string `json:"groups,omitempty"`
	Policies []string `json:"policies,omitempty"`
	// Unknown reports whether the access or a part of it is unknown. [Row.Odd] leaves such a cell out: it isn't counted, and it never differs.
	// [Row.Accesses] and [Matrix.Columns] keep it apart from every known access.
	Unknown bool `json:"unknown,omitempty"`
	// NoEffect is the state of an element that gives no access, such as shadowed.
	NoEffect string `json:"noEffect,omitempty"`
}

// key returns a text that is equal for cells with the same access.
func (c *Cell) key() string {
	if c.Access == "" && !c.Unknown {
		return "" // without access, the reason doesn't matter
	}
	parts := append([]string{c.Access, c.Username, strconv.Itoa(len(c.Groups))}, append(c.Groups, c.Policies...)...)
	return strings.Join(parts, "\x00")
}

// Row has the access of one principal in every cluster.
type Row struct {
	Key       string // the key of the grants; see [NewMatrix]
	Principal string
	// cells has a cell for each cluster with a grant of the principal, by the index of the cluster. It has no cell for the other clusters,
	// because most principals of many clusters are in a few of them.
	cells map[int]Cell
	// absent returns the cell of a cluster without a grant.
	absent func(cluster int) Cell
	// Odd has the indexes of the clusters in which the access differs from the most frequent one. If several are equally frequent, the
	// access in the earliest cluster counts as the most frequent one.
	Odd  []int
	rank int
}

// Cell returns the access in the cluster with an index.
func (r *Row) Cell(cluster int) Cell {
	if cell, ok := r.cells[cluster]; ok {
		return cell
	}
	return r.absent(cluster)
}

// The ranks of rows: administrators and people before nodes, because the node roles of clusters usually have different names.
const (
	rankAdmin = iota
	rankOther
	rankNode
)

// Matrix compares the access of principals in clusters.
type Matrix struct {
	Clusters []Cluster
	// Rows begin with the principals whose access differs between clusters. Among these come first the principals that are an admin in a
	// cluster, and then those whose access differs in the fewest clusters. Nodes come last.
	Rows []Row
	// OwnAccount reports whether principals of the account of the cluster are written as [OwnAccount].
	OwnAccount bool
}

// OwnAccount stands for the account of the cluster in the ARNs of principals, if the clusters are in several accounts. Without it the
// same role in two accounts would be two rows. Suffix stands for the random suffix of a role of IAM Identity Center, which differs between
// accounts.
const (
	OwnAccount = "ACCOUNT"
	Suffix     = "SUFFIX"
)

var ssoSuffix = regexp.MustCompile(`(?i)(role/(?:.*/)?AWSReservedSSO_.*_)[0-9a-f]{16}$`)

// General returns the function that replaces the account of a cluster in a text by [OwnAccount], if the clusters are in several accounts.
// The key of a row is the general form of the key of its grants.
func (m *Matrix) General(cluster int, text string) string {
	return m.general(&m.Clusters[cluster], text)
}

// NewMatrix compares the access in clusters.
func NewMatrix(clusters []Cluster) *Matrix {
	m := &Matrix{Clusters: clusters}
	accounts := make(map[string]bool)
	for _, c := range clusters {
		if c.Account != "" {
			accounts[c.Account] = true
		}
	}
	m.OwnAccount = len(accounts) > 1
	byKey := make(map[string]*Row)
	var keys []string
	absent := func(i int) Cell { return Cell{Unknown: clusters[i].State == StateUnknown || clusters[i].Incomplete} }
	for i, c := range clusters {
		if c.State == StateUnknown {
			continue
		}
		for _, g := range c.Grants {
			if g.Principal == "" {
				continue
			}
			key := m.general(&c, g.Key)
			row := byKey[key]
			if row == nil {
				row = &Row{Key: key, Principal: m.general(&c, g.Principal), cells: make(map[int]Cell), absent: absent, rank: rankOther}
				byKey[key], keys = row, append(keys, key)
			}
			cell := row.cells[i]
			cell.add(g, m.general(&c, g.Username))
			row.cells[i] = cell
			switch {
			case g.Admin:
				row.rank = rankAdmin
			case g.Node && row.rank == rankOther:
				row.rank = rankNode
			}
		}
	}
	for _, key := range keys {
		row := byKey[key]
		for i, cell := range row.cells {
			if cell.Access == "" && clusters[i].Incomplete {
				row.cells[i] = Cell{Unknown: true}
			}
		}
		row.Odd = row.oddOnes(len(clusters))
		m.Rows = append(m.Rows, *row)
	}
	slices.SortStableFunc(m.Rows, func(a, b Row) int {
		same := func(r *Row) int { return min(len(r.Odd), 1) }
		return cmp.Or(cmp.Compare(same(&b), same(&a)), cmp.Compare(a.rank, b.rank), cmp.Compare(len(a.Odd), len(b.Odd)), cmp.Compare(a.Principal, b.Principal))
	})
	return m
}

// general replaces the account of the cluster in a text by OwnAccount, if the clusters are in several accounts.
func (m *Matrix) general(c *Cluster, text string) string {
	switch {
	case !m.OwnAccount || c.Account == "":
		return text
	case text == c.Account: // an account of mapAccounts
		return OwnAccount
	}
	general := strings.ReplaceAll(text, ":"+c.Account+":", ":"+OwnAccount+":")
	if general != text {
		general = ssoSuffix.ReplaceAllString(general, "${1}"+Suffix)
	}
	return general
}

// add adds the access of a grant to the cell. A principal has several grants with effect only if the authenticator picks one at random.
func (c *Cell) add(g Grant, username string) {
	switch {
	case !g.Effective:
		if c.Access == "" && c.NoEffect == "" {
			c.NoEffect = g.State
		}
		return
	case c.Access != "" && c.Access != g.Access:
		c.Access += " or " + g.Access
	default:
		c.Access = g.Access
	}
	c.NoEffect = ""
	c.Unknown = c.Unknown || g.Unknown
	c.Username = cmp.Or(c.Username, username)
	c.Groups = sorted(append(c.Groups, g.Groups...))
	c.Policies = sorted(append(c.Policies, g.Policies...))
}

func sorted(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}

// oddOnes returns the indexes of the cells that differ from the most frequent one. It leaves out cells that are unknown.
func (r *Row) oddOnes(clusters int) (odd []int) {
	type counted struct{ count, first int }
	counts := make(map[string]*counted)
	keys := make(map[int]string, len(r.cells)) // the keys of the known cells
	for i := range clusters {
		cell := r.Cell(i)
		if cell.Unknown {
			continue
		}
		key := cell.key()
		if key != "" {
			keys[i] = key
		}
		if counts[key] == nil {
			counts[key] = &counted{first: i}
		}
		counts[key].count++
	}
	usual, most := "", counted{}
	for key, c := range counts {
		if c.count > most.count || c.count == most.count && c.first < most.first {
			usual, most = key, *c
		}
	}
	for i := range clusters {
		if keys[i] != usual && !r.Cell(i).Unknown {
			odd = append(odd, i)
		}
	}
	return odd
}

// Access is one access of a principal, and the clusters in which the principal has it.
type Access struct {
	Cell
	Clusters []int // the indexes of the clusters
}

// Accesses returns each access of a principal with its clusters. The access in the fewest clusters comes first. clusters is the number of
// clusters of the matrix.
func (r *Row) Accesses(clusters int) []Access {
	var list []Access
	index := make(map[string]int)
	for i := range clusters {
		cell := r.Cell(i)
		key := cell.key() + "\x00" + cell.NoEffect + strconv.FormatBool(cell.Unknown)
		at, ok := index[key]
		if !ok {
			at = len(list)
			index[key] = at
			list = append(list, Access{Cell: cell})
		}
		list[at].Clusters = append(list[at].Clusters, i)
	}
	slices.SortStableFunc(list, func(a, b Access) int { return cmp.Compare(len(a.Clusters), len(b.Clusters)) })
	return list
}

// Columns groups the clusters in which every principal has the same access, and the clusters that can't be read. Each group has the indexes
// of its clusters.
func (m *Matrix) Columns() [][]int {
	var columns [][]int
	index := make(map[[sha256.Size]byte]int)
	for i := range m.Clusters {
		hash := sha256.New() // a text of every cluster would take much memory
		fmt.Fprintf(hash, "%s %t", m.Clusters[i].State, m.Clusters[i].Incomplete)
		for at := range m.Rows {
			if cell, ok := m.Rows[at].cells[i]; ok {
				fmt.Fprintf(hash, "%d %q %q %t", at, cell.key(), cell.NoEffect, cell.Unknown)
			}
		}
		sum := [sha256.Size]byte(hash.Sum(nil))
		at, ok := index[sum]
		if !ok {
			at = len(columns)
			index[sum] = at
			columns = append(columns, nil)
		}
		columns[at] = append(columns[at], i)
	}
	return columns
}
