package monitor

import (
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/history"
	"github.com/awsauth-guard/awsauth-guard/internal/kube"
	"github.com/awsauth-guard/awsauth-guard/internal/restore"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// Recorder records metrics. It must allow concurrent calls.
type Recorder interface {
	// Stored records whether aws-auth exists, and whether it has the break-glass annotation.
	Stored(present, breakGlass bool)
	// StoredAccess records the numbers of admins, of node roles, and of protected principals that lack access.
	StoredAccess(admins, nodeRoles, protectedMissing int)
	// StoredEntries records the number of entries of a section.
	StoredEntries(section string, n int)
	// StoredAccessUnknown removes the metrics of the effective access.
	StoredAccessUnknown()
	// StoredFindings records the number of findings by rule and severity. count returns this number.
	StoredFindings(count func(rule, severity string) int)
	// StoredPrincipals records the number of stored principals by their state in IAM. Nil removes the metric.
	StoredPrincipals(counts map[string]int)
	// AccessEntryStates records the number of access entries by state. Nil removes the metric.
	AccessEntryStates(counts map[string]int)
	// AccessEntryLost counts a read of the access entries after which access was lost. The kind is protected-principal, last-admin
	// or node-role.
	AccessEntryLost(kind string)
	// StoredUnknown removes all metrics of the stored version.
	StoredUnknown()
	// Bypassed counts a bypass.
	Bypassed()
	// HistoryFailed counts a failed read or write of the history.
	HistoryFailed()
	// Panicked counts a panic of a rule, or of the guard itself.
	Panicked(rule string)
}

// Election elects the leader.
type Election interface {
	// IsLeader reports whether this process is the leader, as far as it knows.
	IsLeader() bool
	// OnWon registers a function. The election calls it each time this process becomes the leader.
	OnWon(call func())
}

// Events writes Events about aws-auth.
type Events interface {
	// Warn writes an Event of type Warning.
	Warn(reason kube.Reason, message string)
	// SetUID sets the uid of aws-auth for later Events.
	SetUID(uid types.UID)
}

// Restorer decides on restores. A [restore.Restorer] implements it.
type Restorer interface {
	// Observe receives every version.
	Observe(o restore.Observation)
	// Wrote reports whether the Restorer wrote the content with this hash to restore it.
	Wrote(hash string) bool
}

// Versions receives the versions for the history. A [Keeper] implements it.
type Versions interface {
	Add(v history.Version)
}

// Enforcement receives the stored object, because the objectSelector of a webhook can exclude this object.
type Enforcement interface {
	Stored(cm *corev1.ConfigMap)
}

// ReplacedVersions keeps the versions that were replaced a short time ago. An admission.ReplacedVersions implements it.
type ReplacedVersions interface {
	Observe(stored *awsauth.Object, now time.Time)
}

// Options configures [New]. All fields are required.
type Options struct {
	// ListerWatcher lists and watches only aws-auth.
	ListerWatcher cache.ListerWatcher
	// Past lists and watches earlier versions of aws-auth, after a restart of the process.
	Past        ConfigMaps
	History     Store
	Versions    Versions
	Restorer    Restorer
	Enforcement Enforcement
	Replaced    ReplacedVersions
	Events      Events
	Election    Election
	Lookup      PrincipalLookup
	Policy      func() validate.Policy
	// Principals reports whether the leader looks up principals in IAM.
	Principals func() bool
	Recorder   Recorder
	Logger     *slog.Logger
	Timing     Timing
	Now        func() time.Time
}

// Timing holds the periods of the lookups.
type Timing struct {
	// Principals is the period in which the leader looks up all principals. Principal is the pause after each call to IAM.
	Principals, Principal time.Duration
}

// DefaultTiming returns the Timing for production.
func DefaultTiming() Timing { return Timing{Principals: time.Hour, Principal: time.Second} }
