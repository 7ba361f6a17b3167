package servingcert

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/kube"
)

// SelfManaged provides a serving certificate that it signs with the webhook's own CA. The code calls this certificate the
// leaf.
type SelfManaged struct {
	o      Options
	names  []string // DNS names of the leaf; API servers use the first one
	log    *slog.Logger
	now    func() time.Time
	api    *apiObjects
	wakeup chan struct{} // has an element if Run must reconcile

	leaf    atomic.Pointer[Leaf]
	bundles atomic.Pointer[[][]*x509.Certificate] // the CAs in the caBundle of each webhook
	// secretErr says why the Secret holds no usable CA. It is nil if the Secret holds one.
	secretErr atomic.Pointer[error]

	// Only Run uses the fields below.
	observed   Observed
	decoder    decoder
	leader     leaderState
	lastUsable *corev1.Secret // the last Secret that held a usable CA
	wasTrusted bool           // every caBundle has trusted the leaf at some time
	distrusted bool           // a caBundle did not trust the leaf in the last reconcile
	// reconcileErrors throttles the log of errors of the leader's writes, signErrors that of errors of the replica's
	// signing, and trustErrors that of caBundles that don't trust the leaf.
	reconcileErrors, signErrors, trustErrors kube.Throttle
}

// New returns a SelfManaged. It has no certificate until Run signs one.
func New(o Options) (*SelfManaged, error) {
	if o.Timing == (Timing{}) {
		o.Timing = DefaultTiming()
	}
	if o.Now == nil {
		o.Now = time.Now //nolint:forbidigo // the default clock
	}
	m := &SelfManaged{o: o, log: o.Logger, now: o.Now, names: dnsNames(o.Service), wakeup: make(chan struct{}, 1)}
	m.decoder.names = m.names
	if o.Configuration == nil {
		m.o.Configuration = func(*admissionregistrationv1.ValidatingWebhookConfiguration, time.Time) {}
	}
	var err error
	if m.api, err = newAPIObjects(&o, m.changed, m.now); err != nil {
		return nil, err
	}
	o.Election.OnWon(m.won)
	return m, nil
}

// dnsNames returns the DNS names of a Service in the cluster. API servers use the first name.
func dnsNames(service Name) []string {
	name := service.Name + "." + service.Namespace
	return []string{name + ".svc", name + ".svc.cluster.local", name, service.Name}
}

// changed makes Run reconcile soon. It doesn't block.
func (m *SelfManaged) changed() {
	select {
	case m.wakeup <- struct{}{}:
	default:
	}
}

// won logs that this process has become the leader, and makes Run reconcile. The election calls it.
func (m *SelfManaged) won() {
	m.log.Info("this replica maintains the serving CAs", "secret", m.o.Secret.String())
	m.changed()
}

var errNoLeaf = errors.New("no serving certificate is signed yet")

// GetCertificate returns the leaf, or an error if no leaf is signed yet.
func (m *SelfManaged) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if leaf := m.leaf.Load(); leaf != nil {
		return &leaf.Certificate, nil
	}
	return nil, m.noLeafError()
}

// noLeafError returns an error which says that no leaf is signed yet, and why.
func (m *SelfManaged) noLeafError() error {
	if err := m.secretError(); err != nil {
		return fmt.Errorf("%w: %w", errNoLeaf, err)
	}
	return errNoLeaf
}

// secretError returns why the Secret holds no usable CA, or nil if the Secret holds one.
func (m *SelfManaged) secretError() error {
	if err := m.secretErr.Load(); err != nil {
		return *err
	}
	return nil
}

// String describes the stored CA for /readyz?verbose. Ready doesn't need a stored CA if the process already has a
// certificate. A process that starts needs a stored CA.
func (m *SelfManaged) String() string {
	if err := m.secretError(); err != nil {
		return fmt.Sprintf("serving CA: %v; pods that start now do not become ready", err)
	}
	return fmt.Sprintf("serving CA: stored in the Secret %s", m.o.Secret)
}

// Ready returns nil if every caBundle trusts the leaf. It uses the last caBundles from the watch, so a process stays ready
// while the API server is unreachable. It also uses the caBundles of a configuration that names another Secret.
func (m *SelfManaged) Ready(*http.Request) error {
	var published [][]*x509.Certificate
	if b := m.bundles.Load(); b != nil {
		published = *b
	}
	leaf := m.leaf.Load()
	if leaf == nil {
		return m.noLeafError()
	}
	return VerifyLeaf(m.now(), leaf, m.names[0], published)
}

// Run maintains the leaf until the context ends. While this process is the leader, Run also maintains the Secret and the
// caBundles.
func (m *SelfManaged) Run(ctx context.Context) error {
	// client-go logs to the same log.
	ctx = logr.NewContext(ctx, logr.FromSlogHandler(m.log.Handler()))
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { _ = m.api.secret.Run(ctx) }) // Run always returns nil
	running.Go(func() { _ = m.api.config.Run(ctx) })
	tick := time.NewTicker(m.o.Timing.Resync)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-m.wakeup:
		case <-tick.C:
		}
		m.reconcile(ctx)
	}
}

