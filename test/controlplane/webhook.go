package controlplane

import (
	"context"
	"errors"
	"fmt"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	typedadmissionregistrationv1 "k8s.io/client-go/kubernetes/typed/admissionregistration/v1"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
)

// nameIsAWSAuth is a CEL expression that is true for requests about aws-auth. If a client deletes a collection, the
// API server sends no request.name, so the expression reads the name of the old object.
const nameIsAWSAuth = `(has(request.name) ? request.name : oldObject != null ? oldObject.metadata.name : "") == "aws-auth"`

// Register registers the webhook, and waits until the API server calls it. The API server then calls the webhook for every
// write of kube-system/aws-auth that meets all of the conditions.
func (c *ControlPlane) Register(ctx context.Context, w *Webhook, conditions ...admissionregistrationv1.MatchCondition) error {
	registration, err := typedadmissionregistrationv1.NewForConfig(c.Admin)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	config := &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "awsauth-guard"},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name:         "aws-auth.awsauth-guard.io",
			ClientConfig: admissionregistrationv1.WebhookClientConfig{URL: &w.URL, CABundle: c.ca.pem},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{
					admissionregistrationv1.Create, admissionregistrationv1.Update, admissionregistrationv1.Delete,
				},
				Rule: admissionregistrationv1.Rule{
					APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"configmaps"},
					Scope: new(admissionregistrationv1.NamespacedScope),
				},
			}},
			NamespaceSelector: &metav1.LabelSelector{
				MatchLabels: map[string]string{corev1.LabelMetadataName: metav1.NamespaceSystem},
			},
			MatchConditions: append([]admissionregistrationv1.MatchCondition{
				{Name: "name-is-aws-auth", Expression: nameIsAWSAuth},
			}, conditions...),
			FailurePolicy:           new(admissionregistrationv1.Fail),
			SideEffects:             new(admissionregistrationv1.SideEffectClassNone),
			TimeoutSeconds:          new(int32(5)),
			AdmissionReviewVersions: []string{"v1"},
		}},
	}
	if _, err := registration.ValidatingWebhookConfigurations().Create(ctx, config, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("registering the webhook: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return c.called(ctx)
}

// called waits until the API server calls the webhook, a moment after the registration. It tries to create a faulty
// aws-auth in a dry run, so the request stores nothing. The API server calls the webhook before it checks whether the
// object exists, so the webhook refuses the request in any case.
func (c *ControlPlane) called(ctx context.Context) error {
	core, err := typedcorev1.NewForConfig(c.Admin)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	faulty := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "aws-auth"},
		Data:       map[string]string{"mapRoles": "- ["},
	}
	err = Poll(ctx, func(ctx context.Context) error {
		_, err := core.ConfigMaps(metav1.NamespaceSystem).Create(ctx, faulty, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		switch {
		case apierrors.IsInvalid(err):
			return nil
		case err == nil || apierrors.IsAlreadyExists(err):
			return errors.New("the API server admits a faulty aws-auth")
		default:
			return err
		}
	})
	if err != nil {
		return fmt.Errorf("waiting until the API server calls the webhook: %w", err)
	}
	return nil
}
