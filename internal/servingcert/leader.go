package servingcert

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// callTimeout bounds all that the leader asks the API server in one look, so that one call that
	// hangs does not keep it from the next. It has nothing to do with the Lease: another leader may
	// have begun meanwhile, and then the API server refuses what is changed since it was read.
	callTimeout = 4 * time.Second
	// readEvery is how often the leader asks the API server although the watch has shown no change:
	// a watch may be broken without a word.
	readEvery = 30 * time.Second
)

// objects are what is stored; nil is what is not.
type objects struct {
	secret *corev1.Secret
	config *admissionregistrationv1.ValidatingWebhookConfiguration
}

// same reports whether they are the same versions.
func (o objects) same(other objects) bool {
	if (o.secret == nil) != (other.secret == nil) || (o.config == nil) != (other.config == nil) {
		return false
	}
	return (o.secret == nil || o.secret.ResourceVersion == other.secret.ResourceVersion) &&
		(o.config == nil || o.config.ResourceVersion == other.config.ResourceVersion)
}

// leader is what the leader needs besides its memory.
type leader struct {
	inTerm           bool // it has taken in what there was when it became the leader
	secrets, bundles pace
	stored           objects   // as they were read or written when all had gone well
	at               time.Time // when that was; zero where the last look failed
}

// keep writes what the objects should hold. It reads them before: what is written must follow from
// what is, not from what was seen. It returns what is stored then, or what was seen where it is
// not known.
func (m *SelfManaged) keep(ctx context.Context, seen objects) (objects, error) {
	now := m.now()
	if !m.due(now, seen) {
		return seen, nil
	}
	m.leader.at = time.Time{}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	config, err := m.cluster.readConfig(ctx, m.o.WebhookConfiguration)
	if err != nil {
		return seen, err
	}
	stored := objects{seen.secret, config}
	secret, secretErr := m.cluster.readSecret(ctx, m.o.Secret)
	if secretErr == nil {
		stored.secret = secret
	}
	m.observe(now, stored)
	if !m.leader.inTerm {
		m.memory.BeginTerm()
		m.leader.inTerm = true
	}
	// An error of the Secret, as while its encryption is not available, is no reason to leave the
	// caBundle to whoever has emptied it.
	switch {
	case secretErr != nil:
	case secret == nil && (config == nil || !m.owns(config)):
		// As while the release is removed: the Secret would be left behind.
		secretErr = fmt.Errorf("the Secret %s does not exist, and is not created because no ValidatingWebhookConfiguration %s names it", m.o.Secret, m.o.WebhookConfiguration)
	case secret == nil:
		stored.secret, secretErr = m.createSecret(ctx)
	default:
		stored.secret, secretErr = m.keepSecret(ctx, now, secret)
	}
	if apierrors.IsConflict(secretErr) {
		return stored, nil // an event of the other's change is on its way
	}
	stored.config, err = m.keepBundles(ctx, now, config)
	if apierrors.IsConflict(err) {
		return stored, secretErr
	}
	if err = errors.Join(secretErr, err); err == nil {
		m.leader.stored, m.leader.at = stored, now
	}
	return stored, err
}

// due reports whether the API server is to be asked: this process has just become the leader,
// something has changed since it was asked, there is something to write, or it was long ago.
func (m *SelfManaged) due(now time.Time, seen objects) bool {
	if !m.leader.inTerm || now.Sub(m.leader.at) >= readEvery || !m.leader.stored.same(seen) || seen.secret == nil {
		return true
	}
	m.observe(now, seen)
	p, err := m.plan(now, seen.secret)
	return err != nil || p.data != nil || m.bundleFor(now, seen.config) != nil || !m.owns(seen.config)
}

// planned is what becomes of the Secret.
type planned struct {
	state   State
	step    Step
	data    map[string][]byte // nil where it is as it should be
	problem error             // with what it holds
}

func (m *SelfManaged) plan(now time.Time, secret *corev1.Secret) (p planned, err error) {
	state, problem := m.decoder.decode(secret.Data)
	p.problem = problem
	p.state, p.step, err = Plan(Situation{Now: now, State: state, Rotate: secret.Annotations[RotateAnnotation], Memory: &m.memory}, m.o.Timing)
	if err != nil {
		return p, err
	}
	data, err := EncodeState(p.state, secret.Data)
	if err == nil && !maps.EqualFunc(data, secret.Data, bytes.Equal) {
		p.data = data
		if p.step == StepNone {
			p.step = StepClean
		}
	}
	return p, err
}

