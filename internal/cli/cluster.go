package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/awscli"
	"github.com/awsauth-guard/awsauth-guard/internal/doctor"
	"github.com/awsauth-guard/awsauth-guard/internal/kube"
)

// requestTimeout limits the time of an operation on the API server. An operation makes one or two small requests. Operations have no limit
// of their own if the user sets --request-timeout, or if the command reads several clusters.
const requestTimeout = 30 * time.Second

// readLive reads aws-auth from the cluster that the flags select. If aws-auth does not exist, the error wraps the API server's error, for
// which apierrors.IsNotFound returns true.
func (a *app) readLive(ctx context.Context, c *clusterFlags) (input, error) {
	cluster, err := c.connect()
	if errors.Is(err, errNoContext) {
		return input{}, fmt.Errorf("no FILE given, and %w to read the live aws-auth; name a file, or set --kubeconfig or --context", errNoContext)
	}
	if err != nil {
		return input{}, err
	}
	ctx, cancel := cluster.withTimeout(ctx, requestTimeout)
	defer cancel()
	var cm corev1.ConfigMap
	if err := cluster.decode(ctx, cluster.client.Get().Namespace(awsauth.Namespace).Resource("configmaps").Name(awsauth.Name).Do(ctx), &cm); err != nil {
		return input{}, explainAPIError(cluster.where, err)
	}
	return input{name: liveName(cluster.name), objects: []object{{Object: kube.Object(&cm), InText: true}}}, nil
}

// liveName returns the name that the output uses for the live aws-auth of a cluster. name is the name of the cluster; see cluster.name.
func liveName(name string) string {
	return name + "/" + awsauth.Namespace + "/" + awsauth.Name
}

// cluster is a client for an API server.
type cluster struct {
	client *rest.RESTClient
	name   string // the name of the cluster for the output; see clusterFlags.clusterName
	where  string // the name with its kind, such as "the context prod"
	many   bool   // the cluster is one of several, and --cluster-timeout limits all its requests together
	// limited reports whether many is set, or whether the user set --request-timeout, which limits each request. Operations then have no limit
	// of their own.
	limited bool
}

// decode decodes the response of the API server. If the response is an HTML page, or if a time limit ended the request, the error says so.
// ctx is the context of the request.
func (c *cluster) decode(ctx context.Context, result rest.Result, into runtime.Object) error {
	var kind string
	err := result.ContentType(&kind).Into(into)
	if err != nil && (strings.HasPrefix(kind, "text/html") || strings.Contains(strings.ToLower(err.Error()), "<html")) {
		return fmt.Errorf("the response is an HTML page, as from a proxy or a login page; is the server in the kubeconfig an API server? (%w)", err)
	}
	switch timeout := errors.Is(err, context.DeadlineExceeded); {
	case timeout && c.many && ctx.Err() != nil: // readFleet names the time limit of the cluster
		return fmt.Errorf("the API server did not answer (%w)", err)
	case timeout:
		return fmt.Errorf("the API server did not answer within the time limit, which --request-timeout sets (%w)", err)
	}
	return err
}

// withTimeout returns a context that ends after limit, or that has no limit of its own if c.limited is true.
func (c *cluster) withTimeout(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if c.limited {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, limit)
}

// certificateAuthority returns the CA certificates in the client configuration of the selected cluster, in PEM. It returns nil if the
// configuration has none.
func (c *clusterFlags) certificateAuthority() ([]byte, error) {
	config, _, err := c.config()
	if err != nil {
		return nil, err
	}
	if err := rest.LoadTLSFiles(config); err != nil {
		return nil, fmt.Errorf("reading the CA of the kubeconfig: %w", err)
	}
	return config.CAData, nil
}

// eksCluster returns the name of the selected cluster in EKS, as the kubeconfig shows it, for a command that the user can copy after
// --cluster-name. The name is quoted for a shell, and the flag --region follows if the kubeconfig shows the region. If the kubeconfig
// doesn't show the name, eksCluster returns the placeholder NAME.
func (c *clusterFlags) eksCluster() string {
	config, _, err := c.config()
	if err != nil {
		return "NAME"
	}
	name, region := doctor.EKSCluster(config, c.kubeconfigCluster())
	if name == "" {
		return "NAME"
	}
	return awscli.Cluster{Name: name}.Word() + awscli.Cluster{Region: region}.RegionFlag()
}

// kubeconfigCluster returns the name that the selected cluster has in the kubeconfig: the value of --cluster, or else the cluster of the
// context. It returns "" if there is neither, or if the kubeconfig can't be read.
func (c *clusterFlags) kubeconfigCluster() string {
	raw, err := c.loader().RawConfig()
	if err != nil {
		return ""
	}
	if selected := raw.Contexts[cmp.Or(c.overrides.CurrentContext, raw.CurrentContext)]; selected != nil {
		return cmp.Or(c.overrides.Context.Cluster, selected.Cluster)
	}
	return c.overrides.Context.Cluster
}

// connect returns a client for the cluster that the flags select. It doesn't call the API server.
func (c *clusterFlags) connect() (*cluster, error) {
	config, name, err := c.config()
	if err != nil {
		return nil, err
	}
	scheme, err := newScheme()
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	config = kube.Protobuf(config)
	config.APIPath, config.GroupVersion = "/api", &corev1.SchemeGroupVersion
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	config.WarningHandler = rest.NoWarnings{}
	var client *rest.RESTClient
	if c.chosen != nil {
		client, err = rest.RESTClientForConfigAndClient(config, c.chosen.http)
	} else {
		client, err = rest.RESTClientFor(config)
	}
	if err != nil {
		return nil, fmt.Errorf("making a client for %s: %w", c.where(name), err)
	}
	return &cluster{client, name, c.where(name), c.chosen != nil, c.chosen != nil || c.timeout.text != ""}, nil
}

// newScheme returns a scheme with the Kubernetes kinds that the commands read.
func newScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	return scheme, errors.Join(corev1.AddToScheme(scheme), authenticationv1.AddToScheme(scheme), admissionregistrationv1.AddToScheme(scheme), rbacv1.AddToScheme(scheme))
}

// explainAPIError adds the place to an error that occurred when a command read the live object. For common errors it also adds the likely
// cause or the next step. where is the name of the cluster with its kind; see cluster.where.
func explainAPIError(where string, err error) error {
	doing := "reading kube-system/aws-auth in " + where
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("%s: it does not exist; EKS creates it with the first node group of a cluster, and not in authentication mode API (%w)", doing, err)
	case apierrors.IsForbidden(err):
		return fmt.Errorf("%s: you need the verb get on the configmap aws-auth in the namespace kube-system (%w)", doing, err)
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("%s: the API server did not accept your credentials, possibly because aws-auth does not map you; find the cause with kubectl awsauth doctor, log in as the IAM principal that created the cluster, or create an access entry for yourself (%w)", doing, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}
