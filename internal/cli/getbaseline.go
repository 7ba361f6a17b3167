package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/fleet"
)

// getBaseline holds the access of an earlier output of get. The keys are the names of clusters, then the keys of principals, and then the
// items of their access; see accessItems.
type getBaseline map[string]map[string]map[string]bool

// readGetBaseline reads the file of --baseline. It returns nil if file is empty, because the user did not set the flag.
func readGetBaseline(file string) (getBaseline, error) {
	if file == "" {
		return nil, nil
	}
	var saved fleetAccess
	err := readBaseline(file, func(src []byte) error {
		err := json.Unmarshal(src, &saved)
		if err == nil && (saved.Clusters == nil || saved.Principals == nil) {
			err = errors.New("it is not the output of kubectl awsauth get -o json for several clusters")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	b := make(getBaseline)
	for _, c := range saved.Clusters {
		b[c.Name] = accessOf(c.Rows)
	}
	return b, nil
}

// accessOf returns the items of access that the rows of a cluster give, by the keys of principals. It leaves out rows by which no caller
// logs in.
func accessOf(rows []row) map[string]map[string]bool {
	known := make(map[string]map[string]bool)
	for i := range rows {
		r := &rows[i]
		if r.State != access.StateOK && r.State != access.StateUnknown {
			continue
		}
		key := access.CallerKey(r.Principal)
		if known[key] == nil {
			known[key] = make(map[string]bool)
		}
		for _, item := range r.accessItems() {
			known[key][item] = true
		}
	}
	return known
}

// accessItems returns the parts of the access that a row gives, as texts. It uses only fields of the JSON output, because the rows of a
// baseline have no others.
func (r *row) accessItems() []string {
	items := []string{fmt.Sprintf("username %q", r.Username)}
	for _, group := range r.Groups {
		items = append(items, "group "+group)
	}
	for _, arn := range r.Policies {
		namespaces, limited := r.Scopes[arn]
		if !limited {
			items = append(items, policyPrefix+arn)
		}
		for _, namespace := range namespaces {
			items = append(items, policyPrefix+arn+inNamespace+namespace)
		}
	}
	for _, b := range r.Roles {
		item := rolePrefix + b.Kind + " " + b.Name
		if b.Namespace != "" {
			item += inNamespace + b.Namespace
		}
		items = append(items, item)
	}
	for _, path := range r.PathsToAdmin {
		items = append(items, pathPrefix+path)
	}
	if r.Admin {
		items = append(items, adminItem)
	}
	if r.Node {
		items = append(items, "node")
	}
	return items
}

// The parts of the texts by which gains recognizes that an item includes another one: adminItem includes every item with one of the
// prefixes, and an item for the whole cluster includes the same item with inNamespace and a namespace.
const (
	adminItem    = "admin"
	pathPrefix   = "path to admin "
	policyPrefix = "policy "
	rolePrefix   = "role "
	inNamespace  = "\x00"
)

// gains reports whether now has an item of access that no item of before includes. Both hold the access of one principal.
func gains(before, now map[string]bool) bool {
	for item := range now {
		whole, _, _ := strings.Cut(item, inNamespace)
		right := strings.HasPrefix(item, pathPrefix) || strings.HasPrefix(item, policyPrefix) || strings.HasPrefix(item, rolePrefix)
		had := before[item] || before[whole] || right && before[adminItem]
		if !had {
			return true
		}
	}
	return false
}

// compare compares the clusters with the baseline. gained has the keys of the rows in m of principals with an access that they lack in the
// baseline. lost counts the principals that lack an access of the baseline in a cluster and gained nothing there. A principal counts once
// for each such cluster. lost leaves out clusters that were not read as a whole.
func (b getBaseline) compare(m *fleet.Matrix, results []clusterResult[clusterRows]) (gained map[string]bool, lost int) {
	gained = make(map[string]bool)
	for i, r := range results {
		now := accessOf(r.value.rows)
		for key, items := range now {
			if key != "" && gains(b[r.name][key], items) {
				gained[m.General(i, key)] = true
			}
		}
		for key, before := range b[r.name] {
			if r.state == fleet.StateOK && key != "" && !gains(before, now[key]) && gains(now[key], before) {
				lost++
			}
		}
	}
	return gained, lost
}
