package live

import (
	"context"
	"fmt"
	"sync"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	typedadmissionregistrationv1 "k8s.io/client-go/kubernetes/typed/admissionregistration/v1"
	typedauthenticationv1 "k8s.io/client-go/kubernetes/typed/authentication/v1"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/awsauth-guard/awsauth-guard/internal/apiclient"
	"github.com/awsauth-guard/awsauth-guard/internal/history"
)

// Cluster is how a [Live] reaches the API server.
type Cluster struct {
	core    *typedcorev1.CoreV1Client
	configs rest.Interface
	prober  *prober
}

// Calls a second, and at once. client-go's own limit of five would have the record wait while aws-auth is
// edited in a loop; more than these the leader's pauses between writes do not allow.
const (
	callRate  = 50
	callBurst = 100
)

// Connect makes the clients. Nobody is called yet.
func Connect(config *rest.Config) (*Cluster, error) {
	config = rest.CopyConfig(config)
	apiclient.ReadProtobuf(config)
	config.QPS, config.Burst = callRate, callBurst
	config.WarningHandler = rest.NoWarnings{} // of our own webhook's about what is put back
	core, err := typedcorev1.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making a client for ConfigMaps: %w", err)
	}
	registration, err := typedadmissionregistrationv1.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making a client for the webhook configuration: %w", err)
	}
	p, err := newProber(config)
	if err != nil {
		return nil, err
	}
	return &Cluster{core: core, configs: registration.RESTClient(), prober: p}, nil
}

// Complete fills in what of the options the cluster is: history and record are in a namespace under a name,
// and so many versions are kept. The Events end with the context.
func (c *Cluster) Complete(ctx context.Context, o *Options, namespace, name string, versions func() int) {
	system, own := c.core.ConfigMaps(metav1.NamespaceSystem), c.core.ConfigMaps(namespace)
	o.ConfigMaps, o.Writer, o.Prober = system, system, c.prober
	o.History = &history.Store{Client: own, Name: name, Versions: versions}
	o.Record = &history.RecordStore{Client: own, Name: name + history.RecordSuffix}
	o.Events = newBroadcast(ctx, c.core, o.Replica)
}

// WatchConfiguration shows a ValidatingWebhookConfiguration, nil where there is none, until the context ends.
func (c *Cluster) WatchConfiguration(ctx context.Context, name string, show func(*admissionregistrationv1.ValidatingWebhookConfiguration)) {
	wake := make(chan struct{}, 1)
	store, controller := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: cache.NewListWatchFromClient(c.configs, "validatingwebhookconfigurations", "", fields.OneTermEqualSelector(metav1.ObjectNameField, name)),
		ObjectType:    &admissionregistrationv1.ValidatingWebhookConfiguration{},
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { poke(wake) },
			UpdateFunc: func(any, any) { poke(wake) },
			DeleteFunc: func(any) { poke(wake) },
		},
	})
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { controller.RunWithContext(ctx) })
	if !cache.WaitForCacheSync(ctx.Done(), controller.HasSynced) {
		return
	}
	for {
		var config *admissionregistrationv1.ValidatingWebhookConfiguration
		for _, object := range store.List() {
			config, _ = object.(*admissionregistrationv1.ValidatingWebhookConfiguration)
		}
		show(config)
		select {
		case <-wake:
		case <-ctx.Done():
			return
		}
	}
}

// prober asks on a connection of its own, whose warnings are its own.
type prober struct {
	client   *typedcorev1.CoreV1Client
	reviews  typedauthenticationv1.SelfSubjectReviewInterface
	mu       sync.Mutex
	warnings []string
}

func newProber(config *rest.Config) (*prober, error) {
	p := &prober{}
	config = rest.CopyConfig(config)
	config.WarningHandlerWithContext = p
	var err error
	if p.client, err = typedcorev1.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("making a client for the self-test: %w", err)
	}
	authentication, err := typedauthenticationv1.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making a client for the own identity: %w", err)
	}
	p.reviews = authentication.SelfSubjectReviews()
	return p, nil
}

// HandleWarningHeaderWithContext implements [rest.WarningHandlerWithContext].
func (p *prober) HandleWarningHeaderWithContext(_ context.Context, _ int, _, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.warnings = append(p.warnings, text)
}

// Identity needs no right but that of everybody who is authenticated.
func (p *prober) Identity(ctx context.Context) (string, error) {
	review, err := p.reviews.Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("asking the API server who this process is: %w", err)
	}
	return review.Status.UserInfo.Username, nil
}

func (p *prober) Delete(ctx context.Context) (warnings []string, err error) {
	p.take()
	err = p.client.ConfigMaps(metav1.NamespaceSystem).Delete(ctx, awsAuth, metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}})
	return p.take(), err
}

// take returns the warnings since it was called last.
func (p *prober) take() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer func() { p.warnings = nil }()
	return p.warnings
}
