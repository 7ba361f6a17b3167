package servingcert

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
)

// SelfManaged is a certificate signed by a CA of the webhook's own.
type SelfManaged struct {
	o       Options
	names   []string // of the leaf; the first is the one that API servers ask for
	log     *slog.Logger
	now     func() time.Time
	cluster *cluster
	leader  *election
	wake    chan struct{} // has an element when something has changed

	leaf    atomic.Pointer[tls.Certificate]
	bundles atomic.Pointer[[][]*x509.Certificate] // the live ones

	// Used by Run alone.
	memory   Memory
	led      bool   // it has led since it has become the leader
	problem  string // that was logged last
	distrust string // why the leaf was not trusted when that was logged last
	trusted  bool   // it has been
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
	var err error
	if m.cluster, err = newCluster(&o, m.changed); err != nil {
		return nil, err
	}
	if m.leader, err = newElection(&o, m.begin); err != nil {
		return nil, err
	}
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

// begin is called when this process has become the leader.
func (m *SelfManaged) begin() {
	m.log.Info("this replica keeps the serving CAs", "lease", m.o.Secret.String())
	m.changed()
}

var errNoLeaf = errors.New("no serving certificate is signed yet")

// GetCertificate returns the leaf.
func (m *SelfManaged) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if leaf := m.leaf.Load(); leaf != nil {
		return leaf, nil
	}
	return nil, errNoLeaf
}

// Ready reports whether API servers accept the leaf, by the caBundles as they were seen last: while
// the API server cannot be reached nothing changes.
func (m *SelfManaged) Ready(*http.Request) error {
	var live [][]*x509.Certificate
	if b := m.bundles.Load(); b != nil {
		live = *b
	}
	return Chains(m.now(), m.leaf.Load(), m.names[0], live)
}

// Run keeps leaf, Secret and caBundles as they should be until the context ends.
func (m *SelfManaged) Run(ctx context.Context) error {
	// What client-go logs goes to our log.
	ctx = logr.NewContext(ctx, logr.FromSlogHandler(m.log.Handler()))
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { m.cluster.secret.controller.RunWithContext(ctx) })
	running.Go(func() { m.cluster.config.controller.RunWithContext(ctx) })
	running.Go(func() { m.leader.run(ctx) })
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

// look does what is to be done now. The leader asks the API server itself: what it writes must
// follow from what is, not from what was.
func (m *SelfManaged) look(ctx context.Context) {
	o := objects{
		object[corev1.Secret](m.cluster.secret),
		object[admissionregistrationv1.ValidatingWebhookConfiguration](m.cluster.config),
	}
	leads := m.leader.leads()
	if leads {
		var err error
		if o, err = m.lead(ctx, o); ctx.Err() == nil {
			m.report(err)
		}
	}
	now := m.now()
	var state State
	if o.secret != nil {
		state, _ = DecodeState(o.secret.Data) // the leader says what is wrong with it
	}
	live := bundlesOf(o.config)
	m.memory.Observe(now, state, live)
	if !leads {
		m.led = false
		m.memory.Follow(now, state)
	}
	m.bundles.Store(&live)
	if a := Choose(now, state, &m.memory, m.leaf.Load(), m.o.Timing); a != nil {
		m.sign(now, a)
	}
	m.reportTrust(ctx)
}

func (m *SelfManaged) sign(now time.Time, a *Authority) {
	leaf, err := a.Sign(now, m.o.Timing.LeafLifetime, m.names)
	if err != nil {
		m.report(err)
		return
	}
	m.leaf.Store(leaf)
	m.log.Info("a serving certificate is signed", "ca", fingerprint(a.Cert), "serial", leaf.Leaf.SerialNumber.Text(16), "not_after", leaf.Leaf.NotAfter)
}

// report logs what went wrong once, until something else does.
func (m *SelfManaged) report(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != m.problem && text != "" {
		m.log.Warn("the serving certificate cannot be looked after", "err", text)
	}
	m.problem = text
}

// reportTrust logs when API servers begin or cease to accept the leaf.
func (m *SelfManaged) reportTrust(ctx context.Context) {
	err := m.Ready(nil)
	if err == nil {
		if !m.trusted || m.distrust != "" {
			m.log.Info("the serving certificate is trusted", "webhook_configuration", m.o.WebhookConfiguration)
		}
		m.trusted, m.distrust = true, ""
		return
	}
	if err.Error() == m.distrust {
		return
	}
	m.distrust = err.Error()
	level := slog.LevelInfo // it has only just started
	if m.trusted {
		level = slog.LevelWarn
	}
	m.log.Log(ctx, level, "the serving certificate is not trusted", "err", m.distrust, "webhook_configuration", m.o.WebhookConfiguration)
}
