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
	"k8s.io/client-go/rest"

	"github.com/awsauth-guard/awsauth-guard/internal/history"
)

// cluster is the API server of a context.
type cluster struct {
	client *rest.RESTClient
	name   string // of the context
}

func (c *connection) cluster() (*cluster, error) {
	client, name, err := c.client()
	if errors.Is(err, errNoContext) {
		return nil, fmt.Errorf("%w; give --kubeconfig or --context", err)
	}
	return &cluster{client, name}, err
}

// storedHistory is a history and where it is.
type storedHistory struct {
	namespace, name string
	log             *history.Log
}

func (h storedHistory) String() string { return h.namespace + "/" + h.name }

// webhook is the name of the guard's webhook in its ValidatingWebhookConfiguration
// (charts/awsauth-guard/templates/webhook.yaml).
const webhook = "aws-auth.awsauth-guard.io"

// guardNamespace returns the namespace of the Service by which the API server calls the guard. Only who may write a
// ValidatingWebhookConfiguration can change that; a ConfigMap with the history's label can be made by many.
func (c *cluster) guardNamespace(ctx context.Context) (string, error) {
	doing := "looking for the namespace of awsauth-guard in the context " + c.name
	var list admissionregistrationv1.ValidatingWebhookConfigurationList
	err := answer(c.client.Get().AbsPath("/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations").Do(ctx), &list)
	switch {
	case apierrors.IsForbidden(err):
		return "", fmt.Errorf("%s: you may not list validatingwebhookconfigurations; name the namespace by --guard-namespace (%w)", doing, err)
	case err != nil:
		return "", fmt.Errorf("%s: %w", doing, err)
	}
	var namespaces []string
	for i := range list.Items {
		for _, w := range list.Items[i].Webhooks {
			if service := w.ClientConfig.Service; w.Name == webhook && service != nil && !slices.Contains(namespaces, service.Namespace) {
				namespaces = append(namespaces, service.Namespace)
			}
		}
	}
	switch len(namespaces) {
	case 1:
		return namespaces[0], nil
	case 0:
		return "", fmt.Errorf("%s: no ValidatingWebhookConfiguration has the webhook %s with a Service; name the namespace by --guard-namespace", doing, webhook)
	}
	return "", fmt.Errorf("%s: the webhooks %s lead to the namespaces %s; choose one by --guard-namespace", doing, webhook, strings.Join(namespaces, " and "))
}

// history finds the history in a namespace; an empty one is that of the guard.
func (c *cluster) history(ctx context.Context, namespace string) (storedHistory, error) {
	ctx, cancel := context.WithTimeout(ctx, liveTimeout)
	defer cancel()
	if namespace == "" {
		var err error
		if namespace, err = c.guardNamespace(ctx); err != nil {
			return storedHistory{}, err
		}
	}
	where := "the namespace " + namespace + " of the context " + c.name
	var list corev1.ConfigMapList
	request := c.client.Get().Namespace(namespace).Resource("configmaps").Param("labelSelector", history.Label+"=true")
	if err := answer(request.Do(ctx), &list); err != nil {
		doing := "looking for the history in " + where
		if apierrors.IsForbidden(err) {
			return storedHistory{}, fmt.Errorf("%s: you need the verb list on configmaps there (%w)", doing, err)
		}
		return storedHistory{}, fmt.Errorf("%s: %w", doing, err)
	}
	switch len(list.Items) {
	case 1:
		cm := &list.Items[0]
		return storedHistory{cm.Namespace, cm.Name, history.Read(cm)}, nil
	case 0:
		return storedHistory{}, fmt.Errorf("there is no history in %s: no ConfigMap has the label %s=true, with which awsauth-guard is installed", where, history.Label)
	}
	var names []string
	for i := range list.Items {
		names = append(names, list.Items[i].Namespace+"/"+list.Items[i].Name)
	}
	return storedHistory{}, fmt.Errorf("there are %d histories in %s, %s; take the label %s from all but the one that awsauth-guard writes",
		len(names), where, strings.Join(names, " and "), history.Label)
}
