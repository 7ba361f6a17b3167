package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/rbac"
)

// apiClient is a client for the few Kubernetes objects that doctor needs. The clientset of client-go would make the program a quarter
// larger, because it contains the types of the whole Kubernetes API.
type apiClient struct{ rest *rest.RESTClient }

// newClient returns a client that ignores the API server's warnings. A request has the timeout of config. If config has no timeout, a
// request has the timeout callTimeout.
func newClient(config *rest.Config) (*apiClient, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(scheme), authenticationv1.AddToScheme(scheme), authorizationv1.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	config = rest.CopyConfig(config)
	if config.Timeout == 0 {
		config.Timeout = callTimeout
	}
	config.WarningHandler = rest.NoWarnings{}
	config.APIPath, config.GroupVersion = "/api", &corev1.SchemeGroupVersion
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	httpClient, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	// Follow no redirects. client-go adds the token to every request, so a redirect would send the token to another host.
	httpClient.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	client, err := rest.RESTClientForConfigAndClient(config, httpClient)
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	return &apiClient{client}, nil
}

// create sends an object to a path of the API server, and decodes the answer into the same object. It returns the error of the API server
// without a wrapper, so that package apierrors can classify the error.
func (c *apiClient) create(ctx context.Context, path string, object runtime.Object) error {
	return c.rest.Post().AbsPath(path).Body(object).Do(ctx).Into(object) //nolint:wrapcheck // see above
}

// awsAuth returns the live aws-auth. It returns the error of the API server without a wrapper, like create.
func (c *apiClient) awsAuth(ctx context.Context) (*corev1.ConfigMap, error) {
	cm := &corev1.ConfigMap{}
	err := c.rest.Get().Namespace(awsauth.Namespace).Resource("configmaps").Name(awsauth.Name).Do(ctx).Into(cm)
	return cm, err //nolint:wrapcheck // see above
}

// isClusterScoped reports whether the resource of a request is cluster-scoped, such as nodes. It reads the API server's list of resources.
// If it can't read this list, it returns false.
func (c *apiClient) isClusterScoped(ctx context.Context, r *rbac.Request) bool {
	path := "/api/v1"
	if r.Group != "" {
		var group metav1.APIGroup
		if err := c.getJSON(ctx, "/apis/"+r.Group, &group); err != nil {
			return false
		}
		path = "/apis/" + group.PreferredVersion.GroupVersion
	}
	var list metav1.APIResourceList
	if err := c.getJSON(ctx, path, &list); err != nil {
		return false
	}
	for i := range list.APIResources {
		if list.APIResources[i].Name == r.Resource {
			return !list.APIResources[i].Namespaced
		}
	}
	return false
}

func (c *apiClient) getJSON(ctx context.Context, path string, into any) error {
	text, err := c.rest.Get().AbsPath(path).SetHeader("Accept", "application/json").Do(ctx).Raw()
	if err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	return nil
}
