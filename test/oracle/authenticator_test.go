package oracle_test

import (
	"io"
	"reflect"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/sirupsen/logrus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"sigs.k8s.io/aws-iam-authenticator/pkg/arn"
	"sigs.k8s.io/aws-iam-authenticator/pkg/config"
	"sigs.k8s.io/aws-iam-authenticator/pkg/mapper/configmap"
	"sigs.k8s.io/aws-iam-authenticator/pkg/token"
)

// authenticator is the released aws-iam-authenticator's ConfigMap backend. It reads objects from
// a watch that is fed here; everything behind the watch is the program itself.
type authenticator struct {
	mapper *configmap.ConfigMapMapper
	events *watch.FakeWatcher
}

var quiet = sync.OnceFunc(func() { logrus.SetOutput(io.Discard) })

func newAuthenticator(tb testing.TB) *authenticator {
	tb.Helper()
	quiet()
	mapper, err := configmap.NewConfigMapMapper(config.Config{Master: "https://127.0.0.1:1"})
	if err != nil {
		tb.Fatal(err)
	}
	events := watch.NewFake()
	client := fake.NewClientset()
	client.PrependWatchReactor("configmaps", clienttesting.DefaultWatchReactor(events, nil))
	// The client is made from a URL and kept in a field that is not exported.
	field := reflect.ValueOf(mapper.MapStore).Elem().FieldByName("configMap")
	reflect.NewAt(field.Type(), unsafe.Pointer(field.UnsafeAddr())).Elem().Set(reflect.ValueOf(client.CoreV1().ConfigMaps("kube-system")))
	stop := make(chan struct{})
	if err := mapper.Start(stop); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		close(stop)
		events.Stop()
	})
	return &authenticator{mapper: mapper, events: events}
}

// load hands an object to the authenticator and returns when it has been read: the channel has no
// buffer, so that the second event, which is ignored, is taken only after the first.
func (a *authenticator) load(data map[string]string) {
	a.events.Modify(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "aws-auth"}, Data: data})
	a.events.Action(watch.Bookmark, &corev1.ConfigMap{})
}

// answer is what the authenticator says of a caller.
type answer struct {
	Canonical string
	Mapped    bool
	Username  string
	Groups    []string
}

// resolve asks for a caller as pkg/server does: Canonicalize, Map, IsAccountAllowed.
func (a *authenticator) resolve(callerARN string) answer {
	_, canonical, err := arn.Canonicalize(callerARN)
	if err != nil {
		return answer{}
	}
	account := strings.SplitN(canonical, ":", 6)[4] // STS gives it beside the ARN
	identity := &token.Identity{ARN: callerARN, CanonicalARN: canonical, AccountID: account}
	if mapping, err := a.mapper.Map(identity); err == nil {
		return answer{canonical, true, mapping.Username, mapping.Groups}
	}
	if a.mapper.IsAccountAllowed(account) {
		return answer{canonical, true, canonical, []string{}}
	}
	return answer{Canonical: canonical}
}
