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

// directory asks IAM as the configuration in use says. Its client is made when it is first wanted,
// and anew when the accounts change.
type directory struct {
	inUse    func() *config.Config
	recorder *metrics.Recorder
	log      *slog.Logger
	made     chan *iam.Client // the one that is to be announced; nil is none any more

	mu       sync.Mutex
	client   *iam.Client // nil where it could not be made
	accounts map[string]config.Account
	tried    bool
}

func newDirectory(inUse func() *config.Config, recorder *metrics.Recorder, log *slog.Logger) *directory {
	return &directory{inUse: inUse, recorder: recorder, log: log, made: make(chan *iam.Client, 1)}
}

// Lookup is [admission.Directory].
func (d *directory) Lookup(ctx context.Context, principals []awsauth.ARN) validate.IAM {
	c := d.inUse().IAM
	client := d.get(ctx, c.Accounts)
	if client == nil {
		return d.nothingKnown(principals)
	}
	ctx, cancel := context.WithTimeout(ctx, c.Budget)
	defer cancel()
	return client.Lookup(ctx, principals)
}

// nothingKnown is the answer where AWS cannot be asked at all.
func (d *directory) nothingKnown(principals []awsauth.ARN) validate.IAM {
	d.recorder.Unasked(len(principals))
	return validate.AllUnknown(principals, "the AWS configuration of the guard cannot be used")
}

// get returns the client for the accounts, or nil after a line in the log.
func (d *directory) get(ctx context.Context, accounts map[string]config.Account) *iam.Client {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.tried && maps.Equal(d.accounts, accounts) {
		return d.client
	}
	d.tried, d.accounts = true, accounts
	var err error
	if d.client, err = iam.New(context.WithoutCancel(ctx), iam.Options{Accounts: accountsOf(accounts), Limits: iam.WebhookLimits, Recorder: d.recorder, Logger: d.log}); err != nil {
		d.log.LogAttrs(ctx, slog.LevelError, "AWS cannot be asked", slog.String("err", err.Error()))
		return nil
	}
	d.tell(d.client)
	return d.client
}

// tell has a client announced in the place of the one before.
func (d *directory) tell(client *iam.Client) {
	select {
	case <-d.made: // one that nobody has announced is out of date
	default:
	}
	d.made <- client
}

func accountsOf(accounts map[string]config.Account) map[string]iam.Account {
	list := make(map[string]iam.Account, len(accounts))
	for id, a := range accounts {
		list[id] = iam.Account(a)
	}
	return list
}

// prepare makes the client before it is needed, if it will be. It is called at the start and when another
// configuration is in use, and tries again what has failed.
func (d *directory) prepare() {
	c := d.inUse().IAM
	d.mu.Lock()
	switch {
	case c.Mode == validate.Off && d.client != nil:
		d.client, d.tried = nil, false
		d.tell(nil)
	case d.client == nil:
		d.tried = false
	}
	d.mu.Unlock()
	if c.Mode != validate.Off {
		d.get(context.Background(), c.Accounts)
	}
}

// announce says in the log with which identity IAM is asked, at the start and when the accounts
// have changed, until the context ends.
func (d *directory) announce(ctx context.Context) error {
	stop := func() {}
	var running sync.WaitGroup
	defer running.Wait()
	for {
		select {
		case <-ctx.Done():
			stop()
			return nil
		case client := <-d.made:
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
