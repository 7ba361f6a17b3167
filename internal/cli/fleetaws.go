package cli

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsapi"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/config"
	"github.com/awsauth-guard/awsauth-guard/internal/eks"
	"github.com/awsauth-guard/awsauth-guard/internal/fleet"
)

// fleetSession is the name of the sessions in which the program assumes the roles of --clusters. CloudTrail and audit logs show it.
const fleetSession = "kubectl-awsauth"

// accountRegion is one of the regions of an account in the file of --clusters.
type accountRegion struct {
	config.ClusterAccount

	region  string
	options []eks.Option // the credentials for the account; empty for those of the environment
	err     error        // why the credentials can't be configured; nil if they can
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
	if len(regions) > fleet.MaxRegions {
		return nil, fmt.Errorf("%s has %d regions of accounts, and the limit is %d; list only regions with clusters", name, len(regions), fleet.MaxRegions)
	}
	results, err := runFleet(ctx, a, f, "regions", len(regions), func(ctx context.Context, i int) ([]string, error) { return regions[i].clusters(ctx) })
	if err != nil {
		return nil, fmt.Errorf("listing the clusters: %w", err)
	}
	var targets []target
	seen := make(map[string]bool)
	for i, r := range results {
		region := &regions[i]
		switch {
		case r.Err != nil:
			targets = append(targets, region.unknown(r.Err))
		case len(r.Value) == 0:
			a.note("%s has no clusters", region.name())
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

// accountOptions returns the options with the credentials for an account. An account without a role needs no options, because it uses the
// credentials of the environment. accountOptions doesn't call AWS.
func accountOptions(ctx context.Context, account *config.ClusterAccount) ([]eks.Option, error) {
	if account.RoleARN == "" {
		return nil, nil
	}
	assume, err := eks.Assume(ctx, account.Regions[0], awsapi.Role{ARN: account.RoleARN, ExternalID: account.ExternalID, SessionName: fleetSession})
	return []eks.Option{assume}, err
}

// clusters returns the names of the clusters in the region. If the file of --clusters names the clusters, it returns these names without
// calling AWS. Otherwise it lists the clusters in EKS. For an account without a role it first checks that the credentials belong to the
// account.
func (r *accountRegion) clusters(ctx context.Context) ([]string, error) {
	switch {
	case r.err != nil:
		return nil, r.err
	case len(r.Clusters) > 0:
		return r.Clusters, nil
	case r.RoleARN == "": // config.ParseClusters has checked that a role belongs to the account
		account, err := eks.CallerAccount(ctx, r.region, r.options...)
		if err != nil {
			return nil, err
		}
		if err := r.checkAccount(account); err != nil {
			return nil, err
		}
	}
	return eks.ListClusters(ctx, r.region, r.options...)
}

// otherAccountError means that the credentials belong to another account than want.
type otherAccountError struct{ account, want string }

// Error implements error.
func (e *otherAccountError) Error() string {
	return fmt.Sprintf("the credentials are for the account %s; set roleARN for the account %s", e.account, e.want)
}

// checkAccount returns an error if an account is not the account of r.
func (r *accountRegion) checkAccount(account string) error {
	if account != r.Account {
		return &otherAccountError{account, r.Account}
	}
	return nil
}

func (r *accountRegion) name() string { return r.Account + "/" + r.region }

// unknown returns a target for the region, whose clusters can't be listed. err is the reason.
func (r *accountRegion) unknown(err error) target {
	if _, ok := errors.AsType[*otherAccountError](err); !ok {
		err = fmt.Errorf("listing the clusters: %w", r.explain(err))
	}
	return target{name: r.name(), account: r.Account, connect: func(context.Context) (*targetCluster, error) { return nil, err }}
}

// stsDenied is the error code with which STS denies a call. EKS has another code, AccessDeniedException.
const stsDenied = "AccessDenied"

// explain adds the next step for the user to an error of AWS, if it knows one.
func (r *accountRegion) explain(err error) error {
	call, ok := errors.AsType[*eks.CallError](err)
	switch {
	case errors.Is(err, eks.ErrNoSuchCluster) && len(r.Clusters) > 0 && len(r.Regions) > 1:
		return fmt.Errorf("%w; the command reads the clusters of an account in each of its regions, so write one element of accounts for each region", err)
	case ok && call.Err.Code == stsDenied && r.RoleARN != "":
		trust := "; if the role needs an external id, set externalID"
		if r.ExternalID != "" {
			trust = " with the external id"
		}
		return fmt.Errorf("cannot assume the role %s; your credentials need the permission sts:AssumeRole, and the role must trust them%s (%w)", r.RoleARN, trust, call.Err)
	case ok && call.Err.Reason == awsapi.ReasonDenied && call.Action == "ListClusters":
		return fmt.Errorf("you need the permission eks:ListClusters in the account %s, or name the clusters in the file (%w)", r.Account, err)
	case ok && call.Err.Reason == awsapi.ReasonDenied:
		return fmt.Errorf("you need the permission eks:%s in the account %s (%w)", call.Action, r.Account, err)
	}
	return explainEKS(err, "")
}

// target returns the target for a cluster of the region.
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
		if err := r.checkAccount(awsauth.AccountOf(d.ARN)); err != nil {
			return nil, err
		}
		if err := checkLogin(&d); err != nil {
			return nil, err
		}
		token, err := eks.Token(ctx, name, r.region, r.options...)
		if err != nil {
			return nil, r.explain(err)
		}
		chosen, err := c.chooseEKS(full, &d, token)
		if err != nil {
			return nil, err
		}
		chosen.mode, chosen.eks, chosen.eksName, chosen.private = d.Mode, client, name, !d.Public
		return chosen, nil
	}}
}

