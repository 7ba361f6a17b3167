package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/eks"
	"github.com/awsauth-guard/awsauth-guard/internal/fleet"
	"github.com/awsauth-guard/awsauth-guard/internal/report"
)

// target is one of several clusters, or a region whose clusters can't be listed.
type target struct {
	name    string
	account string // the AWS account of the cluster; empty if it is not known
	// connect returns the cluster with the flags that choose it, so that the functions for one cluster can read it. connect may call AWS. It
	// returns an error if the cluster can't be read.
	connect func(ctx context.Context) (*targetCluster, error)
}

// targetCluster is a target that a command is reading.
type targetCluster struct {
	flags clusterFlags
	mode  access.Mode // the authentication mode; empty if it is not known

	// The following fields are set only with --clusters.
	eks     *eks.Client
	eksName string // the name of the EKS cluster
	private bool   // clients outside the VPC can't reach the API server
}

// close closes the connections to the API server.
func (c *targetCluster) close() { utilnet.CloseIdleConnectionsFor(c.flags.chosen.http.Transport) }

// targets returns the clusters that the flags choose. It returns an error if there are more than [fleet.MaxClusters].
func (a *app) targets(ctx context.Context, f *fleetFlags, c *clusterFlags) (list []target, err error) {
	if f.clusters != "" {
		list, err = a.accountTargets(ctx, f, c)
	} else {
		list, err = contextTargets(f, c)
	}
	if err == nil && len(list) > fleet.MaxClusters {
		err = fmt.Errorf("%d clusters are more than the limit of %d; choose fewer clusters", len(list), fleet.MaxClusters)
	}
	return list, err
}

// contextTargets returns the clusters of the contexts in f.contexts, each once. For all contexts the first one is the current context, and
// the others follow by name. An unknown name is an error.
func contextTargets(f *fleetFlags, c *clusterFlags) ([]target, error) {
	raw, err := c.loader().RawConfig()
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	names := slices.Sorted(maps.Keys(raw.Contexts))
	if len(names) == 0 {
		return nil, errors.New("the kubeconfig has no contexts; set --kubeconfig")
	}
	if !slices.Contains(f.contexts, allContexts) {
		names = nil
		for _, name := range f.contexts {
			if raw.Contexts[name] == nil {
				return nil, fmt.Errorf("--contexts: the kubeconfig has no context %q; kubectl config get-contexts lists the contexts", name)
			}
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	} else if i := slices.Index(names, raw.CurrentContext); i > 0 {
		names = slices.Insert(slices.Delete(names, i, i+1), 0, raw.CurrentContext)
	}
	list := make([]target, len(names))
	for i, name := range names {
		list[i] = contextTarget(name, &raw, c)
	}
	return list, nil
}

// contextTarget returns the target for the cluster of a context. A fault of the context is an error of connect, so that it concerns only
// this cluster.
func contextTarget(name string, raw *clientcmdapi.Config, c *clusterFlags) target {
	flags := *c
	flags.overrides.CurrentContext = name
	config, _, err := flags.configFrom(clientcmd.NewNonInteractiveClientConfig(*raw, name, &flags.overrides, nil))
	t := target{name: name, connect: func(context.Context) (*targetCluster, error) {
		if err != nil {
			return nil, err
		}
		return c.choose("context", name, config)
	}}
	if arn, e := awsauth.ParseARN(raw.Contexts[name].Cluster); e == nil && arn.Service == "eks" { // aws eks update-kubeconfig writes it
		t.account = arn.Account
	}
	return t
}

// choose returns flags that choose the cluster of a client configuration. kind and name are the fields of chosenCluster. The API server may
// send at most [fleet.MaxResponseBytes] in all responses together.
func (c *clusterFlags) choose(kind, name string, config *rest.Config) (*targetCluster, error) {
	config = rest.CopyConfig(config)
	if config.ExecProvider != nil { // several plugins can't ask at the same terminal
		config.ExecProvider = config.ExecProvider.DeepCopy()
		config.ExecProvider.StdinUnavailable = true
		config.ExecProvider.StdinUnavailableMessage = "several clusters are read at the same time"
	}
	config.Wrap(fleet.LimitResponses(fleet.MaxResponseBytes))
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("making a client for the %s %s: %w", kind, name, err)
	}
	return &targetCluster{flags: clusterFlags{flags: c.flags, timeout: c.timeout, chosen: &chosenCluster{name, kind, config, client}}}, nil
}

// clusterResult is the result of one of several clusters.
type clusterResult[T any] struct {
	target
	value  T
	state  fleet.State
	errs   []error
	notes  []string
	status int // the exit status that read set; statusOK if the state is unknown
	// private reports whether clients outside the VPC can't reach the API server.
	private bool
}

