package report

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// Cluster is one of several clusters that a command read.
type Cluster struct {
	Name    string `json:"name"`
	Account string `json:"account,omitempty"` // the AWS account; empty if it is not known
	// State is ok, partial if a part of the cluster can't be read, or unknown. Errors has the reasons.
	State  string   `json:"state"`
	Errors []string `json:"errors"`
}

// ClusterAccess is one of several clusters with the changes of access by which it differs from another version.
type ClusterAccess struct {
	Cluster
	Access
}

// FleetAccess has the changes of access in several clusters.
type FleetAccess struct {
	Clusters []ClusterAccess
	// Other is the version with which each cluster is compared. OtherIsNew reports whether this is the new version, and the clusters are the
	// old ones.
	Other      string
	OtherIsNew bool
}

// jsonClusterAccess is the JSON output for one cluster.
type jsonClusterAccess struct {
	Cluster

	Changes []jsonAccess `json:"changes"`
}

// JSON writes a JSON object with a list of clusters. Each has a list of its changes.
func (f *FleetAccess) JSON(w io.Writer) error {
	list := make([]jsonClusterAccess, len(f.Clusters))
	for i, c := range f.Clusters {
		list[i] = jsonClusterAccess{c.Cluster, c.json("")}
	}
	return writeJSON(w, struct {
		ComparedWith string              `json:"comparedWith"`
		Clusters     []jsonClusterAccess `json:"clusters"`
	}{f.Other, list})
}

// Text writes the changes like [Access.Text]. It writes equal changes of several clusters once. The changes of the fewest clusters come first.
// It leaves out clusters without changes.
func (f *FleetAccess) Text(w io.Writer) error {
	type group struct {
		names   []string
		changes string
	}
	var groups []group
	index := make(map[string]int)
	for _, c := range f.Clusters {
		if len(c.Changes) == 0 {
			continue
		}
		var b strings.Builder
		for _, change := range c.Changes {
			writeChange(&b, change)
		}
		i, ok := index[b.String()]
		if !ok {
			i = len(groups)
			index[b.String()] = i
			groups = append(groups, group{changes: b.String()})
		}
		groups[i].names = append(groups[i].names, OneLine(c.Name))
	}
	slices.SortStableFunc(groups, func(a, b group) int { return cmp.Compare(len(a.names), len(b.names)) })
	b := bufio.NewWriter(w)
	for _, g := range groups {
		from, to := OneLine(f.Other), strings.Join(g.names, ", ")
		if f.OtherIsNew {
			from, to = to, from
		}
		fmt.Fprintf(b, "access: %s → %s\n%s", from, to, g.changes)
	}
	return b.Flush()
}

// LeaveOut removes the changes that the JSON of an earlier FleetAccess has for the same cluster.
func (f *FleetAccess) LeaveOut(earlier []byte) error {
	var saved struct {
		Clusters []jsonClusterAccess `json:"clusters"`
		Compared *string             `json:"comparedWith"`
	}
	if err := json.Unmarshal(earlier, &saved); err != nil {
		return err
	}
	if saved.Clusters == nil || saved.Compared == nil {
		return errors.New("it is not the output of kubectl awsauth diff -o json for several clusters")
	}
	known := make(map[string]bool)
	for _, c := range saved.Clusters {
		for _, change := range c.Changes {
			known[changeKey(c.Name, change)] = true
		}
	}
	for i := range f.Clusters {
		c := &f.Clusters[i]
		changes := c.json("")
		at := -1
		c.Changes = slices.DeleteFunc(c.Changes, func(awsauth.AccessChange) bool {
			at++
			return known[changeKey(c.Name, changes[at])]
		})
	}
	return nil
}

// changeKey returns a text that is equal for equal changes in the same cluster.
func changeKey(cluster string, change jsonAccess) string {
	return fmt.Sprintf("%q %+v", cluster, change)
}