// checkLogin returns an error if a client can't send a token to a described cluster. A client may do so only by HTTPS with the CA of the
// cluster.
func checkLogin(d *eks.Description) error {
	if !strings.HasPrefix(d.Endpoint, "https://") {
		return fmt.Errorf("the cluster has no endpoint; its status is %s", d.Status)
	}
	if block, _ := pem.Decode(d.CA); block == nil {
		return fmt.Errorf("EKS shows no CA of the cluster; its status is %s", d.Status)
	}
	return nil
}

// chooseEKS returns flags that choose a described cluster. It makes a kubeconfig in memory, so that kubectl's flags have the same effect as for
// a context.
func (c *clusterFlags) chooseEKS(name string, d *eks.Description, token string) (*targetCluster, error) {
	kubeconfig := clientcmdapi.NewConfig()
	kubeconfig.Clusters[name] = &clientcmdapi.Cluster{Server: d.Endpoint, CertificateAuthorityData: d.CA}
	kubeconfig.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: token}
	kubeconfig.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	kubeconfig.CurrentContext = name
	restConfig, _, err := c.configFrom(clientcmd.NewNonInteractiveClientConfig(*kubeconfig, name, &c.overrides, nil))
	if err != nil {
		return nil, err
	}
	return c.choose("cluster", name, restConfig)
}

// readEntriesOf reads the authentication mode and the access entries of one of several clusters into s. It reports an error for each part
// that it can't read.
func (a *app) readEntriesOf(ctx context.Context, c *targetCluster, s *accessSources) {
	s.entriesName = eksPrefix + c.eksName
	cluster, listed, errs := c.eks.Inspect(ctx)
	a.useEntries(s, c.eksName, cluster, listed, errs)
}

// useEntries sets the fields of s for access entries to the result of [eks.Client.Inspect], and reports its errors.
func (a *app) useEntries(s *accessSources, clusterName string, cluster *access.Cluster, listed bool, errs []error) {
	s.cluster = cluster
	s.entriesUnread = cluster == nil || cluster.Mode == "" || !listed
	s.entriesListed = listed
	for _, err := range errs {
		a.fail(readEKSError(err, clusterName))
	}
}
