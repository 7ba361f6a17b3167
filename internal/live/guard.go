package live

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"sync"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
)

// guard knows whether the API server asks this process.
type guard struct {
	webhook     Webhook
	certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	log         *slog.Logger
	now         func() time.Time
	recorder    Recorder
	events      Events
	leads       func() bool
	lost        func() time.Time // see Options

	mu     sync.Mutex
	known  bool // whether there is a configuration
	config *admissionregistrationv1.ValidatingWebhookConfiguration
	// disproved is why the self-test says that the API server does not ask; nil is that it does not say so.
	disproved error
	reason    error // why it is not certain that the API server asks; nil is that it does
	judged    bool  // reason was found out
	announced bool  // somebody was told of the reason by an Event
}

// configured takes in the configuration as it is now, nil where there is none, and reports whether it
// is another one.
func (g *guard) configured(config *admissionregistrationv1.ValidatingWebhookConfiguration) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	same := g.known && (config == nil) == (g.config == nil) && (config == nil || config.ResourceVersion == g.config.ResourceVersion && config.UID == g.config.UID)
	g.known, g.config = true, config
	return !same
}

// tested takes in what the self-test says: nil, or why the API server does not ask.
func (g *guard) tested(disproved error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.disproved = disproved
}

// hook is the name of the webhook that leads here, as far as the configuration goes.
func (g *guard) hook() (name string, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	v := g.view(nil)
	hook, err := v.find()
	if err != nil {
		return "", false
	}
	return hook.Name, true
}

// view is what is seen now. The lock is held.
func (g *guard) view(stored *corev1.ConfigMap) view {
	cert, err := g.certificate(nil)
	if err != nil {
		cert = nil // there is none yet
	}
	v := view{webhook: g.webhook, config: g.config, cert: cert, now: g.now()}
	if stored != nil {
		v.present, v.labels = true, stored.Labels
	}
	return v
}

// look finds out whether the API server asks, and tells.
func (g *guard) look(ctx context.Context, stored *corev1.ConfigMap) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.known {
		return
	}
	if since := g.lost(); !since.IsZero() && g.now().Sub(since) >= blindAfter {
		if g.judged {
			g.log.Log(ctx, slog.LevelError, "whether the guard is enforced is not known: its webhook configuration cannot be read", "since", since)
		}
		g.judged = false
		g.recorder.EnforcedUnknown()
		return
	}
	v := g.view(stored)
	_, err := v.find()
	if err == nil {
		err = g.disproved
	}
	changed := !g.judged || (err == nil) != (g.reason == nil) || err != nil && err.Error() != g.reason.Error()
	first := !g.judged
	g.reason, g.judged = err, true
	g.recorder.Enforced(err == nil)
	if changed {
		if err == nil {
			g.log.Info("the guard is enforced: the API server asks about every change of aws-auth")
		} else {
			g.log.Log(ctx, slog.LevelError, "the guard is not enforced", "reason", err.Error())
		}
	}
	// Only the leader tells the cluster, also of what it had found before it became the leader.
	if !g.leads() {
		g.announced = false
		return
	}
	switch {
	case err != nil && (changed || !g.announced):
		g.events.Warn(NotEnforced, "the API server may not ask the guard about changes of aws-auth: "+err.Error())
	case err == nil && changed && (!first || g.announced):
		g.events.Tell(Enforced, "the API server asks the guard about every change of aws-auth again")
	}
	g.announced = err != nil
}

// String is a line for everybody who may ask.
func (g *guard) String() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case !g.judged:
		return "guard: it is not known whether the API server asks"
	case g.reason != nil:
		return "guard: not enforced: " + g.reason.Error()
	}
	return "guard: enforced"
}

var errEnded = errors.New("it has ended before its time")
