package servingcert

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	typedadmissionregistrationv1 "k8s.io/client-go/kubernetes/typed/admissionregistration/v1"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/awsauth-guard/awsauth-guard/internal/kube"
)

// apiObjects reads, watches and writes the Secret and the webhook configuration.
type apiObjects struct {
	secrets typedcorev1.SecretInterface
	configs typedadmissionregistrationv1.ValidatingWebhookConfigurationInterface
	secret  *watched[corev1.Secret]
	config  *watched[admissionregistrationv1.ValidatingWebhookConfiguration]
}

// watched holds the last version of one object that its watch received.
type watched[T any] struct {
	*kube.Watch[T]

	object atomic.Pointer[T] // nil if the object doesn't exist, or if the watch hasn't received it yet
	seen   atomic.Bool       // the watch has received the object, or that it doesn't exist
}

func newAPIObjects(o *Options, changed func(), now func() time.Time) (*apiObjects, error) {
	core, err := typedcorev1.NewForConfig(o.Config)
	if err != nil {
		return nil, fmt.Errorf("making a client for the Secret: %w", err)
	}
	registration, err := typedadmissionregistrationv1.NewForConfig(o.Config)
	if err != nil {
		return nil, fmt.Errorf("making a client for the webhook configuration: %w", err)
	}
	c := &apiObjects{secrets: core.Secrets(o.Secret.Namespace), configs: registration.ValidatingWebhookConfigurations()}
	if c.secret, err = watch[corev1.Secret](kube.ListWatch(core.RESTClient(), "secrets", o.Secret.Namespace, o.Secret.Name), "secrets", changed, o.Logger, now); err != nil {
		return nil, err
	}
	const configs = "validatingwebhookconfigurations"
	c.config, err = watch[admissionregistrationv1.ValidatingWebhookConfiguration](kube.ListWatch(registration.RESTClient(), configs, "", o.WebhookConfiguration), configs, changed, o.Logger, now)
	return c, err
}

func watch[T any](lw cache.ListerWatcher, resource string, changed func(), log *slog.Logger, now func() time.Time) (w *watched[T], err error) {
	w = new(watched[T])
	w.Watch, err = kube.NewWatch(lw, resource, func(c kube.Change[T]) {
		w.object.Store(c.Object)
		w.seen.Store(true)
		changed()
	}, log, now)
	return w, err
}

// readSecret returns the Secret, or nil if it doesn't exist.
func (c *apiObjects) readSecret(ctx context.Context, name Name) (*corev1.Secret, error) {
	secret, err := c.secrets.Get(ctx, name.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil //nolint:nilnil // none
	case err != nil:
		return nil, fmt.Errorf("reading the Secret %s: %w", name, err)
	}
	return secret, nil
}

// readConfig returns the ValidatingWebhookConfiguration, or nil if it doesn't exist.
func (c *apiObjects) readConfig(ctx context.Context, name string) (*admissionregistrationv1.ValidatingWebhookConfiguration, error) {
	config, err := c.configs.Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil //nolint:nilnil // none
	case err != nil:
		return nil, fmt.Errorf("reading the ValidatingWebhookConfiguration %s: %w", name, err)
	}
	return config, nil
}

// fieldManager is the name of the guard's writes in managedFields.
const fieldManager = "awsauth-guard"

// otherManager returns the field manager of the last write by another client, or "unknown".
func otherManager(entries []metav1.ManagedFieldsEntry) string {
	name, at := "unknown", time.Time{}
	for _, f := range entries {
		if f.Manager != fieldManager && f.Time != nil && !f.Time.Time.Before(at) {
			name, at = f.Manager, f.Time.Time
		}
	}
	return name
}

// writeSecret replaces the data of the Secret. The error is a conflict if the Secret has changed since it was read.
func (c *apiObjects) writeSecret(ctx context.Context, secret *corev1.Secret, data map[string][]byte) (*corev1.Secret, error) {
	changed := secret.DeepCopy()
	changed.Data = data
	written, err := c.secrets.Update(ctx, changed, metav1.UpdateOptions{FieldManager: fieldManager})
	if err != nil {
		return secret, fmt.Errorf("writing the Secret %s/%s: %w", secret.Namespace, secret.Name, err)
	}
	return written, nil
}

// createSecret creates the missing Secret. If previous is not nil, the new Secret has the content of previous; otherwise it is
// empty. createSecret uses a server-side apply, because RBAC can restrict a PATCH to one name but can't restrict a POST. If
// another client has created the Secret with other data, the error is a conflict.
func (c *apiObjects) createSecret(ctx context.Context, name Name, previous *corev1.Secret) (*corev1.Secret, error) {
	secret := corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name},
		Type:       corev1.SecretTypeOpaque,
	}
	if previous != nil {
		secret.Labels, secret.Annotations, secret.Type, secret.Data = previous.Labels, previous.Annotations, previous.Type, previous.Data
	}
	body, err := json.Marshal(secret)
	if err != nil {
		return nil, fmt.Errorf("encoding the Secret %s: %w", name, err)
	}
	created, err := c.secrets.Patch(ctx, name.Name, types.ApplyPatchType, body, metav1.PatchOptions{FieldManager: fieldManager})
	if err != nil {
		return nil, fmt.Errorf("creating the missing Secret %s: %w", name, err)
	}
	return created, nil
}

// writeBundles writes text into the caBundle of every webhook. The error is a conflict if the configuration has changed since
// it was read. writeBundles sends a patch, because an update would remove fields that this program's version of the API doesn't
// know.
func (c *apiObjects) writeBundles(ctx context.Context, config *admissionregistrationv1.ValidatingWebhookConfiguration, text []byte) (*admissionregistrationv1.ValidatingWebhookConfiguration, error) {
	type clientConfig struct {
		CABundle []byte `json:"caBundle"`
	}
	type webhook struct {
		Name         string       `json:"name"` // the merge key of the patch
		ClientConfig clientConfig `json:"clientConfig"`
	}
	var patch struct {
		Metadata struct {
			ResourceVersion string `json:"resourceVersion"`
		} `json:"metadata"`
		Webhooks []webhook `json:"webhooks"`
	}
	patch.Metadata.ResourceVersion = config.ResourceVersion
	for i := range config.Webhooks {
		patch.Webhooks = append(patch.Webhooks, webhook{config.Webhooks[i].Name, clientConfig{text}})
	}
	body, err := json.Marshal(patch)
	if err != nil {
		return nil, fmt.Errorf("encoding the patch of %s: %w", config.Name, err)
	}
	written, err := c.configs.Patch(ctx, config.Name, types.StrategicMergePatchType, body, metav1.PatchOptions{FieldManager: fieldManager})
	if err != nil {
		return config, fmt.Errorf("writing the caBundle of the ValidatingWebhookConfiguration %s: %w", config.Name, err)
	}
	return written, nil
}

// webhookBundles returns the CAs in each webhook's caBundle.
func webhookBundles(config *admissionregistrationv1.ValidatingWebhookConfiguration) (bundles [][]*x509.Certificate) {
	if config == nil {
		return nil
	}
	for i := range config.Webhooks {
		bundles = append(bundles, decodeCertificates(config.Webhooks[i].ClientConfig.CABundle))
	}
	return bundles
}
