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
	// callTimeout limits the time of all calls of the leader to the API server in one reconcile, so that one hanging call does
	// not block the next reconcile. Another replica may become the leader during this time. This does no harm: the API server
	// refuses a write to an object that has changed since the leader read it.
	callTimeout = 4 * time.Second
	// readEvery is the period in which the leader reads the objects even if the watch shows no change, because a watch can
	// break without an error.
	readEvery = 30 * time.Second
)

// objects holds a version of the Secret and a version of the ValidatingWebhookConfiguration. A nil pointer means that
// the object does not exist.
type objects struct {
	secret *corev1.Secret
	config *admissionregistrationv1.ValidatingWebhookConfiguration
}

// same reports whether o and other hold the same versions.
func (o objects) same(other objects) bool {
	if (o.secret == nil) != (other.secret == nil) || (o.config == nil) != (other.config == nil) {
		return false
	}
	return (o.secret == nil || o.secret.ResourceVersion == other.secret.ResourceVersion) &&
		(o.config == nil || o.config.ResourceVersion == other.config.ResourceVersion)
}

// leaderState is the state of a replica during a term, the time for which it is the leader.
type leaderState struct {
	inTerm           bool         // the leader has read the objects since its term began
	secrets, bundles writeLimiter // limit the writes of the Secret and of the caBundles
	stored           objects      // the objects after the last successful reconcile
	at               time.Time    // when the last reconcile read the objects; zero if it failed
}

// reconcileObjects writes the Secret and the caBundles if they need a change. seen holds the objects from the watch.
//
// reconcileObjects first reads both objects, because a write must be based on the stored version, and seen may be
// older. It reads and writes nothing if [SelfManaged.due] returns false. It returns the objects as they are stored now.
// For an object that it did not read, it returns the version from seen.
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
	// The leader restores an emptied caBundle even if it can't read the Secret. For example, the API server can't decrypt a
	// Secret while its KMS plugin is unavailable.
	switch {
	case secretErr != nil:
	case secret == nil && (config == nil || !m.owns(config)):
		// Helm may be uninstalling the release. It would not delete a Secret that is created now.
		secretErr = fmt.Errorf("not creating the missing Secret %s: the ValidatingWebhookConfiguration %s does not exist or does not name it", m.o.Secret, m.o.WebhookConfiguration)
	case secret == nil:
		stored.secret, secretErr = m.createSecret(ctx)
	default:
		stored.secret, secretErr = m.reconcileSecret(ctx, now, secret)
	}
	if apierrors.IsConflict(secretErr) {
		return stored, nil // another client changed the Secret; the watch then starts the next reconcile
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

// due reports whether the leader must read the objects from the API server. The reasons are:
//
//   - The term has just begun.
//   - The last successful reconcile is readEvery ago.
//   - The Secret is missing.
//   - seen differs from the objects after the last successful reconcile.
//   - seen needs a write.
//   - The guard doesn't own the configuration, or can't compute the next state of the Secret.
func (m *SelfManaged) due(now time.Time, seen objects) bool {
	if !m.leader.inTerm || now.Sub(m.leader.at) >= readEvery || !m.leader.stored.same(seen) || seen.secret == nil {
		return true
	}
	m.observe(now, seen)
	p, err := m.plan(now, seen.secret)
	return err != nil || p.data != nil || m.wantedBundle(now, seen.config) != nil || !m.owns(seen.config)
}

// rotationPlan describes the next state of the Secret.
type rotationPlan struct {
	state   State
	step    Step
	data    map[string][]byte // the data to write; nil if the Secret needs no change
	problem error             // why a part of the present data can't be decoded
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

// reconcileSecret writes the Secret if its state should change. It returns the Secret as it is stored now.
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

// createSecret creates the missing Secret with the last usable content that this process knows, so that no CA changes. If the
// process knows no usable content, the Secret is empty, and the next reconcile creates a new CA.
func (m *SelfManaged) createSecret(ctx context.Context) (*corev1.Secret, error) {
	secret, err := m.api.createSecret(ctx, m.o.Secret, m.lastUsable)
	if err != nil {
		return nil, err
	}
	m.log.Warn("recreated the missing Secret of the serving CA", "secret", m.o.Secret.String(), "with_ca", m.lastUsable != nil)
	m.changed()
	return secret, nil
}

// mustWait reports whether a write must wait, because the leader has often written the object in the last minute. In this case it
// logs the client that keeps changing the object, and starts a reconcile after the wait.
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

// logRotation logs the step and the CAs that the Secret holds now. It also logs why a part of the previous data could not be
// decoded.
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

// owns reports whether the guard may write the caBundles of a configuration: the annotation [CAAnnotation] names the Secret of
// this guard. It returns true for a missing configuration.
func (m *SelfManaged) owns(config *admissionregistrationv1.ValidatingWebhookConfiguration) bool {
	return config == nil || config.Annotations[CAAnnotation] == m.o.Secret.String()
}

// wantedBundle returns the caBundle that every webhook of the configuration should have. It returns nil if every webhook has it
// already, and for a missing configuration.
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

// reconcileBundles writes the caBundle of every webhook if one of them needs a change. It returns an error if the guard doesn't
// own the configuration.
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
