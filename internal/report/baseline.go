package report

import (
	"encoding/json"
	"errors"
	"slices"
)

// Baseline holds the findings of an earlier run.
type Baseline struct{ count map[string]int }

// ReadBaseline reads the findings from the JSON that [JSON] wrote for several clusters.
func ReadBaseline(src []byte) (*Baseline, error) {
	var saved struct {
		Findings []jsonFinding `json:"findings"`
		Clusters []Cluster     `json:"clusters"`
	}
	if err := json.Unmarshal(src, &saved); err != nil {
		return nil, err
	}
	if saved.Findings == nil || saved.Clusters == nil {
		return nil, errors.New("it is not the output of kubectl awsauth lint -o json for several clusters")
	}
	b := &Baseline{make(map[string]int)}
	for _, f := range saved.Findings {
		b.count[identity(f.Rule, f.File, f.Resource, f.Path, f.Message)]++
	}
	return b, nil
}

// New returns the findings that the earlier run lacks. A finding is the same even if it moved within its file. If the earlier run had fewer
// equal findings, New returns the rest of them. The caller calls New once for each file.
func (b *Baseline) New(findings []Finding) []Finding {
	return slices.DeleteFunc(slices.Clone(findings), func(f Finding) bool {
		key := identity(f.Rule, f.File, f.Resource, f.Path, f.Message)
		b.count[key]--
		return b.count[key] >= 0
	})
}