// reconcile replaces the leaf if necessary. In the leader, it first writes the Secret and the caBundles if necessary.
func (m *SelfManaged) reconcile(ctx context.Context) {
	o := objects{m.api.secret.object.Load(), m.api.config.object.Load()}
	if m.api.config.seen.Load() {
		m.o.Configuration(o.config, m.api.config.Lost())
	}
	isLeader := m.o.Election.IsLeader()
	if isLeader {
		var err error
		if o, err = m.reconcileObjects(ctx, o); ctx.Err() == nil && m.reconcileErrors.ShouldLog(m.now(), err) {
			m.log.Warn("cannot maintain the serving certificate", "err", err.Error())
		}
	}
	now := m.now()
	state, published := m.observe(now, o)
	if !isLeader {
		m.leader.inTerm = false
		m.observed.RecordSeen(now, state)
	}
	m.bundles.Store(&published)
	m.recordStored(now, o.secret, state)
	if a := SigningCA(now, state, &m.observed, m.leaf.Load(), m.o.Timing); a != nil {
		if err := m.sign(now, a, published); m.signErrors.ShouldLog(now, err) {
			m.log.Warn("cannot replace the serving certificate", "err", err.Error())
		}
	}
	m.recordTrust(ctx, now)
}

// recordStored records whether the Secret holds a usable CA, for the metric, for String and for errors.
func (m *SelfManaged) recordStored(now time.Time, secret *corev1.Secret, state State) {
	var err error
	switch {
	case !m.api.secret.seen.Load():
		err = fmt.Errorf("the Secret %s has not been read yet", m.o.Secret)
	case secret == nil:
		err = fmt.Errorf("the Secret %s does not exist", m.o.Secret)
	case len(state.usable(now).authorities()) == 0:
		err = fmt.Errorf("the Secret %s holds no usable CA", m.o.Secret)
	}
	if err == nil {
		m.secretErr.Store(nil)
	} else {
		m.secretErr.Store(&err)
	}
	if m.api.secret.seen.Load() {
		m.o.Recorder.ServingCAStored(err == nil)
	}
}

// observe records the objects in m.observed, and returns the state of the Secret and the CAs in the caBundle of each webhook.
func (m *SelfManaged) observe(now time.Time, o objects) (state State, published [][]*x509.Certificate) {
	if o.secret != nil {
		state, _ = m.decoder.decode(o.secret.Data) // the leader logs the error
		if len(state.usable(now).authorities()) > 0 {
			m.lastUsable = o.secret
		}
	}
	published = webhookBundles(o.config)
	m.observed.Observe(now, state, published)
	return state, published
}

// sign signs a new leaf and replaces the present one. It returns an error if the caBundles trust the present leaf and would
// not trust the new one.
func (m *SelfManaged) sign(now time.Time, a *Authority, published [][]*x509.Certificate) error {
	leaf, err := a.Sign(now, m.o.Timing.LeafLifetime, m.names)
	if err != nil {
		return err
	}
	if err := VerifyLeaf(now, leaf, m.names[0], published); err != nil && m.Ready(nil) == nil {
		return fmt.Errorf("the API servers would not trust a certificate of the CA %s: %w", fingerprint(a.Cert), err)
	}
	m.leaf.Store(leaf)
	m.log.Info("signed a serving certificate", "ca", fingerprint(a.Cert), "serial", leaf.Leaf.SerialNumber.Text(16), "not_after", leaf.Leaf.NotAfter)
	return nil
}

// recordTrust records in metrics whether the caBundles trust the leaf, and logs when this changes.
func (m *SelfManaged) recordTrust(ctx context.Context, now time.Time) {
	err := m.Ready(nil)
	if m.leaf.Load() == nil && !m.api.secret.seen.Load() {
		return // the process has just started
	}
	if leaf := m.leaf.Load(); leaf != nil {
		m.o.Recorder.ServingCertificate(leaf.Leaf.NotAfter)
		m.o.Recorder.ServingTrust(leaf.CA.NotAfter, err == nil)
	}
	if err == nil {
		if !m.wasTrusted || m.distrusted {
			m.log.Info("the serving certificate is trusted", "webhook_configuration", m.o.WebhookConfiguration)
		}
		m.wasTrusted, m.distrusted, m.trustErrors = true, false, kube.Throttle{}
		return
	}
	level := slog.LevelWarn
	if !m.wasTrusted && !m.distrusted {
		level = slog.LevelInfo // the process has just started
	}
	m.distrusted = true
	if m.trustErrors.ShouldLog(now, err) {
		m.log.Log(ctx, level, "the serving certificate is not trusted", "err", err.Error(), "webhook_configuration", m.o.WebhookConfiguration)
	}
}
