package servingcert_test

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/servingcert"
)

// world is a cluster in which everybody learns of everything late: API servers of the caBundle, and
// replicas of both objects. Only the leader reads what is.
type world struct {
	t        *testing.T
	random   *rand.Rand
	now      time.Time
	state    servingcert.State
	rotate   string
	bundle   []*x509.Certificate
	states   []servingcert.State // one a second, the last is now
	bundles  [][]*x509.Certificate
	replicas []*simulated
	leader   int  // index, or -1
	led      bool // by the leader
	story    []string
}

// simulated is a replica.
type simulated struct {
	memory             servingcert.Memory
	leaf               *servingcert.Leaf
	secretLag, confLag int // in seconds
}

// lateAPIServer is how late an API server may learn of a caBundle: just less than what is waited for.
const lateAPIServer = 59

// lateReplica is how late a replica may learn of anything, as RetireAfter allows.
const lateReplica = 135

func (w *world) tell(format string, args ...any) {
	w.story = append(w.story, fmt.Sprintf("%6.0fs ", w.now.Sub(epoch).Seconds())+fmt.Sprintf(format, args...))
}

// ago is what a list held some seconds before now.
func ago[T any](list []T, seconds int) T { return list[max(0, len(list)-1-seconds)] }

// second lets a second pass.
func (w *world) second() {
	w.now = w.now.Add(time.Second)
	if w.leader >= 0 {
		w.lead(w.replicas[w.leader])
	}
	w.states, w.bundles = append(w.states, w.state), append(w.bundles, w.bundle)
	for i, r := range w.replicas {
		secret, live := ago(w.states, r.secretLag), [][]*x509.Certificate{ago(w.bundles, r.confLag)}
		if i == w.leader {
			secret, live = w.state, [][]*x509.Certificate{w.bundle}
		}
		r.memory.Observe(w.now, secret, live)
		if i != w.leader {
			r.memory.Follow(w.now, secret)
		}
		if a := servingcert.Choose(w.now, secret, &r.memory, r.leaf, timing); a != nil {
			leaf, err := a.Sign(w.now, timing.LeafLifetime, []string{host})
			if err != nil {
				w.t.Fatal(err)
			}
			w.tell("replica %d signs", i)
			r.leaf = leaf
		}
	}
}

// lead does what the leader does.
func (w *world) lead(r *simulated) {
	r.memory.Observe(w.now, w.state, [][]*x509.Certificate{w.bundle})
	if !w.led {
		r.memory.BeginTerm()
		w.led = true
	}
	next, step, err := servingcert.Plan(servingcert.Situation{Now: w.now, State: w.state, Rotate: w.rotate, Memory: &r.memory}, timing)
	if err != nil {
		w.t.Fatal(err)
	}
	if step != servingcert.StepNone {
		w.tell("%s", step)
	}
	w.state = next
	r.memory.Know(w.now, next)
	if w.random.IntN(10) > 0 { // sometimes the second write fails
		w.bundle = r.memory.Bundle(w.now)
	}
}

// check asks every replica as API servers do that are up to date, and late.
func (w *world) check() {
	for i, r := range w.replicas {
		for _, late := range []int{0, 1, lateAPIServer / 2, lateAPIServer} {
			// As Chains does, which takes a hundred times as long.
			if !slices.ContainsFunc(ago(w.bundles, late), func(ca *x509.Certificate) bool { return bytes.Equal(ca.SubjectKeyId, r.leaf.Leaf.AuthorityKeyId) }) {
				for _, line := range w.story {
					w.t.Log(line)
				}
				w.t.Fatalf("after %s replica %d is refused by an API server that is %d s late", w.now.Sub(epoch), i, late)
			}
		}
	}
}

// disturb lets something happen. A replica starts only where there is a current CA: one that starts
// while the guard recovers takes what there is.
func (w *world) disturb() {
	i := w.random.IntN(len(w.replicas))
	switch w.random.IntN(8) {
	case 0:
		w.rotate += "x"
		w.tell("asked to rotate")
	case 1, 2:
		if w.state.Current != nil {
			w.tell("replica %d starts again", i)
			*w.replicas[i] = simulated{}
			if w.leader == i {
				w.leader = -1
			}
		}
	case 3:
		w.leader = -1
		w.tell("nobody leads")
	case 4:
		w.state = servingcert.State{}
		w.tell("the Secret is emptied")
	case 5:
		w.loseNext()
	case 6:
		other, err := servingcert.NewAuthority(w.now, timing.CALifetime)
		if err != nil {
			w.t.Fatal(err)
		}
		w.state = servingcert.State{Current: other}
		w.tell("another CA is written")
	case 7:
		other, err := servingcert.NewAuthority(w.now, timing.CALifetime)
		if err != nil {
			w.t.Fatal(err)
		}
		w.bundle = append(slices.Clip(w.bundle), other.Cert)
		w.tell("a stranger is in the caBundle")
	}
}

// loseNext takes the next CA away when replicas have switched to it and nobody leads.
func (w *world) loseNext() {
	if w.leader < 0 {
		return
	}
	w.rotate += "x"
	for range 2 * lateReplica {
		if w.state.Next != nil && len(w.bundle) == 2 {
			w.leader = -1
		}
		w.second()
		w.check()
	}
	w.state.Next = nil
	w.tell("the next CA is lost")
}

// Whatever happens, and however late everybody learns of it: no API server meets a certificate
// that it does not trust.
func TestNoReviewIsLost(t *testing.T) {
	t.Parallel()
	rotations := 0
	for seed := range uint64(30) {
		w := &world{t: t, random: rand.New(rand.NewPCG(seed, 5)), now: epoch, leader: 0}
		w.replicas = []*simulated{{}, {}, {}}
		for range 2 * lateReplica { // install
			w.second()
		}
		for range 40 {
			for _, r := range w.replicas {
				if r.secretLag, r.confLag = 0, 0; w.random.IntN(4) == 0 {
					r.secretLag, r.confLag = w.random.IntN(lateReplica), w.random.IntN(lateReplica)
				}
			}
			w.disturb()
			for range w.random.IntN(500) {
				if w.leader < 0 && w.random.IntN(15) == 0 {
					w.leader, w.led = w.random.IntN(len(w.replicas)), false
					w.tell("replica %d leads", w.leader)
				}
				w.second()
				w.check()
			}
		}
		for _, line := range w.story {
			if line[8:] == "promote" {
				rotations++
			}
		}
	}
	if rotations < 100 {
		t.Errorf("only %d rotations", rotations)
	}
	t.Logf("%d rotations", rotations)
}