// keepSecret writes what the Secret should hold, if that is something else.
func (m *SelfManaged) keepSecret(ctx context.Context, now time.Time, secret *corev1.Secret) (*corev1.Secret, error) {
	p, err := m.plan(now, secret)
	if err != nil {
		return secret, err
	}
	if p.data != nil {
		if m.slow(now, &m.leader.secrets, "Secret", &secret.ObjectMeta) {
			return secret, nil
		}
		if secret, err = m.cluster.writeSecret(ctx, secret, p.data); err != nil {
			return secret, err
		}
		m.leader.secrets.wrote(now)
		m.logStep(p)
	}
	m.memory.Know(now, p.state)
	return secret, nil
}

// createSecret makes the Secret that was deleted: with its last content where this process knows one, so that no CA
// changes; otherwise empty, and the next look makes a new CA.
func (m *SelfManaged) createSecret(ctx context.Context) (*corev1.Secret, error) {
	secret, err := m.cluster.createSecret(ctx, m.o.Secret, m.last)
	if err != nil {
		return nil, err
	}
	m.log.Warn("the Secret with the serving CA was missing and is created again", "secret", m.o.Secret.String(), "with_ca", m.last != nil)
	m.changed()
	return secret, nil
}

// slow reports whether a write must wait because somebody else writes as often, and says who. It is
// tried again when the wait is over.
func (m *SelfManaged) slow(now time.Time, p *pace, kind string, object *metav1.ObjectMeta) bool {
	wait := p.wait(now, m.o.Timing.Resync)
	if wait == 0 {
		return false
	}
	time.AfterFunc(wait, m.changed)
	if other := otherManager(object.ManagedFields); p.fight.Failed(now, fmt.Errorf("%s changes it, too", other)) {
		m.log.Warn("somebody else changes the same again and again", "kind", kind, "name", object.Name, "manager", other)
	}
	return true
}

// logStep says what became of the CAs, and what was wrong with them before.
func (m *SelfManaged) logStep(p planned) {
	attrs := []any{"step", string(p.step), "secret", m.o.Secret.String()}
	if a := p.state.Current; a != nil {
		attrs = append(attrs, "current", fingerprint(a.Cert), "current_not_after", a.Cert.NotAfter)
	}
	if a := p.state.Next; a != nil {
		attrs = append(attrs, "next", fingerprint(a.Cert), "next_not_after", a.Cert.NotAfter)
	}
	if len(p.state.Previous) > 0 {
		attrs = append(attrs, "previous", fingerprints(p.state.Previous))
	}
	if p.problem != nil {
		attrs = append(attrs, "err", p.problem.Error())
	}
	m.log.Info("the serving CAs are changed", attrs...)
}

// owns reports whether a configuration leaves its caBundles to us.
func (m *SelfManaged) owns(config *admissionregistrationv1.ValidatingWebhookConfiguration) bool {
	return config == nil || config.Annotations[CAAnnotation] == m.o.Secret.String()
}

// bundleFor is what every caBundle should be; nil where it is, or nothing can be said.
func (m *SelfManaged) bundleFor(now time.Time, config *admissionregistrationv1.ValidatingWebhookConfiguration) []byte {
	text := EncodeCertificates(m.memory.Bundle(now)...)
	if config == nil {
		return nil
	}
	for i := range config.Webhooks {
		if !bytes.Equal(config.Webhooks[i].ClientConfig.CABundle, text) {
			return text
		}
	}
	return nil
}

// keepBundles makes the caBundle of every webhook what it should be, where that is ours to say.
func (m *SelfManaged) keepBundles(ctx context.Context, now time.Time, config *admissionregistrationv1.ValidatingWebhookConfiguration) (*admissionregistrationv1.ValidatingWebhookConfiguration, error) {
	if !m.owns(config) {
		return config, fmt.Errorf("the ValidatingWebhookConfiguration %s is left alone: its annotation %s is %q and not %q, so that its caBundle is another's",
			config.Name, CAAnnotation, config.Annotations[CAAnnotation], m.o.Secret)
	}
	text := m.bundleFor(now, config)
	if text == nil || m.slow(now, &m.leader.bundles, "ValidatingWebhookConfiguration", &config.ObjectMeta) {
		return config, nil
	}
	written, err := m.cluster.writeBundles(ctx, config, text)
	if err != nil {
		return config, err
	}
	m.leader.bundles.wrote(now)
	m.log.Info("the caBundle is written", "webhook_configuration", config.Name, "webhooks", len(config.Webhooks), "cas", fingerprints(m.memory.Bundle(now)))
	return written, nil
}
