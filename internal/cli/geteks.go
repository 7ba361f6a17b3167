package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsapi"
	"github.com/awsauth-guard/awsauth-guard/internal/eks"
)

// eksTimeout limits the time in which a command reads one EKS cluster. Eight concurrent calls of about 100 ms each read thousands of access
// entries in a minute. For several clusters, --cluster-timeout applies instead.
const eksTimeout = time.Minute

// eksPrefix begins the place of access entries from EKS in the output. The name of the cluster follows.
const eksPrefix = "EKS cluster "

// readEKS reads the authentication mode and the access entries from EKS into s. It prints an error for each part that it can't read.
func (a *app) readEKS(ctx context.Context, o *getOptions, s *accessSources) {
	s.entriesName = eksPrefix + o.clusterName
	ctx, cancel := context.WithTimeout(ctx, eksTimeout)
	defer cancel()
	client, err := eks.New(ctx, o.clusterName, o.region, nil)
	if err != nil {
		s.entriesUnread = true
		a.fail(readEKSError(err, o.clusterName))
		return
	}
	cluster, listed, errs := client.Inspect(ctx)
	a.useEntries(s, o.clusterName, cluster, listed, errs)
}

// newEKSReader returns a client for a cluster, and the authentication mode and the access entries of the cluster. It returns an error if it
// can't read them. ca holds the CA certificates of the kubeconfig context in PEM. If ca is not nil and has no certificate of the CA of the
// EKS cluster, newEKSReader also returns an error.
func newEKSReader(ctx context.Context, clusterName, region string, ca []byte) (*eks.Client, *access.Cluster, error) {
	client, err := eks.New(ctx, clusterName, region, ca)
	if err != nil {
		return nil, nil, readEKSError(err, clusterName)
	}
	read, err := client.Read(ctx)
	if err != nil {
		return nil, nil, readEKSError(err, clusterName)
	}
	return client, read, nil
}

// readEKSError adds to an error of the EKS API what the command was doing, and the next step for the user.
func readEKSError(err error, clusterName string) error {
	return fmt.Errorf("reading the access entries of %s%s: %w", eksPrefix, clusterName, explainEKS(err, clusterName))
}

// explainEKS adds the next step for the user to an error of AWS or of its configuration, if the step is known. The error about a missing
// permission names the cluster.
func explainEKS(err error, clusterName string) error {
	call, ok := errors.AsType[*eks.CallError](err)
	failed, _ := errors.AsType[*awsapi.Error](err) // of EKS or STS
	switch other := (*eks.OtherClusterError)(nil); {
	case errors.Is(err, eks.ErrNoRegion):
		return errors.New("the AWS configuration names no region; set --region or AWS_REGION")
	case errors.As(err, &other):
		return fmt.Errorf("the context of the kubeconfig is another cluster: its CA is not that of %s at %s; set --context or --cluster-name", other.ARN, other.Endpoint)
	case ok && call.Err.Reason == awsapi.ReasonDenied:
		return fmt.Errorf("you need the permission eks:%s on the cluster %s (%w)", call.Action, clusterName, err)
	case failed != nil && (failed.Reason == awsapi.ReasonCredentials || failed.Reason == awsapi.ReasonNoCredentials):
		return fmt.Errorf("%w; set AWS_PROFILE or log in, so that aws sts get-caller-identity works", err)
	}
	return err
}
