package live

import (
	"context"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"
)

// Reason is what an Event on aws-auth is about.
type Reason string

// The reasons.
const (
	Rejected               Reason = "Rejected"
	Overridden             Reason = "Overridden"
	Bypassed               Reason = "Bypassed"
	ProtectedPrincipalLost Reason = "ProtectedPrincipalLost"
	NotEnforced            Reason = "NotEnforced"
	Enforced               Reason = "Enforced"
	Restored               Reason = "Restored"
	NotRestored            Reason = "NotRestored"
)

// Events tells the cluster, without ever waiting.
type Events interface {
	Warn(reason Reason, message string)
	Tell(reason Reason, message string)
	// Concerns says which object is called aws-auth now.
	Concerns(uid types.UID)
}

const (
	component = "awsauth-guard"
	// maxEvent bounds a message, in bytes: the API server takes 1,024 (kubernetes v1.36.3,
	// pkg/apis/core/validation/events.go, NoteLengthLimit), and client-go puts a few words before one that
	// stands for several.
	maxEvent = 960
	// eventBurst is how many Events of one reason may follow each other, and eventRate how many more
	// there are each second: one in five minutes. client-go counts more than ten alike within ten
	// minutes on one Event.
	eventBurst = 25
	eventRate  = 1. / 300
)

// broadcast writes Events on aws-auth. They are aggregated by their reason, so that many refused changes
// hide nothing else.
type broadcast struct {
	recorder record.EventRecorder
	object   corev1.ObjectReference
	uid      atomic.Pointer[types.UID]
}

// newBroadcast returns a broadcast that has begun to write, until the context ends.
func newBroadcast(ctx context.Context, client typedcorev1.EventsGetter, replica string) *broadcast {
	b := record.NewBroadcaster(record.WithContext(ctx), record.WithCorrelatorOptions(record.CorrelatorOptions{
		BurstSize: eventBurst, QPS: eventRate,
		SpamKeyFunc: func(e *corev1.Event) string { return e.Type + "/" + e.Reason },
	}))
	b.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: client.Events(metav1.NamespaceSystem)})
	return &broadcast{
		recorder: b.NewRecorder(runtime.NewScheme(), corev1.EventSource{Component: component, Host: replica}),
		object:   corev1.ObjectReference{APIVersion: "v1", Kind: "ConfigMap", Namespace: metav1.NamespaceSystem, Name: awsAuth},
	}
}

// Concerns implements [Events].
func (b *broadcast) Concerns(uid types.UID) { b.uid.Store(&uid) }

// Warn implements [Events].
func (b *broadcast) Warn(reason Reason, message string) {
	b.event(corev1.EventTypeWarning, reason, message)
}

// Tell implements [Events].
func (b *broadcast) Tell(reason Reason, message string) {
	b.event(corev1.EventTypeNormal, reason, message)
}

func (b *broadcast) event(kind string, reason Reason, message string) {
	object := b.object
	if uid := b.uid.Load(); uid != nil {
		object.UID = *uid
	}
	b.recorder.Event(&object, kind, string(reason), shorten(message, maxEvent))
}

// shorten bounds a text in bytes, and makes it one line.
func shorten(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == utf8.RuneError {
			return ' '
		}
		return r
	}, text)
	if len(text) <= limit {
		return text
	}
	cut := limit - len("…")
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}
