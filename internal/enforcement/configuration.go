package enforcement

import (
	"context"
	"log/slog"
	"sync"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/awsauth-guard/awsauth-guard/internal/kube"
)

// Configuration holds the last ValidatingWebhookConfiguration that a watch received. Package servingcert runs this watch if
// it maintains the caBundles. Otherwise [WatchConfiguration] runs it.
type Configuration struct {
	changed chan struct{} // has an element after a change of the configuration

	mu     sync.Mutex
	seen   bool                                                    // Set was called
	config *admissionregistrationv1.ValidatingWebhookConfiguration // nil if it doesn't exist
	lost   time.Time                                               // the time since which the watch has failed; zero if it works
}

// NewConfiguration returns a Configuration that holds nothing until the first call of [Configuration.Set].
func NewConfiguration() *Configuration { return &Configuration{changed: make(chan struct{}, 1)} }

// Set stores the configuration, or nil if the configuration doesn't exist. lost is the time since which the watch has
// failed; zero means that the watch works.
func (c *Configuration) Set(config *admissionregistrationv1.ValidatingWebhookConfiguration, lost time.Time) {
	c.mu.Lock()
	before := c.config
	same := c.seen && (config == nil) == (before == nil) && (config == nil || config.ResourceVersion == before.ResourceVersion && config.UID == before.UID)
	c.seen, c.config, c.lost = true, config, lost
	c.mu.Unlock()
	if !same {
		wakeUp(c.changed)
	}
}

func (c *Configuration) get() (config *admissionregistrationv1.ValidatingWebhookConfiguration, seen bool, lost time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.config, c.seen, c.lost
}

// version returns a text that identifies the version of the configuration. It returns "" if the configuration doesn't exist.
func (c *Configuration) version() string {
	config, _, _ := c.get()
	if config == nil {
		return ""
	}
	return string(config.UID) + "/" + config.ResourceVersion
}

// WatchConfiguration returns a function run. run watches the ValidatingWebhookConfiguration with lw, and stores each version
// in c, until its context ends.
func WatchConfiguration(lw cache.ListerWatcher, c *Configuration, log *slog.Logger, now func() time.Time) (run func(context.Context) error, err error) {
	watch, err := kube.NewWatch(lw, "validatingwebhookconfigurations", func(change kube.Change[admissionregistrationv1.ValidatingWebhookConfiguration]) {
		c.Set(change.Object, time.Time{})
	}, log, now)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		var running sync.WaitGroup
		defer running.Wait()
		running.Go(func() { _ = watch.Run(ctx) }) // Run always returns nil
		tick := time.NewTicker(lostEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				c.setLost(watch.Lost())
			case <-ctx.Done():
				return nil
			}
		}
	}, nil
}

// lostEvery is the period in which WatchConfiguration checks whether the watch works.
const lostEvery = 10 * time.Second

func (c *Configuration) setLost(since time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost = since
}
