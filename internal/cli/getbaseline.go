package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/fleet"
)

// getBaseline holds the access of an earlier output of get. The keys are the names of clusters, then the keys of principals, and then the
// access as text.
type getBaseline map[string]map[string]map[string]bool

// readGetBaseline reads the file of --baseline. It returns nil if there is no file.
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

// accessOf returns the access that the rows of a cluster give or may give, by the keys of principals.
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
		known[key][r.accessKey()] = true
	}
	return known
}

// accessKey returns a text that is equal for rows with the same access. It uses only fields of the JSON output.
func (r *row) accessKey() string {
	groups, policies := slices.Sorted(slices.Values(r.Groups)), slices.Clone(r.Policies)
	for i, arn := range policies {
		policies[i] += "(" + strings.Join(r.Scopes[arn], ",") + ")"
	}
	slices.Sort(policies)
	var roles []string
	for _, b := range r.Roles {
		roles = append(roles, b.Kind+" "+b.Namespace+"/"+b.Name)
	}
	slices.Sort(roles)
	return fmt.Sprintf("%q %q %q %t %t %q %q", r.Username, groups, policies, r.Admin, r.Node, slices.Compact(roles), r.PathsToAdmin)
}

// compare compares the clusters with the baseline. changed has the keys of the rows in m whose principals have access that the baseline
// lacks. lost is the number of principals that had access in the baseline and have none now. A principal that lost its access in two
// clusters counts twice. Clusters that can't be read don't count.
func (b getBaseline) compare(m *fleet.Matrix, results []clusterResult[clusterRows]) (changed map[string]bool, lost int) {
	changed = make(map[string]bool)
	for i, r := range results {
		now := accessOf(r.value.rows)
		for key, accesses := range now {
			for text := range accesses {
				if !b[r.name][key][text] && key != "" {
					changed[m.General(i, key)] = true
				}
			}
		}
		for key := range b[r.name] {
			if now[key] == nil && r.state == fleet.StateOK {
				lost++
			}
		}
	}
	return changed, lost
}
