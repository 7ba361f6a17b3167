package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

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

// history finds the history in a namespace, or in all of them.
func (c *cluster) history(ctx context.Context, namespace string) (storedHistory, error) {
	ctx, cancel := context.WithTimeout(ctx, liveTimeout)
	defer cancel()
	request := c.client.Get().Resource("configmaps").Param("labelSelector", history.Label+"=true")
	where := "the context " + c.name
	if namespace != "" {
		request, where = request.Namespace(namespace), "the namespace "+namespace+" of "+where
	}
	var list corev1.ConfigMapList
	if err := answer(request.Do(ctx), &list); err != nil {
		switch doing := "looking for the history in " + where; {
		case apierrors.IsForbidden(err) && namespace == "":
			return storedHistory{}, fmt.Errorf("%s: you may not list the configmaps of all namespaces; name that of awsauth-guard by --guard-namespace (%w)", doing, err)
		case apierrors.IsForbidden(err):
			return storedHistory{}, fmt.Errorf("%s: you need the verb list on configmaps there (%w)", doing, err)
		default:
			return storedHistory{}, fmt.Errorf("%s: %w", doing, err)
		}
	}
	switch len(list.Items) {
	case 1:
		cm := &list.Items[0]
		return storedHistory{cm.Namespace, cm.Name, history.Read(cm)}, nil
	case 0:
		return storedHistory{}, fmt.Errorf("there is no history in %s: no ConfigMap has the label %s=true, with which awsauth-guard is installed", where, history.Label)
	}
	var names []string
	several := false // namespaces
	for i := range list.Items {
		names = append(names, list.Items[i].Namespace+"/"+list.Items[i].Name)
		several = several || list.Items[i].Namespace != list.Items[0].Namespace
	}
	remedy := "take the label " + history.Label + " from all but the one that awsauth-guard writes"
	if several {
		remedy = "say by --guard-namespace which one is meant"
	}
	return storedHistory{}, fmt.Errorf("there are %d histories in %s, %s; %s", len(names), where, strings.Join(names, " and "), remedy)
}
