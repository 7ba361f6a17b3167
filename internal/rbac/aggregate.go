package rbac

import (
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Aggregate fills the rules of aggregated ClusterRoles that have no rules, as the controller does in a cluster
// (kubernetes v1.36.3, pkg/controller/clusterroleaggregation). Objects from files may lack these rules. Objects from an
// API server have them.
func (o *Objects) Aggregate() {
	a := aggregation{roles: o.ClusterRoles, state: make([]int, len(o.ClusterRoles))}
	for i := range a.roles {
		a.fill(i)
	}
}

type aggregation struct {
	roles []rbacv1.ClusterRole
	state []int // the state of each role
}

// The values of aggregation.state. They tell whether fill has completed the rules of a ClusterRole.
const (
	untouched = iota
	filling
	filled
)

// fill gives an aggregated ClusterRole without rules the rules of the roles that it selects. A selected role may be
// aggregated, too, so fill first fills the selected roles. In a cycle of such roles, a role that is still being filled
// contributes only the rules that it already has.
func (a *aggregation) fill(i int) {
	r := &a.roles[i]
	if a.state[i] != untouched {
		return
	}
	a.state[i] = filling
	defer func() { a.state[i] = filled }()
	if r.AggregationRule == nil || len(r.Rules) > 0 {
		return
	}
	has := make(map[string]bool)
	for _, j := range a.selected(r) {
		a.fill(j)
		for _, rule := range a.roles[j].Rules {
			text := fmt.Sprintf("%q%q%q%q%q", rule.Verbs, rule.APIGroups, rule.Resources, rule.ResourceNames, rule.NonResourceURLs)
			if !has[text] {
				has[text] = true
				r.Rules = append(r.Rules, rule)
			}
		}
	}
}

// selected returns the indexes of the roles that the role selects by their labels, in the order of their names. It
// leaves out the role itself.
func (a *aggregation) selected(r *rbacv1.ClusterRole) []int {
	var selectors []labels.Selector
	for i := range r.AggregationRule.ClusterRoleSelectors {
		if selector, err := metav1.LabelSelectorAsSelector(&r.AggregationRule.ClusterRoleSelectors[i]); err == nil {
			selectors = append(selectors, selector)
		}
	}
	var list []int
	for j := range a.roles {
		if a.roles[j].Name != r.Name && slices.ContainsFunc(selectors, func(s labels.Selector) bool { return s.Matches(labels.Set(a.roles[j].Labels)) }) {
			list = append(list, j)
		}
	}
	slices.SortFunc(list, func(i, j int) int { return strings.Compare(a.roles[i].Name, a.roles[j].Name) })
	return list
}
