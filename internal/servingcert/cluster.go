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

// cluster is the Secret and the configuration in the API server: watched, read and written.
type cluster struct {
	secrets typedcorev1.SecretInterface
	configs typedadmissionregistrationv1.ValidatingWebhookConfigurationInterface
	secret  *watched[corev1.Secret]
	config  *watched[admissionregistrationv1.ValidatingWebhookConfiguration]
}

// watched is one object, as the watch has seen it last.
type watched[T any] struct {
	*kube.Watch[T]

	object atomic.Pointer[T] // nil: there is none, or none has been seen yet
	seen   atomic.Bool       // the watch has shown whether there is one
}

func newCluster(o *Options, changed func(), now func() time.Time) (*cluster, error) {
	core, err := typedcorev1.NewForConfig(o.Config)
	if err != nil {
		return nil, fmt.Errorf("making a client for the Secret: %w", err)
	}
	registration, err := typedadmissionregistrationv1.NewForConfig(o.Config)
	if err != nil {
		return nil, fmt.Errorf("making a client for the webhook configuration: %w", err)
	}
	c := &cluster{secrets: core.Secrets(o.Secret.Namespace), configs: registration.ValidatingWebhookConfigurations()}
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

// readSecret returns nil where there is none.
func (c *cluster) readSecret(ctx context.Context, name Name) (*corev1.Secret, error) {
	secret, err := c.secrets.Get(ctx, name.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil //nolint:nilnil // none
	case err != nil:
		return nil, fmt.Errorf("reading the Secret %s: %w", name, err)
	}
	return secret, nil
}

// readConfig returns nil where there is none.
func (c *cluster) readConfig(ctx context.Context, name string) (*admissionregistrationv1.ValidatingWebhookConfiguration, error) {
	config, err := c.configs.Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil //nolint:nilnil // none
	case err != nil:
		return nil, fmt.Errorf("reading the ValidatingWebhookConfiguration %s: %w", name, err)
	}
	return config, nil
}

// fieldManager is who writes, as managedFields name it.
const fieldManager = "awsauth-guard"

// otherManager is who else has written an object last.
func otherManager(entries []metav1.ManagedFieldsEntry) string {
	name, at := "unknown", time.Time{}
	for _, f := range entries {
		if f.Manager != fieldManager && f.Time != nil && !f.Time.Time.Before(at) {
			name, at = f.Manager, f.Time.Time
		}
	}
	return name
}

// writeSecret stores data in a Secret that has not changed since it was read.
func (c *cluster) writeSecret(ctx context.Context, secret *corev1.Secret, data map[string][]byte) (*corev1.Secret, error) {
	changed := secret.DeepCopy()
	changed.Data = data
	written, err := c.secrets.Update(ctx, changed, metav1.UpdateOptions{FieldManager: fieldManager})
	if err != nil {
		return secret, fmt.Errorf("writing the Secret %s/%s: %w", secret.Namespace, secret.Name, err)
	}
	return written, nil
}

// createSecret makes the Secret where there is none. It applies on the server: only that, and no POST, can be allowed for
// one name. If the Secret exists by now with other data, the error is a conflict.
func (c *cluster) createSecret(ctx context.Context, name Name, lost *corev1.Secret) (*corev1.Secret, error) {
	secret := corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name},
		Type:       corev1.SecretTypeOpaque,
	}
	if lost != nil {
		secret.Labels, secret.Annotations, secret.Type, secret.Data = lost.Labels, lost.Annotations, lost.Type, lost.Data
	}
	body, err := json.Marshal(secret)
	if err != nil {
		return nil, fmt.Errorf("encoding the Secret %s: %w", name, err)
	}
	created, err := c.secrets.Patch(ctx, name.Name, types.ApplyPatchType, body, metav1.PatchOptions{FieldManager: fieldManager})
	if err != nil {
		return nil, fmt.Errorf("creating the Secret %s, which does not exist: %w", name, err)
	}
	return created, nil
}

// writeBundles makes text the caBundle of every webhook of a configuration that has not changed
// since it was read. A patch leaves fields alone that this version of the API does not know.
func (c *cluster) writeBundles(ctx context.Context, config *admissionregistrationv1.ValidatingWebhookConfiguration, text []byte) (*admissionregistrationv1.ValidatingWebhookConfiguration, error) {
	type clientConfig struct {
		CABundle []byte `json:"caBundle"`
	}
	type webhook struct {
		Name         string       `json:"name"` // the key by which the patch is merged
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

// bundlesOf returns the CAs of each webhook.
func bundlesOf(config *admissionregistrationv1.ValidatingWebhookConfiguration) (bundles [][]*x509.Certificate) {
	if config == nil {
		return nil
	}
	for i := range config.Webhooks {
		bundles = append(bundles, decodeCertificates(config.Webhooks[i].ClientConfig.CABundle))
	}
	return bundles
}
