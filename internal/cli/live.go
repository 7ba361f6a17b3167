package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/kube"
)

// liveTimeout is for one small GET; an API server that has not answered by then does not.
const liveTimeout = 30 * time.Second

// connection says which cluster's aws-auth is read where no file is named.
type connection struct {
	kubeconfig string
	context    string
}

func (c *connection) addTo(cmd *cobra.Command) {
	cmd.Flags().StringVar(&c.kubeconfig, "kubeconfig", "", "kubeconfig `FILE`, for reading the live object")
	cmd.Flags().StringVar(&c.context, "context", "", "`NAME` of the kubeconfig's context, for reading the live object")
	if err := cmd.MarkFlagFilename("kubeconfig"); err != nil {
		panic(err) // the flag does not exist
	}
}

// unused refuses the flags where a file is named by an argument: the cluster would not be asked.
func (*connection) unused(cmd *cobra.Command, argument string) error {
	for _, flag := range []string{"context", "kubeconfig"} {
		if cmd.Flags().Changed(flag) {
			return fmt.Errorf("--%s is for reading the live object, which is read only without %s", flag, argument)
		}
	}
	return nil
}

// live reads the aws-auth of the current context, and nothing else of the cluster.
func (a *app) live(ctx context.Context, c *connection) (input, error) {
	client, name, err := c.client()
	if errors.Is(err, errNoContext) {
		return input{}, fmt.Errorf("no FILE is named, and %w to read the live aws-auth from; name a file, or give --kubeconfig or --context", err)
	}
	if err != nil {
		return input{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, liveTimeout)
	defer cancel()
	var cm corev1.ConfigMap
	if err := answer(client.Get().Namespace(awsauth.Namespace).Resource("configmaps").Name(awsauth.Name).Do(ctx), &cm); err != nil {
		return input{}, liveError(name, err)
	}
	return input{name: liveLabel(name), objects: []object{{Object: kube.Object(&cm), inText: true}}}, nil
}

// liveLabel is what the output calls the live object of a context.
func liveLabel(contextName string) string {
	return contextName + "/" + awsauth.Namespace + "/" + awsauth.Name
}

// answer reads an API server's answer, and says so where it is a web page.
func answer(result rest.Result, into runtime.Object) error {
	var kind string
	err := result.ContentType(&kind).Into(into)
	if err != nil && (strings.HasPrefix(kind, "text/html") || strings.Contains(strings.ToLower(err.Error()), "<html")) {
		return fmt.Errorf("a page of HTML came instead, as from a proxy or a login; is the server in the kubeconfig the API server? (%w)", err)
	}
	return err
}

// errNoContext is a kubeconfig that leads nowhere.
var errNoContext = errors.New("no kubeconfig has a current context")

// client returns a client and the name of its context.
func (c *connection) client() (*rest.RESTClient, string, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = c.kubeconfig
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: c.context})
	raw, err := loader.RawConfig()
	if err != nil {
		return nil, "", fmt.Errorf("reading the kubeconfig: %w", err)
	}
	name := c.context
	if name == "" {
		name = raw.CurrentContext
	}
	config, err := loader.ClientConfig()
	if clientcmd.IsEmptyConfig(err) {
		return nil, "", errNoContext
	}
	if err != nil {
		return nil, "", fmt.Errorf("reading the kubeconfig: %w", err)
	}
	if name == "" {
		name = "in-cluster"
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(scheme), admissionregistrationv1.AddToScheme(scheme)); err != nil {
		return nil, "", fmt.Errorf("making a client: %w", err)
	}
	config = kube.Protobuf(config)
	config.APIPath, config.GroupVersion = "/api", &corev1.SchemeGroupVersion
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	config.WarningHandler = rest.NoWarnings{}
	client, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, "", fmt.Errorf("making a client for the context %s: %w", name, err)
	}
	return client, name, nil
}

// liveError says what to do about an API server's answer.
func liveError(name string, err error) error {
	doing := "reading kube-system/aws-auth in the context " + name
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("%s: there is none; EKS has none in authentication mode API, and before the first node group of a cluster (%w)", doing, err)
	case apierrors.IsForbidden(err):
		return fmt.Errorf("%s: you need the verb get on configmaps with the name aws-auth in the namespace kube-system (%w)", doing, err)
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("%s: the API server does not know you, which is also how a broken aws-auth looks; log in as the IAM principal that has made the cluster, or give yourself an access entry, and see aws sts get-caller-identity (%w)", doing, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}
