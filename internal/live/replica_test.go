package live_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/history"
	"github.com/awsauth-guard/awsauth-guard/internal/live"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// replica is one process, and everything that it tells.
type replica struct {
	*live.Live

	world    *world
	policy   validate.Policy
	settings live.Settings
	cert     *tls.Certificate
	refuses  func() ([]string, error) // the answer to a self-test
	ids      map[string]string        // of principals; empty is that IAM has none
	later    map[string]string        // the same, once IAM has said that it has none; ? is not known
	instead  map[string]string        // of principals that IAM has none of
	asked    []time.Time              // IAM
	logged   bytes.Buffer             // the log

	mu       sync.Mutex
	leads    bool
	won      func()
	events   []string
	gauges   map[string]float64
	counters map[string]int
	cancel   context.CancelFunc
	running  sync.WaitGroup
}

// join starts a replica; the first one leads.
func (w *world) join(change ...func(*replica, *live.Options)) *replica {
	name := "replica-" + strconv.Itoa(len(w.nodes)+1)
	r := &replica{
		world: w, leads: len(w.nodes) == 0, gauges: make(map[string]float64), counters: make(map[string]int),
		policy:   validate.Policy{Protected: []validate.Protected{{ARN: adminARN, Groups: []string{"system:masters"}}}},
		settings: live.Settings{MaxPerHour: 3},
	}
	o := live.Options{
		Replica: name, ConfigMaps: w, Writer: w, Prober: r, Events: r, Election: r, Recorder: r, Directory: r,
		History: &history.Store{Client: stateMap{world: w}, Name: "history", Versions: func() int { return 10 }},
		Record:  recordMap{w}, Webhook: live.Webhook{Namespace: "guard", Name: "guard", Path: "/validate-aws-auth"},
		Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return r.cert, nil },
		Policy: func() validate.Policy {
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.policy
		},
		Settings: func() live.Settings {
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.settings
		},
		Logger: slog.New(slog.NewTextHandler(&r.logged, nil)),
	}
	for _, change := range change {
		change(r, &o)
	}
	r.Live = live.New(o)
	ctx, cancel := context.WithCancel(w.t.Context())
	r.cancel = cancel
	r.running.Go(func() {
		if err := r.Run(ctx); err != nil {
			w.t.Error(err)
		}
	})
	w.nodes = append(w.nodes, r)
	after(time.Second)
	return r
}

// change changes what the replica is configured with, or asks.
func (r *replica) change(do func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	do()
}

// after lets time pass.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (r *replica) stop() {
	r.cancel()
	r.running.Wait()
}

// lead makes it the leader instead of the others.
func (r *replica) lead() {
	for _, other := range r.world.nodes {
		other.mu.Lock()
		other.leads = other == r
		other.mu.Unlock()
	}
	r.won()
	synctest.Wait()
}

func (r *replica) IsLeader() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.leads
}

func (r *replica) OnWon(call func()) { r.won = call }

// admits has a replica admit a change and the API server store it.
func (r *replica) admits(user string, data map[string]string) {
	r.reviews(user, history.Admitted, data)
	r.world.write("kubectl", data)
}

func (r *replica) reviews(user string, how history.How, data map[string]string) {
	a := history.Admission{Time: time.Now(), Requester: user, How: how, Verdict: "allow"}
	if stored := r.world.object(); stored != nil {
		a.Old = history.Hash(stored.Data, nil)
	}
	if data != nil {
		a.New = history.Hash(data, nil)
	}
	r.Admitted(a, nil)
}

func (r *replica) log(t *testing.T) []string {
	t.Helper()
	log, err := (&history.Store{Client: stateMap{world: r.world}, Name: "history"}).Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, v := range log.Versions() {
		text := fmt.Sprintf("%d %s", v.Number, v.How)
		if v.Requester != "" {
			text += " by " + v.Requester
		}
		if v.Absent {
			text += " absent"
		}
		list = append(list, text)
	}
	return list
}

