package live_test

import (
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/history"
	"github.com/awsauth-guard/awsauth-guard/internal/live"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

func rescues(r *replica, _ *live.Options) { r.settings.Restore = true }

// goodText is what somebody has admitted before each change that bypasses the guard.
const goodText = admin + node + ci

// rescueCase is such a change, and what is stored long after it.
type rescueCase struct {
	name string
	// setup is done some time before the change that bypasses the guard.
	setup func(w *world)
	do    func(w *world)
	want  map[string]string // nil is what do has stored
}

func tryRescues(t *testing.T, cases []rescueCase) {
	t.Helper()
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			run(t, roles(admin+node), func(w *world) {
				first := w.join(rescues)
				w.join(rescues)
				after(40 * time.Second)
				first.admits("alice", roles(goodText))
				after(time.Minute)
				if test.setup != nil {
					test.setup(w)
				}
				after(20 * time.Second)
				test.do(w)
				lost := w.object()
				after(29 * time.Second)
				if w.object() != lost {
					t.Error("it is put back before it is certain")
				}
				after(5 * time.Minute)
				wanted := test.want
				restored := 1
				if wanted == nil {
					restored = 0
					if lost != nil {
						wanted = lost.Data
					}
				}
				var got map[string]string
				if stored := w.object(); stored != nil {
					got = stored.Data
				}
				if !maps.Equal(got, wanted) {
					t.Errorf("stored is %v", got)
				}
				want(t, "restored", []int{first.count("restored"), first.event(live.Restored)}, []int{restored, restored})
				if restored > 0 {
					log := first.log(t)
					if newest := log[len(log)-1]; !strings.HasSuffix(newest, " restored by guard") {
						t.Errorf("the newest version is %s", newest)
					}
				}
			})
		})
	}
}

