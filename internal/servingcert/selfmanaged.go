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

// SelfManaged is a certificate signed by a CA of the webhook's own.
type SelfManaged struct {
	o       Options
	names   []string // of the leaf; the first is the one that API servers ask for
	log     *slog.Logger
	now     func() time.Time
	cluster *cluster
	wake    chan struct{} // has an element when something has changed

	leaf    atomic.Pointer[Leaf]
	bundles atomic.Pointer[[][]*x509.Certificate] // the live ones
	// unstored is what is wrong with the Secret; nil where it holds a CA.
	unstored atomic.Pointer[error]

	// Used by Run alone.
	memory  Memory
	decoder decoder
	leader  leader
	last    *corev1.Secret // the last one that was seen with a usable CA
	trusted bool           // it has been
	// What was logged last about keeping Secret and caBundle, signing, and why the leaf is not trusted.
	keeping, signing, distrust kube.Throttle
}

// New returns a SelfManaged, which has no certificate before it runs.
func New(o Options) (*SelfManaged, error) {
	if o.Timing == (Timing{}) {
		o.Timing = DefaultTiming()
	}
	if o.Now == nil {
		o.Now = time.Now //nolint:forbidigo // the real clock, where no other is given
	}
	m := &SelfManaged{o: o, log: o.Logger, now: o.Now, names: dnsNames(o.Service), wake: make(chan struct{}, 1)}
	m.decoder.names = m.names
	if o.Configuration == nil {
		m.o.Configuration = func(*admissionregistrationv1.ValidatingWebhookConfiguration, time.Time) {}
	}
	var err error
	if m.cluster, err = newCluster(&o, m.changed, m.now); err != nil {
		return nil, err
	}
	o.Election.OnWon(m.won)
	return m, nil
}

// dnsNames are the names of a Service within the cluster. API servers ask for the first one.
func dnsNames(service Name) []string {
	name := service.Name + "." + service.Namespace
	return []string{name + ".svc", name + ".svc.cluster.local", name, service.Name}
}

// changed makes Run look again.
func (m *SelfManaged) changed() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// won is called when this process has become the leader.
func (m *SelfManaged) won() {
	m.log.Info("this replica keeps the serving CAs", "secret", m.o.Secret.String())
	m.changed()
}

var errNoLeaf = errors.New("no serving certificate is signed yet")

// GetCertificate returns the leaf.
func (m *SelfManaged) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if leaf := m.leaf.Load(); leaf != nil {
		return &leaf.Certificate, nil
	}
	return nil, m.noLeaf()
}

// noLeaf says that there is no leaf, and why.
func (m *SelfManaged) noLeaf() error {
	if err := m.secretProblem(); err != nil {
		return fmt.Errorf("%w: %w", errNoLeaf, err)
	}
	return errNoLeaf
}

// secretProblem is what is wrong with the Secret; nil where it holds a CA.
func (m *SelfManaged) secretProblem() error {
	if err := m.unstored.Load(); err != nil {
		return *err
	}
	return nil
}

// String says whether the CA is stored, for /readyz?verbose: a process that has a certificate is ready without it, and one
// that starts is not.
func (m *SelfManaged) String() string {
	if err := m.secretProblem(); err != nil {
		return fmt.Sprintf("serving CA: %v; pods that start now do not become ready", err)
	}
	return fmt.Sprintf("serving CA: stored in the Secret %s", m.o.Secret)
}

// Ready reports whether API servers accept the leaf, by the caBundles as they were seen last: while
// the API server cannot be reached nothing changes. A configuration that does not name our Secret may
// still vouch for the leaf; then API servers do accept it.
func (m *SelfManaged) Ready(*http.Request) error {
	var live [][]*x509.Certificate
	if b := m.bundles.Load(); b != nil {
		live = *b
	}
	leaf := m.leaf.Load()
	if leaf == nil {
		return m.noLeaf()
	}
	return Chains(m.now(), leaf, m.names[0], live)
}

// Run keeps leaf, Secret and caBundles as they should be until the context ends.
func (m *SelfManaged) Run(ctx context.Context) error {
	// What client-go logs goes to our log.
	ctx = logr.NewContext(ctx, logr.FromSlogHandler(m.log.Handler()))
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { _ = m.cluster.secret.Run(ctx) }) // has no error
	running.Go(func() { _ = m.cluster.config.Run(ctx) })
	tick := time.NewTicker(m.o.Timing.Resync)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-m.wake:
		case <-tick.C:
		}
		m.look(ctx)
	}
}

