package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/eks/ekstest"
	"github.com/awsauth-guard/awsauth-guard/test/controlplane"
)

// startEKS starts a stand-in for the EKS API, so that the demo needs no AWS account. The stand-in has a cluster with one access
// entry, which gives the auditors the group viewers. ca is the CA of the API server. The stand-in returns it as the CA of the
// cluster, because the webhook compares the two. startEKS sets the environment variables that lead the webhook to the stand-in.
// stop ends the stand-in.
func startEKS(ca []byte) (stop func(), err error) {
	server := ekstest.Start()
	server.SetCA(ca)
	auditor := ekstest.Entry("arn:aws:iam::111122223333:role/Auditor")
	auditor.Groups = []string{"viewers"}
	server.Set(access.ModeAPIAndConfigMap, auditor)
	for name, value := range ekstest.Environ(server) {
		if err := os.Setenv(name, value); err != nil {
			return nil, fmt.Errorf("leading the webhook to the stand-in for EKS: %w", err)
		}
	}
	return server.Close, nil
}

// waitForAccessEntries waits until the webhook has read the access entries.
func (d *demo) waitForAccessEntries(ctx context.Context) error {
	return controlplane.Poll(ctx, func(ctx context.Context) error {
		body, err := d.webhook.Get(ctx, d.webhook.Metrics)
		if err != nil {
			return err
		}
		if !strings.Contains(body, `awsauth_guard_eks_reads_total{result="ok"} 1`) {
			return errors.New("the webhook has not read the access entries")
		}
		return nil
	})
}
