package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/fleet"
	"github.com/awsauth-guard/awsauth-guard/internal/report"
)

// diffFleet compares each of several clusters with a file, or with the first cluster.
func (a *app) diffFleet(ctx context.Context, o *diffOptions, files []string) error {
	out := report.FleetAccess{OtherIsNew: len(files) > 0}
	var other object
	if len(files) > 0 {
		in, after, err := a.readSingle(files[0], "the new version", parseInput)
		if err != nil {
			return err
		}
		a.noteUnloadedSections(in.name, after)
		out.Other, other = in.name, after
	}
	targets, err := a.targets(ctx, &o.fleet, &o.cluster)
	if err != nil {
		return err
	}
	if len(files) == 0 && len(targets) < 2 {
		return errors.New("there is only one cluster; name NEW, or a second cluster to compare it with")
	}
	results, err := readFleet(ctx, a, targets, &o.fleet, readStoredObject)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		first := &results[0]
		out.Other, other = liveName(first.name), first.value
		results = results[1:]
		if first.state != fleet.StateOK {
			a.note("%s can't be read, and the other clusters are compared with it; name another cluster first", first.name)
			for i := range results {
				r := &results[i]
				r.state = fleet.StateUnknown
				r.errs = append(r.errs, fmt.Errorf("%s, with which this cluster is compared, can't be read: %w", first.name, errors.Join(first.errs...)))
			}
		}
	}
	for _, r := range results {
		c := report.ClusterAccess{Cluster: r.report()}
		if r.state == fleet.StateOK {
			before, after := r.value, other
			if !out.OtherIsNew {
				before, after = after, before
			}
			if c.Changes, err = accessChanges(before, withKeysOf(before, after)); err != nil {
				a.raise(statusUnknown)
				c.State, c.Errors = string(fleet.StateUnknown), append(c.Errors, err.Error())
				a.printErrors(fmt.Errorf("%s: %w", r.name, err))
			}
		}
		out.Clusters = append(out.Clusters, c)
	}
	if o.fleet.baseline != "" {
		if err := readBaseline(o.fleet.baseline, out.LeaveOut); err != nil {
			return err
		}
	}
	differ, unknown := 0, 0
	for _, c := range out.Clusters {
		switch {
		case c.State != string(fleet.StateOK):
			unknown++
		case len(c.Changes) > 0:
			differ++
			a.raise(statusDenied)
		}
	}
	a.summary("%s: %d different from %s, %d unknown", count(len(out.Clusters), "cluster", "clusters"), differ, out.Other, unknown)
	return a.print(&out, &o.format)
}

// readStoredObject reads the aws-auth of one of several clusters. If the cluster has none, and its authentication mode is known, the object is
// empty.
func readStoredObject(ctx context.Context, a *app, c *targetCluster) (object, error) {
	in, err := readStored(ctx, a, c)
	if err != nil || len(in.objects) == 0 {
		return object{Object: &awsauth.Object{}}, err
	}
	a.noteUnloadedSections(in.name, in.objects[0])
	return in.objects[0], nil
}
