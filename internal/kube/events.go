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

// Reason is the reason of an Event about aws-auth.
type Reason string

// The reasons of the guard's Events.
const (
	Rejected               Reason = "Rejected"               // the guard refused a change
	Overridden             Reason = "Overridden"             // an annotation overruled denials
	Bypassed               Reason = "Bypassed"               // the guard would have refused a stored change, so the change bypassed it
	ProtectedPrincipalLost Reason = "ProtectedPrincipalLost" // a protected principal lost groups or the rights of an admin by a change of aws-auth
	AccessEntryLost        Reason = "AccessEntryLost"        // a protected principal, the last admin or a node role lost access by a change of access entries
	AccessEntryStale       Reason = "AccessEntryStale"       // the principal of an access entry is missing in IAM, or was deleted and created again
	NotEnforced            Reason = "NotEnforced"            // the API server no longer calls the guard for every change
	Enforced               Reason = "Enforced"               // the API server calls the guard for every change again
	Restored               Reason = "Restored"               // the guard restored the last good version
	NotRestored            Reason = "NotRestored"            // the guard did not restore the last good version
)

const (
	// maxEventBytes limits the length of a message, in bytes. The API server accepts 1,024 bytes (kubernetes v1.36.3,
	// pkg/apis/core/validation/events.go, NoteLengthLimit). client-go may add a prefix to a message.
	maxEventBytes = 960
	// eventBurst is the number of Events of one reason that a replica can write at once. eventRate is the number of
	// further Events a second: one in five minutes. client-go combines more than ten similar Events within ten minutes
	// into one Event.
	eventBurst = 25
	eventRate  = 1. / 300
)

// Events writes Events about aws-auth. It never blocks. Each reason has its own rate limit. So even after many Events
// about refused changes, it writes Events with other reasons.
type Events struct {
	recorder record.EventRecorder
	uid      atomic.Pointer[types.UID]
}

// NewEvents returns an Events. It writes no more Events after the context ends. host is the name of this replica.
func NewEvents(ctx context.Context, client typedcorev1.EventsGetter, host string) *Events {
	b := record.NewBroadcaster(record.WithContext(ctx), record.WithCorrelatorOptions(record.CorrelatorOptions{
		BurstSize: eventBurst, QPS: eventRate,
		SpamKeyFunc: func(e *corev1.Event) string { return e.Type + "/" + e.Reason },
	}))
	b.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: client.Events(awsauth.Namespace)})
	return &Events{recorder: b.NewRecorder(runtime.NewScheme(), corev1.EventSource{Component: FieldManager, Host: host})}
}

// SetUID sets the UID of aws-auth. Later Events refer to the object with this UID.
func (e *Events) SetUID(uid types.UID) { e.uid.Store(&uid) }

// Warn writes an Event of type Warning.
func (e *Events) Warn(reason Reason, message string) {
	e.event(corev1.EventTypeWarning, reason, message)
}

// Normal writes an Event of type Normal.
func (e *Events) Normal(reason Reason, message string) {
	e.event(corev1.EventTypeNormal, reason, message)
}

func (e *Events) event(kind string, reason Reason, message string) {
	object := corev1.ObjectReference{APIVersion: "v1", Kind: "ConfigMap", Namespace: awsauth.Namespace, Name: awsauth.Name}
	if uid := e.uid.Load(); uid != nil {
		object.UID = *uid
	}
	e.recorder.Event(&object, kind, string(reason), Shorten(message, maxEventBytes))
}

// Shorten returns a text as one line of at most limit bytes. It replaces each control character and each invalid byte by
// a space.
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
