package live_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/history"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

const (
	otherAdmin = "- rolearn: " + iamPrefix + "role/Other\n  username: other\n  groups: [system:masters]\n"
	bothAdmins = admin + node + otherAdmin
)

// configure changes the policy of every replica.
func (w *world) configure(do func(*validate.Policy)) {
	for _, r := range w.nodes {
		r.change(func() { do(&r.policy) })
	}
}

// forge writes a version into the history that the guard has not written.
func (w *world) forge(v history.Version) {
	w.changeLog(func(log *history.Log) { log.Append(v) })
}

func (w *world) changeLog(do func(*history.Log)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	log := history.Read(w.history)
	do(log)
	w.writes++
	w.history = w.history.DeepCopy()
	if err := log.Write(w.history, 10); err != nil {
		w.t.Error(err)
	}
	w.history.ResourceVersion = strconv.Itoa(w.writes)
}

// What a rescue is for is lost whatever the policy makes of changes that are reviewed.
func TestLoss(t *testing.T) {
	t.Parallel()
	off := func(rules ...string) func(w *world) {
		return func(w *world) {
			w.configure(func(p *validate.Policy) {
				p.Rules = make(map[string]validate.Severity)
				for _, rule := range rules {
					p.Rules[rule] = validate.Off
				}
			})
		}
	}
	withoutAdmin := func(w *world) { w.write("kubectl-edit", roles(node)) }
	withoutProtected := func(w *world) { w.write("kubectl-edit", roles(node+otherAdmin)) }
	twoAdmins := func(w *world) { w.nodes[0].admits("alice", roles(bothAdmins)) }
	tryRescues(t, []rescueCase{
		{"in mode warn", func(w *world) {
			w.configure(func(p *validate.Policy) { p.Mode = validate.WarnMode })
		}, withoutAdmin, roles(goodText)},
		{"a protected principal beside another admin", twoAdmins, withoutProtected, roles(bothAdmins)},
		{"a protected principal, with its rule off", func(w *world) {
			off("protected-principal")(w)
			twoAdmins(w)
		}, withoutProtected, roles(bothAdmins)},
		{"every admin, with its rule off", func(w *world) {
			off("last-admin")(w)
			w.configure(func(p *validate.Policy) { p.Protected = nil })
		}, withoutAdmin, roles(goodText)},
		{"with the annotation that allows the removal", nil, func(w *world) {
			w.annotate(roles(node), map[string]string{validate.AllowRemovalAnnotation: adminARN})
		}, roles(goodText)},
		{"another admin", twoAdmins, func(w *world) { w.write("kubectl-edit", roles(goodText)) }, nil},
	})
}

// What is put back is the newest version that somebody has admitted before the loss, and that lacks nothing itself;
// and no older one for what only a bypass had brought.
func TestCandidate(t *testing.T) {
	t.Parallel()
	tryRescues(t, []rescueCase{
		{"not one of which somebody may still say that it was admitted", nil, func(w *world) {
			long := time.Now().Add(-time.Hour)
			w.write("kubectl-edit", with(goodText, "waits for replica-9"))
			after(20 * time.Second)
			version := strconv.Itoa(w.version + 1)
			w.change(func() {
				w.replicas["replica-9"] = history.Replica{
					Started: long, Watching: long, Renewed: long, Doubts: []history.Doubt{{Time: time.Now(), ResourceVersion: version}},
				}
			})
			w.write("kubectl-edit", roles(node))
		}, roles(goodText)},
		{"not one that is entered after the loss", nil, func(w *world) {
			w.write("kubectl-edit", roles(node))
			after(500 * time.Millisecond)
			seen := roles(admin + node)
			w.forge(history.Version{Time: time.Now(), ResourceVersion: "4711", Hash: history.Hash(seen, nil), Data: seen, How: history.Admitted})
		}, roles(goodText)},
		{"not one without the node roles that came around the guard", func(w *world) {
			w.nodes[0].admits("alice", roles(admin))
			after(time.Minute)
			w.write("kubectl-edit", roles(admin+node))
			after(5 * time.Minute)
		}, func(w *world) { w.write("kubectl-edit", with(admin, "y")) }, nil},
		{"not what is stored", func(w *world) {
			w.nodes[0].admits("alice", roles(admin))
			after(time.Minute)
			w.write("kubectl-edit", roles(admin+node))
			after(5 * time.Minute)
		}, func(w *world) { w.write("kubectl-edit", roles(admin)) }, nil},
	})
}
