package live_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/history"
	"github.com/awsauth-guard/awsauth-guard/internal/live"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// glass is the annotation that breaks the glass.
func glass(value string) map[string]string {
	return map[string]string{validate.BreakGlassAnnotation: value}
}

// with is a content with a key more, which the authenticator does not read.
func with(text, more string) map[string]string {
	return map[string]string{"mapRoles": text, "x": more}
}

// Whoever wrote any version since the loss may have meant it: EKS, or somebody who breaks the glass.
func TestMeant(t *testing.T) {
	t.Parallel()
	by := func(manager string) func(w *world) {
		return func(w *world) { w.write(manager, roles(node)) }
	}
	tryRescues(t, []rescueCase{
		{"first by EKS", nil, func(w *world) {
			w.write("vpcLambda", roles(node+ci))
			after(time.Second)
			w.write("kubectl-edit", with(node+ci, "y"))
		}, nil},
		{"by EKS in between", nil, func(w *world) {
			w.write("kubectl-edit", roles(node+ci))
			after(time.Second)
			w.write("vpcLambda", with(node+ci, "y"))
			after(time.Second)
			w.write("kubectl-edit", with(node+ci, "z"))
		}, nil},
		{"by EKS as eks", nil, by("eks"), nil},
		{"by EKS as eks-internal", nil, by("eks-internal"), nil},
		{"by a part of EKS", nil, by("eks:addon-manager"), nil},
		{"first with break-glass", nil, func(w *world) {
			w.annotate(roles(node+ci), glass("incident"))
			after(time.Second)
			w.annotate(with(node+ci, "y"), nil)
		}, nil},
		{"with break-glass that comes later", nil, func(w *world) {
			w.annotate(roles(node), nil)
			after(10 * time.Second)
			w.annotate(roles(node), glass("incident"))
		}, nil},
		{"with break-glass that is blank", nil, func(w *world) { w.annotate(roles(node), glass(" \n")) }, roles(goodText)},
	})
}

// Nothing is put back by a process that may not have been asked, nor where one may have been of which nothing is known.
func TestNotAsked(t *testing.T) {
	t.Parallel()
	tryRescues(t, []rescueCase{
		{"soon after an interruption", nil, func(w *world) {
			w.interrupt(false)
			after(10 * time.Second)
			w.write("kubectl-edit", roles(node))
		}, nil},
		{"an interruption before it is certain", nil, func(w *world) {
			w.write("kubectl-edit", roles(node))
			after(10 * time.Second)
			w.interrupt(true)
		}, nil},
		{"a replica whose word is damaged", nil, func(w *world) {
			w.change(func() { w.damaged = []*history.EntryError{{Key: "replica-9"}} })
			w.write("kubectl-edit", roles(node))
		}, nil},
	})
}

// While the watch is interrupted nothing is put back, also where the leader has not written its word since.
func TestInterruptedAndMute(t *testing.T) {
	t.Parallel()
	run(t, roles(admin+node), func(w *world) {
		r := w.join(rescues)
		after(time.Minute)
		w.change(func() { w.unwritable = true })
		w.write("kubectl-edit", roles(node))
		after(10 * time.Second)
		w.interrupt(true)
		after(5 * time.Minute)
		want(t, "results", []int{r.count("bypassed"), r.count("restored"), r.count("failed")}, []int{1, 0, 0})
	})
}

// The leader reads what the replicas say before it writes, however certain it is: it may lead since now.
func TestReadBeforeRescue(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name       string
		silent     bool // a replica is
		unreadable bool // the record is, when the next replica leads
		restored   int  // when it is read
	}{
		{"a replica that is silent", true, false, 0},
		{"a record that cannot be read", false, true, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			run(t, roles(admin+node), func(w *world) {
				w.join()
				second := w.join(rescues)
				after(time.Minute)
				if test.silent {
					long := time.Now().Add(-time.Hour)
					w.change(func() { w.replicas["replica-9"] = history.Replica{Started: long, Watching: long, Renewed: time.Now()} })
				}
				w.write("kubectl-edit", roles(node))
				after(3 * time.Minute)
				w.change(func() { w.unreadable = test.unreadable })
				second.lead()
				after(time.Minute)
				want(t, "results", []int{second.count("restored"), second.event(live.NotRestored)}, []int{0, 1})
				w.change(func() { w.unreadable = false })
				after(time.Minute)
				want(t, "restored", second.count("restored"), test.restored)
			})
		})
	}
}

// A replica that has written since, and has not seen the change yet, is waited for as long as it may be slow, and
// asked often; whose word does not come then has not said it.
func TestPatience(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		says time.Duration // zero is never
		want []int         // restored, and told that it is not
	}{
		{"late", time.Minute, []int{1, 0}},
		{"never", 0, []int{0, 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			run(t, roles(admin+node), func(w *world) {
				r := w.join(rescues)
				after(time.Minute)
				long := time.Now().Add(-time.Hour)
				word := history.Replica{Started: long, Watching: long, Renewed: time.Now().Add(10 * time.Second)}
				w.change(func() { w.replicas["replica-9"] = word })
				w.write("kubectl-edit", roles(node))
				version := w.object().ResourceVersion
				after(35 * time.Second)
				before, _ := w.did()
				after(20 * time.Second)
				if reads, _ := w.did(); reads < before+9 {
					t.Errorf("the record was read %d times in 20 s", reads-before)
				}
				want(t, "too early", []int{r.count("bypassed"), r.count("restored"), r.event(live.NotRestored)}, []int{1, 0, 0})
				if test.says > 0 {
					word.Doubts = []history.Doubt{{Time: time.Now(), ResourceVersion: version}}
					w.change(func() { w.replicas["replica-9"] = word })
				}
				after(3 * time.Second)
				want(t, "restored", r.count("restored"), test.want[0])
				after(time.Minute)
				want(t, "results", []int{r.count("restored"), r.said(live.NotRestored, "replica-9: it has not said")}, test.want)
				before, _ = w.did()
				after(5 * time.Minute)
				if reads, _ := w.did(); reads > before+1 {
					t.Errorf("the record is still read, %d times", reads-before)
				}
			})
		})
	}
}

// Of more versions than are looked at each by itself, only what was before all of them is.
func TestMaxRun(t *testing.T) {
	t.Parallel()
	harmless := func(manager string) func(w *world) {
		return func(w *world) { w.write(manager, with(goodText, "harmless")) }
	}
	again := func(n int) func(w *world) {
		return func(w *world) {
			w.write("kubectl-edit", roles(node))
			for i := range n {
				after(time.Second)
				w.write("kubectl-edit", with(node, strconv.Itoa(i)))
			}
		}
	}
	tryRescues(t, []rescueCase{
		{"few after a change by EKS", harmless("vpcLambda"), again(25), roles(goodText)},
		{"many after a change by EKS", harmless("vpcLambda"), again(35), nil},
		{"many after one by somebody else", harmless("kubectl-edit"), again(35), roles(goodText)},
	})
}
