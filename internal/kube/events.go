package kube

import (
	"context"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// Reason is the reason of an Event on aws-auth.
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

const (
	// maxEvent bounds a message, in bytes. The API server takes 1,024 (kubernetes v1.36.3,
	// pkg/apis/core/validation/events.go, NoteLengthLimit), and client-go puts a few words before a message that
	// stands for several.
	maxEvent = 960
	// eventBurst is how many Events of one reason may follow each other, and eventRate how many more
	// there are each second: one in five minutes. client-go counts more than ten alike within ten
	// minutes on one Event.
	eventBurst = 25
	eventRate  = 1. / 300
)

// Events writes Events on aws-auth. It never blocks. Events are limited by reason, so that many refused
// changes hide no other Event.
type Events struct {
	recorder record.EventRecorder
	uid      atomic.Pointer[types.UID]
}

// NewEvents returns Events that are written until the context ends. Host is the replica's name.
func NewEvents(ctx context.Context, client typedcorev1.EventsGetter, host string) *Events {
	b := record.NewBroadcaster(record.WithContext(ctx), record.WithCorrelatorOptions(record.CorrelatorOptions{
		BurstSize: eventBurst, QPS: eventRate,
		SpamKeyFunc: func(e *corev1.Event) string { return e.Type + "/" + e.Reason },
	}))
	b.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: client.Events(awsauth.Namespace)})
	return &Events{recorder: b.NewRecorder(runtime.NewScheme(), corev1.EventSource{Component: FieldManager, Host: host})}
}

// SetUID says which object is called aws-auth now.
func (e *Events) SetUID(uid types.UID) { e.uid.Store(&uid) }

// Warn writes an Event of the type Warning.
func (e *Events) Warn(reason Reason, message string) {
	e.event(corev1.EventTypeWarning, reason, message)
}

// Normal writes an Event of the type Normal.
func (e *Events) Normal(reason Reason, message string) {
	e.event(corev1.EventTypeNormal, reason, message)
}

func (e *Events) event(kind string, reason Reason, message string) {
	object := corev1.ObjectReference{APIVersion: "v1", Kind: "ConfigMap", Namespace: awsauth.Namespace, Name: awsauth.Name}
	if uid := e.uid.Load(); uid != nil {
		object.UID = *uid
	}
	e.recorder.Event(&object, kind, string(reason), Shorten(message, maxEvent))
}

// Shorten makes a text one line of at most limit bytes.
func Shorten(text string, limit int) string {
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
