package monitor_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/kube"
	"github.com/awsauth-guard/awsauth-guard/internal/logtest"
	"github.com/awsauth-guard/awsauth-guard/internal/monitor"
	"github.com/awsauth-guard/awsauth-guard/internal/restore"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// replica is one process and its recorded metrics and Events.
type replica struct {
	*monitor.Monitor
	*restore.Restorer

	world      *world
	stop       func()
	principals bool                 // the configuration turns on IAM
	ids        map[string]string    // unique ids of principals; an empty one is not found, and an absent one gives an error
	created    map[string]time.Time // when principals were created
	later      map[string]string    // unique ids for the calls after a call that did not find the principal; "?" gives an error
	instead    map[string]string    // replacements of missing principals
	asked      []time.Time          // times of the calls to IAM
	logged     logtest.Log

	mu       sync.Mutex
	policy   validate.Policy
	settings restore.Settings
	kept     int // the number of versions that the history keeps
	leads    bool
	won      []func() // called when the replica becomes the leader
	events   []string
	gauges   map[string]float64
	counters map[string]int
}

func want[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// change calls do, which may read and change the replica, while it holds the replica's lock.
func (r *replica) change(do func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	do()
}

// reload changes the configuration as a new GuardConfig does.
func (r *replica) reload(do func()) {
	r.change(do)
	r.Reconfigured()
	r.Wake()
	synctest.Wait()
}

// inUse returns the policy of the configuration in use.
func (r *replica) inUse() validate.Policy {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.policy
}

func (r *replica) restores() restore.Settings {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.settings
}

// String returns the line of the Restorer in /readyz?verbose.
func (r *replica) String() string { return r.Restorer.String() }

// Stored implements [monitor.Enforcement] and does nothing.
func (r *replica) Stored(*corev1.ConfigMap) {}

// lead makes this replica the only leader.
func (r *replica) lead() {
	for _, other := range r.world.replicas {
		other.change(func() { other.leads = other == r })
	}
	for _, call := range r.won {
		call()
	}
	synctest.Wait()
}

func (r *replica) IsLeader() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.leads
}

func (r *replica) OnWon(call func()) { r.won = append(r.won, call) }

// event counts the Events of a reason whose message contains a text.
func (r *replica) event(reason kube.Reason, text string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if strings.HasPrefix(e, string(reason)+":") && strings.Contains(e, text) {
			n++
		}
	}
	return n
}

// value returns a gauge, or -1 if it has no series.
func (r *replica) value(name string) float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if v, ok := r.gauges[name]; ok {
		return v
	}
	return -1
}

func (r *replica) count(name string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counters[name]
}

func (r *replica) add(name string) { r.change(func() { r.counters[name]++ }) }

func (r *replica) set(name string, v float64) { r.change(func() { r.gauges[name] = v }) }

func flag(v bool) float64 {
	if v {
		return 1
	}
	return 0
}

func (r *replica) Warn(reason kube.Reason, message string) {
	r.change(func() { r.events = append(r.events, string(reason)+": "+message) })
}
func (r *replica) SetUID(types.UID) {}

func (r *replica) Leads(is bool)          { r.set("leads", flag(is)) }
func (r *replica) Bypassed()              { r.add("bypassed") }
func (r *replica) HistoryFailed()         { r.add("errors") }
func (r *replica) Restored(result string) { r.add(result) }
func (r *replica) RestoreReady(is bool)   { r.set("ready", flag(is)) }
func (r *replica) RestoreOff()            { r.change(func() { delete(r.gauges, "ready") }) }
func (r *replica) Panicked(rule string)   { r.add("panic " + rule) }

// Facts implements [monitor.PrincipalLookup].
func (r *replica) Facts(_ context.Context, arn awsauth.ARN) (facts access.IAMFacts, existence validate.Existence, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, time.Now())
	id, ok := r.ids[arn.Name()]
	switch {
	case !ok:
		return facts, validate.Unknown, apierrors.NewUnauthorized("no")
	case id == "":
		switch later, ok := r.later[arn.Name()]; {
		case ok && later == "?":
			delete(r.ids, arn.Name())
		case ok:
			r.ids[arn.Name()] = later
		}
		return facts, validate.Missing, nil
	}
	return access.IAMFacts{UniqueID: id, Created: r.created[arn.Name()]}, validate.Exists, nil
}

// Replacement implements [monitor.PrincipalLookup].
func (r *replica) Replacement(_ context.Context, arn awsauth.ARN) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, time.Now())
	return r.instead[arn.Name()]
}

// calls returns the times of the calls to IAM.
func (r *replica) calls() []time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.asked)
}

// spaced fails the test if two calls to IAM are less than a second apart.
func (r *replica) spaced(t *testing.T) {
	t.Helper()
	calls := r.calls()
	for i := 1; i < len(calls); i++ {
		if pause := calls[i].Sub(calls[i-1]); pause < time.Second {
			t.Errorf("only %s between two calls", pause)
		}
	}
}
