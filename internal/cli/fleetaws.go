package cli

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"k8s.io/client-go/rest"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsapi"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/config"
	"github.com/awsauth-guard/awsauth-guard/internal/eks"
	"github.com/awsauth-guard/awsauth-guard/internal/fleet"
)

// fleetSession is the name of the sessions in which the program assumes the roles of --clusters. CloudTrail and audit logs show it.
const fleetSession = "kubectl-awsauth"

// accountRegion is a region of an account with clusters.
type accountRegion struct {
	config.ClusterAccount

	region  string
	options []eks.Option // the credentials for the account
	err     error        // the credentials can't be configured
}

// accountTargets returns the clusters of the accounts in the file of --clusters. A region whose clusters can't be listed is a target that
// can't be read.
func (a *app) accountTargets(ctx context.Context, f *fleetFlags, c *clusterFlags) ([]target, error) {
	name, src, err := a.readFile(f.clusters)
	if err != nil {
		return nil, fmt.Errorf("reading the accounts: %w", err)
	}
	list, err := config.ParseClusters(name, src)
	if err != nil {
		return nil, err
	}
	var regions []accountRegion
	for _, account := range list.Accounts {
		options, err := accountOptions(ctx, &account)
		for _, region := range account.Regions {
			regions = append(regions, accountRegion{account, region, options, err})
		}
	}
	o := fleet.Options{Concurrency: f.concurrency, Timeout: f.timeout}
	results, err := fleet.Run(ctx, len(regions), o, func(ctx context.Context, i int) ([]string, error) { return regions[i].clusters(ctx) })
	if err != nil {
		return nil, fmt.Errorf("listing the clusters: %w", err)
	}
	var targets []target
	seen := make(map[string]bool)
	for i, r := range results {
		region := &regions[i]
		if r.Err != nil {
			targets = append(targets, region.unknown(r.Err))
		}
		for _, name := range r.Value {
			if t := region.target(name, c); !seen[t.name] {
				seen[t.name] = true
				targets = append(targets, t)
			}
		}
	}
	if len(targets) == 0 {
		return nil, fmt.Errorf("the accounts in %s have no clusters in these regions", name)
	}
	return targets, nil
}

// accountOptions returns the options with the credentials for an account. It doesn't call AWS.
func accountOptions(ctx context.Context, account *config.ClusterAccount) ([]eks.Option, error) {
	if account.RoleARN == "" {
		return nil, nil
	}
	assume, err := eks.Assume(ctx, account.Regions[0], awsapi.Role{ARN: account.RoleARN, ExternalID: account.ExternalID, SessionName: fleetSession})
	return []eks.Option{assume}, err
}

// clusters returns the names of the clusters in the region.
func (r *accountRegion) clusters(ctx context.Context) ([]string, error) {
	switch {
	case r.err != nil:
		return nil, r.err
	case len(r.Clusters) > 0:
		return r.Clusters, nil
	}
	return eks.ListClusters(ctx, r.region, r.options...)
}

func (r *accountRegion) name() string { return r.Account + "/" + r.region }

// unknown returns a target for the clusters of the region, which can't be listed.
func (r *accountRegion) unknown(err error) target {
	return target{name: r.name(), account: r.Account, connect: func(context.Context) (*targetCluster, error) {
		return nil, fmt.Errorf("listing the clusters: %w", r.explain(err))
	}}
}

// stsDenied is the error code with which STS denies a call. The code of EKS is AccessDeniedException.
const stsDenied = "AccessDenied"

// explain adds the next step for the user to an error of AWS.
func (r *accountRegion) explain(err error) error {
	call, ok := errors.AsType[*eks.CallError](err)
	switch {
	case ok && call.Err.Code == stsDenied && r.RoleARN != "":
		return fmt.Errorf("cannot assume the role %s; your credentials need the permission sts:AssumeRole, and the role must trust them, with the external id (%w)", r.RoleARN, call.Err)
	case ok && call.Err.Reason == awsapi.ReasonDenied && call.Action == "ListClusters":
		return fmt.Errorf("you need the permission eks:ListClusters in the account %s, or name the clusters in the file (%w)", r.Account, err)
	case ok && call.Err.Reason == awsapi.ReasonDenied:
		return fmt.Errorf("you need the permission eks:%s in the account %s (%w)", call.Action, r.Account, err)
	}
	return explainEKS(err, "")
}

// target returns a cluster of the region.
func (r *accountRegion) target(name string, c *clusterFlags) target {
	full := r.name() + "/" + name
	return target{name: full, account: r.Account, connect: func(ctx context.Context) (*targetCluster, error) {
		client, err := eks.New(ctx, name, r.region, nil, r.options...)
		if err != nil {
			return nil, err
		}
		d, err := client.Describe(ctx)
		if err != nil {
			return nil, r.explain(err)
		}
		if account := awsauth.AccountOf(d.ARN); account != r.Account {
			return nil, fmt.Errorf("the credentials are for the account %s; set roleARN for the account %s", account, r.Account)
		}
		login, err := loginConfig(&d)
		if err != nil {
			return nil, err
		}
		if login.BearerToken, err = eks.Token(ctx, name, r.region, r.options...); err != nil {
			return nil, r.explain(err)
		}
		login.Timeout = c.timeout.limit
		chosen, err := c.choose("cluster", full, login)
		if err != nil {
			return nil, err
		}
		chosen.mode, chosen.eks, chosen.eksName, chosen.private = d.Mode, client, name, !d.Public
		return chosen, nil
	}}
}

// loginConfig returns a client configuration for a described cluster, without credentials. It accepts only HTTPS with the CA of the cluster,
// because the client sends a token.
func loginConfig(d *eks.Description) (*rest.Config, error) {
	if !strings.HasPrefix(d.Endpoint, "https://") {
		return nil, fmt.Errorf("the cluster has no endpoint; its status is %s", d.Status)
	}
	if block, _ := pem.Decode(d.CA); block == nil {
		return nil, fmt.Errorf("EKS shows no CA of the cluster; its status is %s", d.Status)
	}
	return &rest.Config{Host: d.Endpoint, TLSClientConfig: rest.TLSClientConfig{CAData: d.CA}}, nil
}

// readEntriesOf reads the access entries of one of several clusters into s. It prints an error for each part that it can't read.
func (a *app) readEntriesOf(ctx context.Context, c *targetCluster, s *accessSources) {
	s.entriesName = eksPrefix + c.eksName
	cluster, listed, errs := c.eks.Inspect(ctx)
	a.useEntries(s, c.eksName, cluster, listed, errs)
}

// useEntries sets the access entries of s to the result of [eks.Client.Inspect], and prints its errors.
func (a *app) useEntries(s *accessSources, clusterName string, cluster *access.Cluster, listed bool, errs []error) {
	s.cluster = cluster
	s.entriesUnread = cluster == nil || cluster.Mode == "" || !listed
	s.entriesListed = listed
	for _, err := range errs {
		a.fail(readEKSError(err, clusterName))
	}
}