// What a bypass takes away is put back where that is a protected principal, every admin or every node role, and
// where nothing says that somebody means it.
func TestRescue(t *testing.T) {
	t.Parallel()
	good := roles(goodText)
	otherNode := strings.Replace(node, "role/Node", "role/OtherNode", 1)
	faulty := roles(admin + node + "- rolearn: arn:aws:sts::111122223333:assumed-role/CI/x\n  username: ci\n")
	declareOther := func(w *world) {
		for _, r := range w.nodes {
			r.change(func() { r.policy.AccessEntries = []string{iamPrefix + "role/OtherNode"} })
		}
		w.nodes[0].admits("alice", roles(admin+node+otherNode))
	}
	harmless := func(w *world) {
		w.write("kubectl-edit", map[string]string{"mapRoles": admin + node + ci, "x": "y"})
		after(5 * time.Minute)
	}
	tryRescues(t, []rescueCase{
		{"a protected principal", nil, func(w *world) { w.write("kubectl-edit", roles(node+ci)) }, good},
		{"every node role", nil, func(w *world) { w.write("kubectl-edit", roles(admin+ci)) }, good},
		{"everything", nil, func(w *world) { w.write("kubectl-edit", nil) }, good},
		{"the text", nil, func(w *world) { w.write("kubectl-edit", roles("[")) }, good},
		{"what only another bypass had brought, and then everything", func(w *world) { w.nodes[0].admits("alice", roles(admin)) }, func(w *world) {
			w.write("kubectl-edit", roles(admin+node))
			after(10 * time.Second)
			w.write("kubectl-edit", roles("[]"))
		}, roles(admin)},
		{"another cluster's", nil, func(w *world) { w.write("kubectl-edit", roles(otherNode)) }, good},
		{"what stood with a fault", func(w *world) {
			w.nodes[1].admits("alice", faulty)
		}, func(w *world) { w.write("kubectl-edit", nil) }, faulty},
		{"what stood without somebody who is protected since", func(w *world) {
			for _, r := range w.nodes {
				r.change(func() {
					r.policy.Protected = append(r.policy.Protected, validate.Protected{ARN: iamPrefix + "role/Later", Groups: []string{"x"}})
				})
			}
		}, func(w *world) { w.write("kubectl-edit", roles(node)) }, good},
		{"a node role beside one with an access entry", declareOther, func(w *world) { w.write("kubectl-edit", roles(admin+otherNode)) }, nil},
		{"every node role, of which one has an access entry", declareOther, func(w *world) { w.write("kubectl-edit", roles(admin)) }, nil},
		{"and then many times more", nil, func(w *world) {
			w.write("kubectl-edit", roles(node))
			for i := range 40 {
				after(time.Second)
				w.write("kubectl-edit", map[string]string{"mapRoles": node, "x": strconv.Itoa(i)})
			}
		}, good},
		{"nobody of interest", nil, func(w *world) { w.write("kubectl-edit", roles(admin+node)) }, nil},
		{"every admin", func(w *world) {
			for _, r := range w.nodes {
				r.change(func() { r.policy = validate.Policy{} })
			}
		}, func(w *world) { w.write("kubectl-edit", roles(node)) }, good},
		{"an admin with an access entry", func(w *world) {
			for _, r := range w.nodes {
				r.change(func() { r.policy.AccessEntries = []string{adminARN} })
			}
		}, func(w *world) { w.write("kubectl-edit", roles(node)) }, nil},
		{"by EKS", nil, func(w *world) { w.write("vpcLambda", roles(admin)) }, nil},
		{"by a tool called like EKS", nil, func(w *world) { w.write("eksctl", roles(admin)) }, good},
		{"with break-glass", nil, func(w *world) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.put("kubectl-edit", roles(node), map[string]string{validate.BreakGlassAnnotation: "incident"})
		}, nil},
		{"admitted by the other replica", nil, func(w *world) { w.nodes[1].admits("alice", roles(node)) }, nil},
		{"refused, and stored all the same", nil, func(w *world) {
			w.nodes[1].Refused(history.Admission{Time: time.Now(), Old: history.Hash(good, nil), New: history.Hash(roles(node), nil)}, nil)
			w.write("kubectl-edit", roles(node))
		}, nil},
		{"several times", nil, func(w *world) {
			for i := range 10 {
				after(7 * time.Second)
				w.write("kubectl-edit", map[string]string{"mapRoles": node, "x": string(rune('a' + i))})
			}
		}, good},
		{"and then admitted", nil, func(w *world) {
			w.write("kubectl-edit", roles(node))
			after(10 * time.Second)
			w.nodes[0].admits("alice", roles(node+ci))
		}, nil},
		{"a replica that is new", func(w *world) { w.join(rescues) }, func(w *world) { w.write("kubectl-edit", roles(node)) }, good},
		{"a replica that has just started", nil, func(w *world) { w.join(rescues); w.write("kubectl-edit", roles(node)) }, nil},
		{"a replica that has ended", func(w *world) {
			w.nodes[1].admits("alice", good)
			w.nodes[1].stop()
		}, func(w *world) { w.write("kubectl-edit", roles(node)) }, good},
		{"a replica that is silent", nil, func(w *world) {
			w.mu.Lock()
			w.replicas["replica-9"] = history.Replica{Started: time.Now().Add(-time.Hour), Watching: time.Now().Add(-time.Hour), Renewed: time.Now()}
			w.mu.Unlock()
			w.write("kubectl-edit", roles(node))
		}, nil},
		{"an interrupted watch", nil, func(w *world) {
			w.interrupt(true)
			w.write("kubectl-edit", roles(node))
			after(5 * time.Second)
			w.interrupt(false)
		}, nil},
		{"long after an interruption", func(w *world) { w.interrupt(false); after(10 * time.Second) }, func(w *world) { w.write("kubectl-edit", roles(node)) }, good},
		{"a gap", nil, func(w *world) {
			w.mu.Lock()
			watches := w.watches
			w.watches = nil
			w.put("kubectl-edit", roles(node), nil)
			w.watches = watches
			w.mu.Unlock()
			w.expire()
		}, nil},
		{"after a harmless bypass", harmless, func(w *world) { w.write("kubectl-edit", roles(node+ci)) }, good},
		{"after a harmless bypass, admitted by the other replica", harmless, func(w *world) { w.nodes[1].admits("alice", roles(node)) }, nil},
		{"long after a harmless bypass", func(w *world) { harmless(w); after(time.Hour) }, func(w *world) { w.write("kubectl-edit", roles(node+ci)) }, good},
		{"with break-glass that is taken away later", nil, func(w *world) {
			glass := func(annotations map[string]string) {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.put("kubectl-edit", roles(node), annotations)
			}
			glass(map[string]string{validate.BreakGlassAnnotation: "incident"})
			after(10 * time.Minute)
			glass(nil)
		}, nil},
		{"deleted with break-glass", func(w *world) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.put("kubectl-edit", good, map[string]string{validate.BreakGlassAnnotation: "incident"})
		}, func(w *world) { w.write("kubectl-edit", nil) }, nil},
		{"and then by EKS", nil, func(w *world) {
			w.write("kubectl-edit", roles(node+ci))
			after(time.Second)
			w.write("vpcLambda", map[string]string{"mapRoles": node + ci, "x": "y"})
		}, nil},
		{"not wanted until long after", nil, func(w *world) {
			switchTo := func(on bool) {
				for _, r := range w.nodes {
					r.change(func() { r.settings.Restore = on })
				}
			}
			switchTo(false)
			w.write("kubectl-edit", roles(node))
			after(48 * time.Hour)
			switchTo(true)
		}, nil},
		{"a forged history", func(w *world) {
			forged := roles(admin + node + strings.ReplaceAll(ci, "deployers", "system:masters"))
			w.forge(history.Version{Time: time.Now(), ResourceVersion: "4711", Hash: history.Hash(forged, nil), Data: forged, How: history.Admitted})
			w.forge(history.Version{Time: time.Now(), ResourceVersion: "4712", Hash: history.Hash(good, nil), Data: forged, How: history.Admitted})
		}, func(w *world) { w.write("kubectl-edit", roles(node+ci)) }, good},
		{"not wanted", func(w *world) {
			for _, r := range w.nodes {
				r.change(func() { r.settings.Restore = false })
			}
		}, func(w *world) { w.write("kubectl-edit", roles(node)) }, nil},
	})
}

