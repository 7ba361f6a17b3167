package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/awsauth-guard/awsauth-guard/internal/history"
)

// storedHistory is a history with the namespace and name of its ConfigMap.
type storedHistory struct {
	namespace, name string
	log             *history.Log
}

func (h storedHistory) String() string { return h.namespace + "/" + h.name }

// webhookName is the name of the guard's webhook in its ValidatingWebhookConfiguration
// (charts/awsauth-guard/templates/webhook.yaml).
const webhookName = "aws-auth.awsauth-guard.io"

// errNoGuard means that the cluster has no guard, or that the guard's webhook has another name than in the chart, or a URL instead of a
// Service.
var errNoGuard = errors.New("no ValidatingWebhookConfiguration has the webhook " + webhookName + " with a Service")

// findGuardNamespace returns the namespace of the Service in the guard's ValidatingWebhookConfiguration. It returns an error if there is no
// such Service, or if there are Services in several namespaces. It doesn't search all namespaces for the label of the history, because many
// users can create a ConfigMap with this label. Only few users can change a ValidatingWebhookConfiguration.
func (c *cluster) findGuardNamespace(ctx context.Context) (string, error) {
	doing := "finding the namespace of awsauth-guard in the context " + c.name
	var list admissionregistrationv1.ValidatingWebhookConfigurationList
	err := c.decode(ctx, c.client.Get().AbsPath("/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations").Do(ctx), &list)
	switch {
	case apierrors.IsForbidden(err):
		return "", fmt.Errorf("%s: you need the verb list on validatingwebhookconfigurations; or set --guard-namespace (%w)", doing, err)
	case err != nil:
		return "", fmt.Errorf("%s: %w", doing, err)
	}
	var namespaces []string
	for i := range list.Items {
		for _, w := range list.Items[i].Webhooks {
			if service := w.ClientConfig.Service; w.Name == webhookName && service != nil && !slices.Contains(namespaces, service.Namespace) {
				namespaces = append(namespaces, service.Namespace)
			}
		}
	}
	switch len(namespaces) {
	case 1:
		return namespaces[0], nil
	case 0:
		return "", fmt.Errorf("%s: %w; set --guard-namespace", doing, errNoGuard)
	}
	return "", fmt.Errorf("%s: the Services of the webhook %s are in the namespaces %s; choose one with --guard-namespace", doing, webhookName, strings.Join(namespaces, " and "))
}

// openHistory returns a client for the cluster that the flags select, and the history in a namespace; see findHistory.
func (c *clusterFlags) openHistory(ctx context.Context, namespace string) (*cluster, storedHistory, error) {
	cluster, err := c.connect()
	if err != nil {
		return nil, storedHistory{}, err
	}
	h, err := cluster.findHistory(ctx, namespace)
	return cluster, h, err
}

// findHistory reads the history in a namespace. If namespace is empty, it uses the namespace of the guard. It returns an error if no
// ConfigMap in the namespace has the label of the history, or if several have it.
func (c *cluster) findHistory(ctx context.Context, namespace string) (storedHistory, error) {
	ctx, cancel := c.withTimeout(ctx, requestTimeout)
	defer cancel()
	if namespace == "" {
		var err error
		if namespace, err = c.findGuardNamespace(ctx); err != nil {
			return storedHistory{}, err
		}
	}
	where := "the namespace " + namespace + " of the context " + c.name
	var list corev1.ConfigMapList
	request := c.client.Get().Namespace(namespace).Resource("configmaps").Param("labelSelector", history.Label+"=true")
	if err := c.decode(ctx, request.Do(ctx), &list); err != nil {
		doing := "finding the history in " + where
		if apierrors.IsForbidden(err) {
			return storedHistory{}, fmt.Errorf("%s: you need the verb list on configmaps in this namespace (%w)", doing, err)
		}
		return storedHistory{}, fmt.Errorf("%s: %w", doing, err)
	}
	switch len(list.Items) {
	case 1:
		cm := &list.Items[0]
		return storedHistory{cm.Namespace, cm.Name, history.Read(cm)}, nil
	case 0:
		return storedHistory{}, fmt.Errorf("there is no history in %s: no ConfigMap has the label %s=true, which the installation of awsauth-guard sets", where, history.Label)
	}
	var names []string
	for i := range list.Items {
		names = append(names, list.Items[i].Namespace+"/"+list.Items[i].Name)
	}
	return storedHistory{}, fmt.Errorf("there are %d histories in %s, %s; remove the label %s from all except the one that awsauth-guard writes",
		len(names), where, strings.Join(names, " and "), history.Label)
}
