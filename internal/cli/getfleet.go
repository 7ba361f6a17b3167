package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/fleet"
)

// clusterRows are the rows of one of several clusters.
type clusterRows struct {
	rows []row
	// selected has the keys of the rows that the flags select.
	selected map[string]bool
	// incomplete reports whether principals can have access without a row, because a source can't be read.
	incomplete bool
}

// getFleet lists the access in several clusters.
func (a *app) getFleet(ctx context.Context, o *getOptions) error {
	baseline, err := readGetBaseline(o.fleet.baseline)
	if err != nil {
		return err
	}
	targets, err := a.targets(ctx, &o.fleet, &o.cluster)
	if err != nil {
		return err
	}
	results, err := readFleet(ctx, a, targets, &o.fleet, func(ctx context.Context, sub *app, c *targetCluster) (clusterRows, error) {
		return sub.getRows(ctx, o, c)
	})
	if err != nil {
		return err
	}
	if len(o.principals) > 0 && !slices.ContainsFunc(results, func(r clusterResult[clusterRows]) bool { return r.status == statusOK }) {
		a.raise(statusDenied)
	}
	clusters := make([]fleet.Cluster, len(results))
	for i, r := range results {
		clusters[i] = fleet.Cluster{Name: r.name, Account: r.account, State: r.state, Incomplete: r.value.incomplete}
		for _, row := range r.value.rows {
			clusters[i].Grants = append(clusters[i].Grants, row.fleetGrant())
		}
	}
	matrix := fleet.NewMatrix(clusters)
	gained, lost := baseline.compare(matrix, results) // before the selection, so that a principal which isn't selected doesn't look lost
	keepSelected(matrix, results)
	if baseline != nil {
		matrix.Rows = slices.DeleteFunc(matrix.Rows, func(r fleet.Row) bool { return !gained[r.Key] })
		if len(matrix.Rows) > 0 {
			a.raise(statusDenied)
		}
		if lost > 0 {
			a.note("%s less access than in %s; get --baseline shows only new access", count(lost, "principal has", "principals have"), o.fleet.baseline)
		}
	}
	return outputError(o.writeFleet(a.stdout, matrix, results))
}

// raise sets the exit status if no higher one is set.
func (a *app) raise(status int) { a.status = max(a.status, status) }

// getRows returns the rows of one of several clusters, and the keys of the rows that the flags select. It returns an error if it can read
// neither aws-auth nor the access entries.
func (a *app) getRows(ctx context.Context, all *getOptions, c *targetCluster) (clusterRows, error) {
	o := *all
	o.cluster, o.target = c.flags, c
	s, err := a.readSources(ctx, &o)
	if err != nil {
		return clusterRows{}, err
	}
	if s.unread && s.cluster == nil { // no principal is known
		return clusterRows{}, a.firstError()
	}
	rows := s.rows(o.request)
	selected := slices.Clone(rows)
	if len(o.principals) > 0 {
		selected = a.ofPrincipals(selected, &o)
	}
	keys := make(map[string]bool)
	for i := range selected {
		if r := &selected[i]; o.selects(r) && r.Principal != "" {
			keys[r.key] = true
		}
	}
	unread := func(r row) bool { return r.Principal == "" && r.State == access.StateUnknown }
	return clusterRows{rows, keys, slices.ContainsFunc(rows, unread)}, nil
}

// firstError returns the first collected error, or nil if there is none. If there are several, it adds the number of the others.
func (a *app) firstError() error {
	errs := a.collected.errs
	if len(errs) < 2 {
		return errors.Join(errs...)
	}
	return fmt.Errorf("%w; %s refused or failed, too", errs[0], count(len(errs)-1, "other request was", "other requests were"))
}

// keepSelected removes each principal that the flags select in no cluster. A principal that they select in one cluster keeps its access in
// every cluster, so that get can compare it.
func keepSelected(m *fleet.Matrix, results []clusterResult[clusterRows]) {
	selected := make(map[string]bool)
	for i, r := range results {
		for key := range r.value.selected {
			selected[m.General(i, key)] = true
		}
	}
	m.Rows = slices.DeleteFunc(m.Rows, func(r fleet.Row) bool { return !selected[r.Key] })
	for i := range results {
		results[i].value.rows = slices.DeleteFunc(results[i].value.rows, func(r row) bool {
			return r.Principal != "" && !selected[m.General(i, r.key)]
		})
		m.Clusters[i].Grants = slices.DeleteFunc(m.Clusters[i].Grants, func(g fleet.Grant) bool { return !selected[m.General(i, g.Key)] })
	}
}

// fleetGrant returns the row in the form in which several clusters are compared.
func (r *row) fleetGrant() fleet.Grant {
	g := fleet.Grant{
		Key: r.key, Principal: r.Principal, Effective: r.effect, State: string(r.State), Admin: r.Admin || len(r.PathsToAdmin) > 0, Node: r.Node,
		Unknown: r.State == access.StateUnknown || len(r.Unknown) > 0, Username: r.Username, Groups: r.Groups, Policies: r.policyNames(),
	}
	g.Access = r.accessText(true)
	if names := strings.Join(g.Policies, ","); names != "" && !r.Admin {
		g.Access = strings.TrimPrefix(g.Access+","+names, ",")
	}
	return g
}
