package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/awsapi"
	"github.com/awsauth-guard/awsauth-guard/internal/eks"
)

// eksTimeout limits the calls to EKS. With eight calls at a time of about 100 ms each, a minute is enough for thousands of access entries.
const eksTimeout = time.Minute

// eksPrefix begins the place of the access entries of EKS.
const eksPrefix = "EKS cluster "

// readEKS reads the mode and the access entries from EKS. It prints an error for each part that can't be read.
func (a *app) readEKS(ctx context.Context, o *getOptions, s *accessSources) {
	s.entriesName = eksPrefix + o.clusterName
	doing := "reading the access entries of " + s.entriesName
	ctx, cancel := context.WithTimeout(ctx, eksTimeout)
	defer cancel()
	client, err := eks.New(ctx, o.clusterName, o.region, nil)
	if err != nil {
		s.entriesUnread = true
		if errors.Is(err, eks.ErrNoRegion) {
			err = errors.New("the AWS configuration names no region; set --region or AWS_REGION")
		}
		a.fail(fmt.Errorf("%s: %w", doing, err))
		return
	}
	cluster, listed, errs := client.Inspect(ctx)
	s.cluster = cluster
	s.entriesUnread = cluster == nil || cluster.Mode == "" || !listed
	s.entriesListed = listed
	for _, err := range errs {
		call, ok := errors.AsType[*eks.CallError](err)
		switch {
		case ok && call.Err.Reason == awsapi.ReasonDenied:
			err = fmt.Errorf("you need the permission eks:%s on the cluster %s (%w)", call.Action, o.clusterName, err)
		case ok && (call.Err.Reason == awsapi.ReasonCredentials || call.Err.Reason == awsapi.ReasonNoCredentials):
			err = fmt.Errorf("%w; set AWS_PROFILE or log in, so that aws sts get-caller-identity works", err)
		}
		a.fail(fmt.Errorf("%s: %w", doing, err))
	}
}
