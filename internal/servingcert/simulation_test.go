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

// world simulates a cluster in which changes arrive late. API servers use an older caBundle, and replicas observe older versions
// of the Secret and of the caBundle. Only the leader reads the newest versions.
type world struct {
	t        *testing.T
	random   *rand.Rand
	now      time.Time
	state    servingcert.State
	rotate   string
	bundle   []*x509.Certificate
	states   []servingcert.State // one for each second, the last is the present one
	bundles  [][]*x509.Certificate
	replicas []*simulatedReplica
	leader   int  // index, or -1
	led      bool // the leader has begun its term
	events   []string
}

// simulatedReplica is one replica.
type simulatedReplica struct {
	observed           servingcert.Observed
	leaf               *servingcert.Leaf
	secretLag, confLag int // seconds by which it sees the Secret and the configuration late
}

// maxAPIServerLag is the largest delay of an API server, just below SwitchAfter.
const maxAPIServerLag = 59

// maxReplicaLag is the largest delay of a replica that RetireAfter allows.
const maxReplicaLag = 135

func (w *world) logEvent(format string, args ...any) {
	w.events = append(w.events, fmt.Sprintf("%6.0fs ", w.now.Sub(epoch).Seconds())+fmt.Sprintf(format, args...))
}

// secondsAgo returns the value from some seconds ago. The list has one value for each second.
func secondsAgo[T any](list []T, seconds int) T { return list[max(0, len(list)-1-seconds)] }

// second simulates one second.
func (w *world) second() {
	w.now = w.now.Add(time.Second)
	if w.leader >= 0 {
		w.reconcile(w.replicas[w.leader])
	}
	w.states, w.bundles = append(w.states, w.state), append(w.bundles, w.bundle)
	for i, r := range w.replicas {
		secret, published := secondsAgo(w.states, r.secretLag), [][]*x509.Certificate{secondsAgo(w.bundles, r.confLag)}
		if i == w.leader {
			secret, published = w.state, [][]*x509.Certificate{w.bundle}
		}
		r.observed.Observe(w.now, secret, published)
		if i != w.leader {
			r.observed.RecordSeen(w.now, secret)
		}
		if a := servingcert.SigningCA(w.now, secret, &r.observed, r.leaf, timing); a != nil {
			leaf, err := a.Sign(w.now, timing.LeafLifetime, []string{host})
			if err != nil {
				w.t.Fatal(err)
			}
			w.logEvent("replica %d signs", i)
			r.leaf = leaf
		}
	}
}

// reconcile lets a replica do the work of the leader once.
func (w *world) reconcile(r *simulatedReplica) {
	r.observed.Observe(w.now, w.state, [][]*x509.Certificate{w.bundle})
	if !w.led {
		r.observed.BeginTerm()
		w.led = true
	}
	next, step, err := servingcert.NextState(servingcert.RotationInput{Now: w.now, State: w.state, Rotate: w.rotate, Observed: &r.observed}, timing)
	if err != nil {
		w.t.Fatal(err)
	}
	if step != servingcert.StepNone {
		w.logEvent("%s", step)
	}
	w.state = next
	r.observed.RecordWritten(w.now, next)
	if w.random.IntN(10) > 0 { // the write of the caBundle fails sometimes
		w.bundle = r.observed.Bundle(w.now)
	}
}

// check verifies that every replica is trusted by API servers with delays from 0 to maxAPIServerLag seconds.
func (w *world) check() {
	for i, r := range w.replicas {
		for _, late := range []int{0, 1, maxAPIServerLag / 2, maxAPIServerLag} {
			// This checks the same as VerifyLeaf, which takes a hundred times as long.
			if !slices.ContainsFunc(secondsAgo(w.bundles, late), func(ca *x509.Certificate) bool { return bytes.Equal(ca.SubjectKeyId, r.leaf.Leaf.AuthorityKeyId) }) {
				for _, line := range w.events {
					w.t.Log(line)
				}
				w.t.Fatalf("after %s replica %d is refused by an API server that is %d s late", w.now.Sub(epoch), i, late)
			}
		}
	}
}

// disturb causes a random event. It starts a replica only while there is a current CA. A replica that starts while the leader
// recovers the CA signs with any CA, and API servers may not trust that CA yet.
func (w *world) disturb() {
	i := w.random.IntN(len(w.replicas))
	switch w.random.IntN(8) {
	case 0:
		w.rotate += "x"
		w.logEvent("rotation requested")
	case 1, 2:
		if w.state.Current != nil {
			w.logEvent("replica %d starts again", i)
			*w.replicas[i] = simulatedReplica{}
			if w.leader == i {
				w.leader = -1
			}
		}
	case 3:
		w.leader = -1
		w.logEvent("no leader")
	case 4:
		w.state = servingcert.State{}
		w.logEvent("the Secret is emptied")
	case 5:
		w.loseNext()
	case 6:
		other, err := servingcert.NewAuthority(w.now, timing.CALifetime)
		if err != nil {
			w.t.Fatal(err)
		}
		w.state = servingcert.State{Current: other}
		w.logEvent("another CA in the Secret")
	case 7:
		other, err := servingcert.NewAuthority(w.now, timing.CALifetime)
		if err != nil {
			w.t.Fatal(err)
		}
		w.bundle = append(slices.Clip(w.bundle), other.Cert)
		w.logEvent("foreign CA in the caBundle")
	}
}

// loseNext starts a rotation, and stops the leader when it has published the next CA. After the replicas had time to switch to the next CA,
// loseNext removes this CA from the Secret.
func (w *world) loseNext() {
	if w.leader < 0 {
		return
	}
	w.rotate += "x"
	for range 2 * maxReplicaLag {
		if w.state.Next != nil && len(w.bundle) == 2 {
			w.leader = -1
		}
		w.second()
		w.check()
	}
	w.state.Next = nil
	w.logEvent("the next CA is lost")
}

// Every API server trusts the certificate of every replica during random failures and delays.
func TestEveryAPIServerTrustsEveryReplica(t *testing.T) {
	t.Parallel()
	rotations := 0
	for seed := range uint64(30) {
		w := &world{t: t, random: rand.New(rand.NewPCG(seed, 5)), now: epoch, leader: 0}
		w.replicas = []*simulatedReplica{{}, {}, {}}
		for range 2 * maxReplicaLag { // installation
			w.second()
		}
		for range 40 {
			for _, r := range w.replicas {
				if r.secretLag, r.confLag = 0, 0; w.random.IntN(4) == 0 {
					r.secretLag, r.confLag = w.random.IntN(maxReplicaLag), w.random.IntN(maxReplicaLag)
				}
			}
			w.disturb()
			for range w.random.IntN(500) {
				if w.leader < 0 && w.random.IntN(15) == 0 {
					w.leader, w.led = w.random.IntN(len(w.replicas)), false
					w.logEvent("replica %d leads", w.leader)
				}
				w.second()
				w.check()
			}
		}
		for _, line := range w.events {
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