// event counts the Events with a reason.
func (r *replica) event(reason live.Reason) (n int) { return r.said(reason, "") }

// said counts those whose message holds a text.
func (r *replica) said(reason live.Reason, text string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if strings.HasPrefix(e, string(reason)+":") && strings.Contains(e, text) {
			n++
		}
	}
	return n
}

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

func (r *replica) add(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counters[name]++
}

func (r *replica) set(name string, v float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gauges[name] = v
}

func flag(v bool) float64 {
	if v {
		return 1
	}
	return 0
}

func (r *replica) Warn(reason live.Reason, message string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, string(reason)+": "+message)
}
func (r *replica) Tell(reason live.Reason, message string) { r.Warn(reason, message) }
func (r *replica) Concerns(types.UID)                      {}

func (r *replica) Stored(present, breakGlass bool, admins, protectedMissing int) {
	r.set("present", flag(present))
	r.set("break-glass", flag(breakGlass))
	r.set("admins", float64(admins))
	r.set("missing", float64(protectedMissing))
}
func (r *replica) StoredEntries(section string, n int) { r.set(section, float64(n)) }
func (r *replica) StoredFindings(count func(rule, severity string) int) {
	r.set("role-path/warn", float64(count("role-path", "warn")))
	r.set("protected-principal/deny", float64(count("protected-principal", "deny")))
}

func (r *replica) StoredPrincipals(counts map[string]int) {
	for _, state := range []string{"exists", "missing", "recreated", "unknown"} {
		if counts == nil {
			r.set("iam "+state, -1)
			continue
		}
		r.set("iam "+state, float64(counts[state]))
	}
}
func (r *replica) Enforced(is bool)          { r.set("enforced", flag(is)) }
func (r *replica) EnforcedUnknown()          { r.set("enforced", -1) }
func (r *replica) LastAdmitted(at time.Time) { r.set("admitted", float64(at.Unix())) }
func (r *replica) Leads(is bool)             { r.set("leads", flag(is)) }
func (r *replica) Bypassed()                 { r.add("bypassed") }
func (r *replica) HistoryFailed()            { r.add("errors") }
func (r *replica) Restored(result string)    { r.add(result) }
func (r *replica) Panicked(rule string)      { r.add("panic " + rule) }

func (r *replica) StoredUnknown() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range []string{"present", "break-glass", "admins", "missing", "mapRoles", "mapUsers", "mapAccounts", "role-path/warn", "protected-principal/deny"} {
		delete(r.gauges, name)
	}
}

func (r *replica) Identity(context.Context) (string, error) { return "guard", nil }

func (r *replica) Delete(context.Context) ([]string, error) {
	r.add("tests")
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.refuses()
}

func (r *replica) UniqueID(_ context.Context, arn awsauth.ARN) (string, validate.Existence, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, time.Now())
	id, ok := r.ids[arn.Name()]
	switch {
	case !ok:
		return "", validate.Unknown, apierrors.NewUnauthorized("no")
	case id == "":
		switch later, ok := r.later[arn.Name()]; {
		case ok && later == "?":
			delete(r.ids, arn.Name())
		case ok:
			r.ids[arn.Name()] = later
		}
		return "", validate.Missing, nil
	}
	return id, validate.Exists, nil
}

func (r *replica) Instead(_ context.Context, arn awsauth.ARN) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, time.Now())
	return r.instead[arn.Name()]
}

// spaced fails where two calls were less than a second apart.
func (r *replica) spaced(t *testing.T) {
	t.Helper()
	calls := r.calls()
	for i := 1; i < len(calls); i++ {
		if pause := calls[i].Sub(calls[i-1]); pause < time.Second {
			t.Errorf("only %s between two calls", pause)
		}
	}
}

// calls are the times at which IAM was asked.
func (r *replica) calls() []time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.asked)
}
