// Package authenticator runs the code of the released aws-iam-authenticator in this process: its ConfigMap backend, its
// DynamicFile backend, and its handler of logins. This package replaces only the sources of their data: the watch of
// aws-auth, the file with the access entries, STS and the EC2 API.
package authenticator

import (
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"sync"
	"unsafe"

	"github.com/sirupsen/logrus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"sigs.k8s.io/aws-iam-authenticator/pkg/config"
	"sigs.k8s.io/aws-iam-authenticator/pkg/mapper/configmap"
)

// Authenticator is a running ConfigMap backend with a handler of logins. It serves one goroutine at a time.
type Authenticator struct {
	mapper  *configmap.ConfigMapMapper
	handler unsafe.Pointer // the handler that newHandler made
	events  *watch.FakeWatcher
	stop    chan struct{}

	data   map[string]string // of the loaded object
	stored *Stored           // computed by the first call of Stored after a load
}

// silenceLogs turns off the authenticator's log of every object. The level also saves the time to format the messages.
var silenceLogs = sync.OnceFunc(func() {
	logrus.SetOutput(io.Discard)
	logrus.SetLevel(logrus.PanicLevel)
})

// New starts a backend that has read no object yet.
func New() (*Authenticator, error) {
	silenceLogs()
	mapper, err := configmap.NewConfigMapMapper(config.Config{Master: "https://127.0.0.1:1"})
	if err != nil {
		return nil, fmt.Errorf("make the authenticator's backend: %w", err)
	}
	events := watch.NewFake()
	client := fake.NewClientset()
	client.PrependWatchReactor("configmaps", clienttesting.DefaultWatchReactor(events, nil))
	// This replaces the client that NewConfigMapMapper made from the URL. Its field is not exported.
	if err := set(reflect.ValueOf(mapper.MapStore).Elem(), "configMap", client.CoreV1().ConfigMaps("kube-system")); err != nil {
		return nil, err
	}
	handler, err := newHandler(verifier{}, mapper)
	if err != nil {
		return nil, err
	}
	a := &Authenticator{mapper: mapper, handler: handler, events: events, stop: make(chan struct{})}
	if err := mapper.Start(a.stop); err != nil {
		return nil, fmt.Errorf("start the authenticator's backend: %w", err)
	}
	return a, nil
}

// Close stops the backend.
func (a *Authenticator) Close() {
	close(a.stop)
	a.events.Stop()
}

// Load sends an object to the authenticator and returns after the authenticator has read it. send also sends a second
// event, which the authenticator ignores. The channel has no buffer, so the authenticator takes the second event only
// after it has read the object.
func (a *Authenticator) Load(data map[string]string) {
	a.send(watch.Modified, data)
	a.data, a.stored = data, nil
}

// Delete sends the deletion of the object to the authenticator.
func (a *Authenticator) Delete() {
	a.send(watch.Deleted, nil)
	a.data, a.stored = nil, nil
}

func (a *Authenticator) send(event watch.EventType, data map[string]string) {
	a.events.Action(event, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "aws-auth"}, Data: data})
	a.events.Action(watch.Bookmark, &corev1.ConfigMap{})
}

// Answer is the authenticator's mapping of a caller.
type Answer struct {
	// Canonical is the ARN that the authenticator looks up in the entries. It is empty if the authenticator refuses the
	// caller's ARN.
	Canonical string
	Mapped    bool
	// Username and Groups are those of the entry. Their templates are not rendered yet.
	Username string
	Groups   []string
}

// Equal reports whether two answers are the same.
func (a Answer) Equal(other Answer) bool {
	return a.Canonical == other.Canonical && a.Mapped == other.Mapped &&
		a.Username == other.Username && slices.Equal(a.Groups, other.Groups)
}

// Resolve maps a caller as pkg/server of the authenticator does: by Canonicalize, Map and IsAccountAllowed. If several
// stored mappings match the caller, each call returns the answer of a random one of them. [Authenticator.Possible] returns
// all of their answers.
func (a *Authenticator) Resolve(callerARN string) Answer {
	identity, err := identityOf(callerARN)
	if err != nil {
		return Answer{}
	}
	canonical := identity.CanonicalARN
	if mapping, err := a.mapper.Map(identity); err == nil {
		return Answer{canonical, true, mapping.Username, mapping.Groups}
	}
	if a.mapper.IsAccountAllowed(identity.AccountID) {
		return Answer{canonical, true, canonical, []string{}}
	}
	return Answer{Canonical: canonical}
}

// SessionOf returns the name of a role's session, or "" for any other ARN.
func SessionOf(callerARN string) string {
	_, rest, ok := strings.Cut(callerARN, ":assumed-role/")
	if !ok {
		return ""
	}
	return rest[strings.LastIndexByte(rest, '/')+1:]
}

// arnField returns the field of an ARN with an index. The first field has the index 0.
func arnField(arn string, index int) string { return strings.SplitN(arn, ":", 6)[index] }