// readFleet calls read for each target, several at the same time, with an app that collects errors and notes. read may return an error, or
// report errors with app.fail and return a value for the part that it can read. readFleet prints the errors of all clusters, and the notes
// of the clusters for which read returned no error. If there are errors, it sets the exit status to statusUnknown.
func readFleet[T any](ctx context.Context, a *app, targets []target, f *fleetFlags, read func(context.Context, *app, *targetCluster) (T, error)) ([]clusterResult[T], error) {
	results, err := runFleet(ctx, a, f, "clusters", len(targets), func(ctx context.Context, i int) (r clusterResult[T], err error) {
		r = clusterResult[T]{target: targets[i], state: fleet.StateOK}
		cluster, err := targets[i].connect(ctx)
		if err != nil {
			return r, err
		}
		defer cluster.close()
		r.private = cluster.private
		sub := &app{name: a.name, stdin: bytes.NewReader(nil), stdout: io.Discard, stderr: io.Discard, collected: &collected{}}
		r.value, err = read(ctx, sub, cluster)
		r.errs, r.notes, r.status = sub.collected.errs, sub.collected.notes, sub.status
		if err == nil && len(r.errs) > 0 && ctx.Err() != nil {
			err = r.errs[len(r.errs)-1] // fleet.Run adds that the time limit has ended
			if i := slices.IndexFunc(r.errs, func(e error) bool { return errors.Is(e, context.DeadlineExceeded) }); i >= 0 {
				err = r.errs[i]
			}
		}
		return r, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the clusters: %w", err)
	}
	list := make([]clusterResult[T], len(results))
	for i, r := range results {
		list[i] = r.Value
		switch {
		case r.Err != nil:
			list[i] = clusterResult[T]{target: targets[i], state: fleet.StateUnknown, errs: []error{explainTimeout(r.Err, r.Value.private)}}
		case len(r.Value.errs) > 0:
			list[i].state = fleet.StatePartial
		}
	}
	reportClusters(a, list)
	return list, nil
}

// runFleet calls [fleet.Run] with the limits of the flags, and shows the progress on standard error. unit is the plural noun for
// the n things to read: clusters or regions.
func runFleet[T any](ctx context.Context, a *app, f *fleetFlags, unit string, n int, read func(context.Context, int) (T, error)) ([]fleet.Result[T], error) {
	progress := newFleetProgress(a.stderr, unit, n)
	defer progress.clear()
	o := fleet.Options{Concurrency: f.concurrency, Timeout: f.timeout, Interval: progress.interval(), Report: func(p fleet.Progress) { progress.show(p.Done) }}
	return fleet.Run(ctx, n, o, read)
}

// explainTimeout adds the next step for the user to the error of a cluster that gave no answer in time. It returns other errors unchanged.
// private reports whether clients outside the VPC can't reach the API server.
func explainTimeout(err error, private bool) error {
	timeout, ok := errors.AsType[*fleet.TimeoutError](err)
	if !ok {
		return err
	}
	hint := ", which --cluster-timeout sets"
	if private {
		hint = "; the cluster has only a private endpoint, so run the command in its network"
	}
	if timeout.Err == nil {
		return errors.New(timeout.Summary() + hint)
	}
	return fmt.Errorf("%s%s (%w)", timeout.Summary(), hint, timeout.Err)
}

// reportClusters prints the errors of each cluster, and each note once: with the name of its cluster, with the number of its clusters, or
// alone if all clusters have the note. If there are errors, it sets the exit status to statusUnknown.
func reportClusters[T any](a *app, results []clusterResult[T]) {
	clusters := make(map[string][]string)
	var notes []string
	for _, r := range results {
		for _, note := range r.notes {
			if clusters[note] == nil {
				notes = append(notes, note)
			}
			if !slices.Contains(clusters[note], r.name) {
				clusters[note] = append(clusters[note], r.name)
			}
		}
	}
	for _, note := range notes {
		switch names := clusters[note]; len(names) {
		case 1:
			a.note("%s: %s", names[0], note)
		case len(results):
			a.note("%s", note)
		default:
			a.note("in %d of %d clusters: %s", len(names), len(results), note)
		}
	}
	for _, r := range results {
		for _, err := range r.errs {
			a.raise(statusUnknown)
			fmt.Fprintf(a.stderr, "%s: %s: %s\n", report.OneLine(r.name), r.state, report.OneLine(err.Error()))
		}
	}
}

// summary prints a line about all clusters of the run to standard error.
func (a *app) summary(format string, args ...any) {
	fmt.Fprintln(a.stderr, report.OneLine(fmt.Sprintf(format, args...)))
}

// reasons returns the texts of the errors.
func (r *clusterResult[T]) reasons() []string {
	list := []string{}
	for _, err := range r.errs {
		list = append(list, report.OneLine(err.Error()))
	}
	return list
}

// shortNames returns the part of each name after the last slash, because the name of a context is often the ARN of an EKS cluster. If two
// of these parts are equal, or if one is empty, it returns the names themselves.
func shortNames(names []string) []string {
	short := make([]string, len(names))
	seen := make(map[string]bool)
	for i, name := range names {
		short[i] = name[strings.LastIndexByte(name, '/')+1:]
		if short[i] == "" || seen[short[i]] {
			return names
		}
		seen[short[i]] = true
	}
	return short
}