// look does what is to be done now.
func (m *SelfManaged) look(ctx context.Context) {
	o := objects{m.cluster.secret.object.Load(), m.cluster.config.object.Load()}
	if m.cluster.config.seen.Load() {
		m.o.Configuration(o.config, m.cluster.config.Lost())
	}
	isLeader := m.o.Election.IsLeader()
	if isLeader {
		var err error
		if o, err = m.keep(ctx, o); ctx.Err() == nil && m.keeping.Failed(m.now(), err) {
			m.log.Warn("the serving certificate cannot be looked after", "err", err.Error())
		}
	}
	now := m.now()
	state, live := m.observe(now, o)
	if !isLeader {
		m.leader.inTerm = false
		m.memory.Follow(now, state)
	}
	m.bundles.Store(&live)
	m.checkStored(now, o.secret, state)
	if a := Choose(now, state, &m.memory, m.leaf.Load(), m.o.Timing); a != nil {
		if err := m.sign(now, a, live); m.signing.Failed(now, err) {
			m.log.Warn("the serving certificate cannot be replaced", "err", err.Error())
		}
	}
	m.tellTrust(ctx, now)
}

// checkStored records whether the Secret holds a usable CA.
func (m *SelfManaged) checkStored(now time.Time, secret *corev1.Secret, state State) {
	var err error
	switch {
	case !m.cluster.secret.seen.Load():
		err = fmt.Errorf("the Secret %s has not been read yet", m.o.Secret)
	case secret == nil:
		err = fmt.Errorf("the Secret %s does not exist", m.o.Secret)
	case len(state.usable(now).authorities()) == 0:
		err = fmt.Errorf("the Secret %s holds no usable CA", m.o.Secret)
	}
	if err == nil {
		m.unstored.Store(nil)
	} else {
		m.unstored.Store(&err)
	}
	if m.cluster.secret.seen.Load() {
		m.o.Recorder.ServingCAStored(err == nil)
	}
}

// observe takes in what is stored.
func (m *SelfManaged) observe(now time.Time, o objects) (state State, live [][]*x509.Certificate) {
	if o.secret != nil {
		state, _ = m.decoder.decode(o.secret.Data) // the leader says what is wrong with it
		if len(state.usable(now).authorities()) > 0 {
			m.last = o.secret
		}
	}
	live = bundlesOf(o.config)
	m.memory.Observe(now, state, live)
	return state, live
}

// sign replaces the leaf, but not one that API servers accept by one that they do not.
func (m *SelfManaged) sign(now time.Time, a *Authority, live [][]*x509.Certificate) error {
	leaf, err := a.Sign(now, m.o.Timing.LeafLifetime, m.names)
	if err != nil {
		return err
	}
	if err := Chains(now, leaf, m.names[0], live); err != nil && m.Ready(nil) == nil {
		return fmt.Errorf("a certificate of the CA %s would not be trusted: %w", fingerprint(a.Cert), err)
	}
	m.leaf.Store(leaf)
	m.log.Info("a serving certificate is signed", "ca", fingerprint(a.Cert), "serial", leaf.Leaf.SerialNumber.Text(16), "not_after", leaf.Leaf.NotAfter)
	return nil
}

// tellTrust logs when API servers begin or cease to accept the leaf, and records how it stands.
func (m *SelfManaged) tellTrust(ctx context.Context, now time.Time) {
	err := m.Ready(nil)
	if m.leaf.Load() == nil && !m.cluster.secret.seen.Load() {
		return // it has only just started
	}
	if leaf := m.leaf.Load(); leaf != nil {
		m.o.Recorder.ServingCertificate(leaf.Leaf.NotAfter)
		m.o.Recorder.ServingTrust(leaf.CA.NotAfter, err == nil)
	}
	if err == nil {
		if !m.trusted || m.distrust.Failing() {
			m.log.Info("the serving certificate is trusted", "webhook_configuration", m.o.WebhookConfiguration)
		}
		m.trusted, m.distrust = true, kube.Throttle{}
		return
	}
	level := slog.LevelWarn
	if !m.trusted && !m.distrust.Failing() {
		level = slog.LevelInfo // it has only just started
	}
	if m.distrust.Failed(now, err) {
		m.log.Log(ctx, level, "the serving certificate is not trusted", "err", err.Error(), "webhook_configuration", m.o.WebhookConfiguration)
	}
}
