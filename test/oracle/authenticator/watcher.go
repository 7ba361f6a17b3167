package authenticator

import (
	"context"
	"fmt"
	"reflect"
	"unsafe"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"

	"sigs.k8s.io/aws-iam-authenticator/pkg/config"
	"sigs.k8s.io/aws-iam-authenticator/pkg/mapper/configmap"
)

// Watcher is a ConfigMap backend that watches an API server with the released program's own client, which uses protobuf.
type Watcher struct {
	*Authenticator
	loaded chan *corev1.ConfigMap
}

// Watch starts a backend that watches the API server of a kubeconfig.
func Watch(kubeconfig string) (*Watcher, error) {
	silenceLogs()
	mapper, err := configmap.NewConfigMapMapper(config.Config{Kubeconfig: kubeconfig})
	if err != nil {
		return nil, fmt.Errorf("make the authenticator's backend: %w", err)
	}
	store := reflect.ValueOf(mapper.MapStore).Elem()
	field := store.FieldByName("configMap")
	if !field.IsValid() {
		return nil, fmt.Errorf("the authenticator's MapStore has no field configMap")
	}
	client, ok := reflect.TypeAssert[typedcorev1.ConfigMapInterface](reflect.NewAt(field.Type(), unsafe.Pointer(field.UnsafeAddr())).Elem()) //nolint:gosec // see set
	if !ok {
		return nil, fmt.Errorf("the authenticator's client is a %s now", field.Type())
	}
	handler, err := newHandler(verifier{}, mapper)
	if err != nil {
		return nil, err
	}
	w := &Watcher{
		Authenticator: &Authenticator{mapper: mapper, handler: handler, events: watch.NewFake(), stop: make(chan struct{})},
		loaded:        make(chan *corev1.ConfigMap),
	}
	if err := set(store, "configMap", notifyingClient{client, w.loaded, w.stop}); err != nil {
		return nil, err
	}
	if err := mapper.Start(w.stop); err != nil {
		return nil, fmt.Errorf("start the authenticator's backend: %w", err)
	}
	return w, nil
}

// Next waits until the authenticator has read the next version of the object. It returns the resource version and the
// data. The data is nil if the object was deleted. Next fails if ctx ends.
func (w *Watcher) Next(ctx context.Context) (resourceVersion string, data map[string]string, err error) {
	select {
	case <-ctx.Done():
		return "", nil, fmt.Errorf("wait for the authenticator's watch: %w", context.Cause(ctx))
	case object := <-w.loaded:
		w.data, w.stored = object.Data, nil
		return object.ResourceVersion, object.Data, nil
	}
}

// notifyingClient is a client whose watch sends each object to loaded as soon as the authenticator has read it. For a
// deleted object, the sent object has nil data. For an object without data, it has an empty map.
type notifyingClient struct {
	typedcorev1.ConfigMapInterface
	loaded chan<- *corev1.ConfigMap
	stop   <-chan struct{}
}

func (t notifyingClient) Watch(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	source, err := t.ConfigMapInterface.Watch(ctx, options)
	if err != nil {
		return nil, err
	}
	events := watch.NewFake() // its channel has no buffer
	go func() {
		defer events.Stop()
		defer source.Stop()
		for {
			select {
			case <-t.stop:
				return
			case event, ok := <-source.ResultChan():
				if !ok {
					return
				}
				events.Action(event.Type, event.Object)
				events.Action(watch.Bookmark, &corev1.ConfigMap{}) // the authenticator takes and ignores it only after it has read the event
				object, ok := event.Object.(*corev1.ConfigMap)
				if !ok {
					continue
				}
				if event.Type == watch.Deleted {
					object = &corev1.ConfigMap{ObjectMeta: object.ObjectMeta}
				} else if object.Data == nil {
					object = object.DeepCopy()
					object.Data = map[string]string{}
				}
				select {
				case <-t.stop:
					return
				case t.loaded <- object:
				}
			}
		}
	}()
	return events, nil
}
