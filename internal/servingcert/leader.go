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
	// callTimeout limits all calls of the leader to the API server in one reconcile, so that one hanging call does not
	// block the next reconcile. It is independent of the Lease: another replica may have become the leader meanwhile.
	// Then the API server refuses a write to an object that has changed since it was read.
	callTimeout = 4 * time.Second
	// readEvery is the period in which the leader reads the objects although the watch shows no change: a watch can
	// break without an error.
	readEvery = 30 * time.Second
)

// objects are the stored objects. A nil pointer means that the object does not exist.
type objects struct {
	secret *corev1.Secret
	config *admissionregistrationv1.ValidatingWebhookConfiguration
}

// same reports whether both hold the same versions.
func (o objects) same(other objects) bool {
	if (o.secret == nil) != (other.secret == nil) || (o.config == nil) != (other.config == nil) {
		return false
	}
	return (o.secret == nil || o.secret.ResourceVersion == other.secret.ResourceVersion) &&
		(o.config == nil || o.config.ResourceVersion == other.config.ResourceVersion)
}

// leaderState is the state of the leader's term.
type leaderState struct {
	inTerm           bool // the objects that existed at the start of the term were observed
	secrets, bundles writeLimiter
	stored           objects   // as they were after the last successful reconcile
	at               time.Time // of that reconcile; zero if the last one failed
}

// reconcileObjects writes the Secret and the caBundles. It reads both objects first, because a write must be based on the
// stored version and not on an older version from the watch. It returns the objects as stored. For an object that it could not
// read, it returns the version from the watch, which is in seen.
func (m *SelfManaged) reconcileObjects(ctx context.Context, seen objects) (objects, error) {
	now := m.now()
	if !m.due(now, seen) {
		return seen, nil
	}
	m.leader.at = time.Time{}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	config, err := m.api.readConfig(ctx, m.o.WebhookConfiguration)
	if err != nil {
		return seen, err
	}
	stored := objects{seen.secret, config}
	secret, secretErr := m.api.readSecret(ctx, m.o.Secret)
	if secretErr == nil {
		stored.secret = secret
	}
	m.observe(now, stored)
	if !m.leader.inTerm {
		m.observed.BeginTerm()
		m.leader.inTerm = true
	}
	// The leader restores an emptied caBundle even if it can't read the Secret, for example because the Secret's
	// encryption is not available.
	switch {
	case secretErr != nil:
	case secret == nil && (config == nil || !m.owns(config)):
		// Helm may be removing the release. Nothing would then delete a new Secret.
		secretErr = fmt.Errorf("not creating the missing Secret %s: the ValidatingWebhookConfiguration %s does not exist or does not name it", m.o.Secret, m.o.WebhookConfiguration)
	case secret == nil:
		stored.secret, secretErr = m.createSecret(ctx)
	default:
		stored.secret, secretErr = m.reconcileSecret(ctx, now, secret)
	}
	if apierrors.IsConflict(secretErr) {
		return stored, nil // another client changed the Secret; its event triggers the next reconcile
	}
	stored.config, err = m.reconcileBundles(ctx, now, config)
	if apierrors.IsConflict(err) {
		return stored, secretErr
	}
	if err = errors.Join(secretErr, err); err == nil {
		m.leader.stored, m.leader.at = stored, now
	}
	return stored, err
}

// due reports whether the leader must read the API server: its term has just begun, an object has changed since the last
// read, there is something to write, or the last read is readEvery ago.
func (m *SelfManaged) due(now time.Time, seen objects) bool {
	if !m.leader.inTerm || now.Sub(m.leader.at) >= readEvery || !m.leader.stored.same(seen) || seen.secret == nil {
		return true
	}
	m.observe(now, seen)
	p, err := m.plan(now, seen.secret)
	return err != nil || p.data != nil || m.wantedBundle(now, seen.config) != nil || !m.owns(seen.config)
}

// rotationPlan is the next state of the Secret.
type rotationPlan struct {
	state   State
	step    Step
	data    map[string][]byte // nil if the Secret needs no change
	problem error             // with the present content
}