// Whoever takes it away again and again is stopped three times an hour, whoever leads.
func TestRescueIsLimited(t *testing.T) {
	t.Parallel()
	run(t, roles(admin+node), func(w *world) {
		first, second := w.join(rescues), w.join(rescues)
		after(time.Minute)
		for range 2 {
			w.write("mallory", roles(node))
			after(40 * time.Second)
		}
		want(t, "restored", first.count("restored"), 2)
		first.stop()
		second.lead()
		after(time.Minute)
		for range 3 {
			w.write("mallory", roles(node))
			after(40 * time.Second)
			w.write("mallory", map[string]string{"mapRoles": node, "x": "y"})
			after(40 * time.Second)
		}
		want(t, "restored by the next leader", second.count("restored"), 1)
		if second.count("limited") == 0 || second.event(live.NotRestored) == 0 {
			t.Error("nobody is told that there were too many")
		}
		if w.object().Data["x"] != "y" {
			t.Error("it is put back")
		}
		after(time.Hour)
		want(t, "an hour later", w.object().Data, roles(admin+node))
	})
}

// Where there is nothing to put back, that is told, too.
func TestNothingToPutBack(t *testing.T) {
	t.Parallel()
	run(t, roles(node), func(w *world) {
		r := w.join(rescues)
		after(time.Minute)
		w.write("kubectl-edit", roles(admin+node))
		after(time.Minute)
		w.write("kubectl-edit", roles(node))
		after(5 * time.Minute)
		want(t, "results", []int{r.count("restored"), r.count("failed"), r.event(live.NotRestored)}, []int{0, 1, 1})
	})
}

// An update that fails is told of, and tried again, within the limit.
func TestRescueFails(t *testing.T) {
	t.Parallel()
	run(t, roles(admin+node), func(w *world) {
		r := w.join(rescues, func(_ *replica, o *live.Options) { o.Writer = readOnly{w} })
		after(time.Minute)
		w.write("kubectl-edit", roles(node))
		after(20 * time.Minute)
		want(t, "results", []int{r.count("restored"), r.count("failed"), r.count("limited")}, []int{0, 1, 1})
	})
}
