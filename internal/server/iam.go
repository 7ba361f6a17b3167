package server

import (
	"context"
	"log/slog"
	"maps"
	"sync"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/config"
	"github.com/awsauth-guard/awsauth-guard/internal/iam"
	"github.com/awsauth-guard/awsauth-guard/internal/metrics"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// directory looks up principals in IAM with the accounts and the time limit of the configuration in use. It creates a
// client before the first lookup, and a new client when the accounts change.
type directory struct {
	inUse      func() *config.Config
	recorder   *metrics.Recorder
	log        *slog.Logger
	newClients chan *iam.Client // the client whose identity announce logs next; nil means that IAM is no longer used

	mu        sync.Mutex
	client    *iam.Client // nil if get could not create it, or if IAM is not used
	accounts  map[string]config.Account
	attempted bool // get has tried to create a client for accounts
}

func newDirectory(inUse func() *config.Config, recorder *metrics.Recorder, log *slog.Logger) *directory {
	return &directory{inUse: inUse, recorder: recorder, log: log, newClients: make(chan *iam.Client, 1)}
}

// Lookup implements [admission.Directory].
func (d *directory) Lookup(ctx context.Context, principals []awsauth.ARN) validate.IAM {
	c := d.inUse().IAM
	client := d.get(ctx, c.Accounts)
	if client == nil {
		return d.allUnknown(principals)
	}
	ctx, cancel := context.WithTimeout(ctx, c.Budget)
	defer cancel()
	return client.Lookup(ctx, principals)
}

// allUnknown returns the result [validate.Unknown] for each principal. The reason is that the AWS configuration can't be
// used.
func (d *directory) allUnknown(principals []awsauth.ARN) validate.IAM {
	d.recorder.Unasked(len(principals))
	return validate.AllUnknown(principals, "the AWS configuration of the guard cannot be used")
}

// get returns the client for the accounts. If it can't create the client, it logs the error and returns nil. Later calls
// return nil, too, until the accounts change or prepare is called.
func (d *directory) get(ctx context.Context, accounts map[string]config.Account) *iam.Client {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.attempted && maps.Equal(d.accounts, accounts) {
		return d.client
	}
	d.attempted, d.accounts = true, accounts
	var err error
	if d.client, err = iam.New(context.WithoutCancel(ctx), iam.Options{Accounts: accountsOf(accounts), Limits: iam.WebhookLimits, Recorder: d.recorder, Logger: d.log}); err != nil {
		d.log.LogAttrs(ctx, slog.LevelError, "cannot create the AWS client", slog.String("err", err.Error()))
		return nil
	}
	d.sendToAnnounce(d.client)
	return d.client
}

// sendToAnnounce passes a client to announce. If announce has not received the previous client yet, it receives only the
// new one.
func (d *directory) sendToAnnounce(client *iam.Client) {
	select {
	case <-d.newClients: // remove a client that announce has not received yet
	default:
	}
	d.newClients <- client
}

func accountsOf(accounts map[string]config.Account) map[string]iam.Account {
	list := make(map[string]iam.Account, len(accounts))
	for id, a := range accounts {
		list[id] = iam.Account(a)
	}
	return list
}

// prepare creates the client if the configuration uses IAM, so that the first lookup doesn't have to. It tries again if
// an earlier attempt failed. If the configuration doesn't use IAM, prepare removes the client. The process calls prepare
// at its start and after each change of the configuration in use.
func (d *directory) prepare() {
	c := d.inUse().IAM
	d.mu.Lock()
	switch {
	case c.Mode == validate.Off && d.client != nil:
		d.client, d.attempted = nil, false
		d.sendToAnnounce(nil)
	case d.client == nil:
		d.attempted = false
	}
	d.mu.Unlock()
	if c.Mode != validate.Off {
		d.get(context.Background(), c.Accounts)
	}
}

// announce logs the AWS identity of each new client until the context ends. It stops logging the identity of a client as
// soon as another client replaces it.
func (d *directory) announce(ctx context.Context) error {
	stop := func() {}
	var running sync.WaitGroup
	defer running.Wait()
	for {
		select {
		case <-ctx.Done():
			stop()
			return nil
		case client := <-d.newClients:
			stop()
			if client == nil {
				continue
			}
			var announcing context.Context
			announcing, stop = context.WithCancel(ctx)
			running.Go(func() { client.LogIdentity(announcing) })
		}
	}
}