func (m *SelfManaged) plan(now time.Time, secret *corev1.Secret) (p rotationPlan, err error) {
	state, problem := m.decoder.decode(secret.Data)
	p.problem = problem
	p.state, p.step, err = NextState(RotationInput{Now: now, State: state, Rotate: secret.Annotations[RotateAnnotation], Observed: &m.observed}, m.o.Timing)
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

// reconcileSecret writes the state that the Secret should hold, if it differs.
func (m *SelfManaged) reconcileSecret(ctx context.Context, now time.Time, secret *corev1.Secret) (*corev1.Secret, error) {
	p, err := m.plan(now, secret)
	if err != nil {
		return secret, err
	}
	if p.data != nil {
		if m.mustWait(now, &m.leader.secrets, "Secret", &secret.ObjectMeta) {
			return secret, nil
		}
		if secret, err = m.api.writeSecret(ctx, secret, p.data); err != nil {
			return secret, err
		}
		m.leader.secrets.record(now)
		m.logRotation(p)
	}
	m.observed.RecordWritten(now, p.state)
	return secret, nil
}

// createSecret creates the Secret if it was deleted. The new Secret has the last usable content that this process knows, so that
// no CA changes. Without such a content the Secret is empty, and the next reconcile makes a new CA.
func (m *SelfManaged) createSecret(ctx context.Context) (*corev1.Secret, error) {
	secret, err := m.api.createSecret(ctx, m.o.Secret, m.lastUsable)
	if err != nil {
		return nil, err
	}
	m.log.Warn("recreated the missing Secret of the serving CA", "secret", m.o.Secret.String(), "with_ca", m.lastUsable != nil)
	m.changed()
	return secret, nil
}

// mustWait reports whether a write must wait because another client keeps changing the object, and logs that client. The
// write is tried again after the wait.
func (m *SelfManaged) mustWait(now time.Time, p *writeLimiter, kind string, object *metav1.ObjectMeta) bool {
	wait := p.wait(now, m.o.Timing.Resync)
	if wait == 0 {
		return false
	}
	time.AfterFunc(wait, m.changed)
	if other := otherManager(object.ManagedFields); p.conflict.ShouldLog(now, errors.New(other)) {
		m.log.Warn("another client keeps changing an object of the serving CA", "kind", kind, "name", object.Name, "manager", other)
	}
	return true
}

// logRotation logs the new CAs, and the problem with the previous content.
func (m *SelfManaged) logRotation(p rotationPlan) {
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
	m.log.Info("changed the serving CAs", attrs...)
}

// owns reports whether the guard writes the caBundles of a configuration.
func (m *SelfManaged) owns(config *admissionregistrationv1.ValidatingWebhookConfiguration) bool {
	return config == nil || config.Annotations[CAAnnotation] == m.o.Secret.String()
}

// wantedBundle returns the caBundle that every webhook should have, or nil if no webhook needs a change.
func (m *SelfManaged) wantedBundle(now time.Time, config *admissionregistrationv1.ValidatingWebhookConfiguration) []byte {
	text := EncodeCertificates(m.observed.Bundle(now)...)
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

// reconcileBundles writes the caBundle of every webhook, if the guard owns the configuration.
func (m *SelfManaged) reconcileBundles(ctx context.Context, now time.Time, config *admissionregistrationv1.ValidatingWebhookConfiguration) (*admissionregistrationv1.ValidatingWebhookConfiguration, error) {
	if !m.owns(config) {
		return config, fmt.Errorf("not writing the caBundle of the ValidatingWebhookConfiguration %s: its annotation %s is %q, not %q",
			config.Name, CAAnnotation, config.Annotations[CAAnnotation], m.o.Secret)
	}
	text := m.wantedBundle(now, config)
	if text == nil || m.mustWait(now, &m.leader.bundles, "ValidatingWebhookConfiguration", &config.ObjectMeta) {
		return config, nil
	}
	written, err := m.api.writeBundles(ctx, config, text)
	if err != nil {
		return config, err
	}
	m.leader.bundles.record(now)
	m.log.Info("wrote the caBundle", "webhook_configuration", config.Name, "webhooks", len(config.Webhooks), "cas", fingerprints(m.observed.Bundle(now)))
	return written, nil
}
