package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/iam"
	"github.com/awsauth-guard/awsauth-guard/internal/iam/iamtest"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// directory looks up principals with the webhook's own client of IAM, and within the webhook's time limit.
type directory struct{ client *iam.Client }

func (d directory) Lookup(ctx context.Context, principals []awsauth.ARN) validate.IAM {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return d.client.Lookup(ctx, principals)
}

// startAWS starts a stand-in for IAM and sets the environment variables by which clients find it. The stand-in has
// every principal of the documents. It runs until the process ends.
var startAWS = sync.OnceValue(func() error {
	dir, err := os.MkdirTemp("", "iamtest-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) // the client's configuration files would be in this folder, but the client needs none
	server := iamtest.Start(dir)
	for i := range variants {
		server.Add(auditor(i))
	}
	for i := range 10000 { // more entries than a ConfigMap can have
		server.Add(entryAt(i).arn)
	}
	for _, pair := range server.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	return nil
})

func newDirectory() (directory, error) {
	if err := startAWS(); err != nil {
		return directory{}, fmt.Errorf("starting a stand-in for IAM: %w", err)
	}
	client, err := iam.New(context.Background(), iam.Options{Recorder: uncounted{}, Logger: slog.New(slog.DiscardHandler)})
	return directory{client}, err
}

// uncounted is a recorder of metrics that records nothing.
type uncounted struct{}

func (uncounted) LookedUp(string, time.Duration) {}
func (uncounted) Unasked(int)                    {}
func (uncounted) CacheHit()                      {}
