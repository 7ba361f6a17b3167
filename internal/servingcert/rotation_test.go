package servingcert_test

import (
	"crypto/x509"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/internal/servingcert"
)

var (
	timing = servingcert.DefaultTiming()
	epoch  = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

const year = 365 * 24 * time.Hour

// newCA makes a CA of the given age at the epoch.
func newCA(t *testing.T, age time.Duration) *servingcert.Authority {
	t.Helper()
	a, err := servingcert.NewAuthority(epoch.Add(-age), timing.CALifetime)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func certs(list ...*servingcert.Authority) (certs []*x509.Certificate) {
	for _, a := range list {
		certs = append(certs, a.Cert)
	}
	return certs
}

// names maps letters to CAs. A test writes a CA as its letter, and ? for a CA that it did not make.
type names map[string]*servingcert.Authority

func (n names) of(cert *x509.Certificate) string {
	for name, a := range n {
		if a.Cert.Equal(cert) {
			return name
		}
	}
	return "?"
}

// text returns a state as the text CURRENT NEXT PREVIOUS. A missing current or next CA is a hyphen.
func (n names) text(s servingcert.State) string {
	text := ""
	for _, a := range []*servingcert.Authority{s.Current, s.Next} {
		if a == nil {
			text += "- "
			continue
		}
		text += n.of(a.Cert) + " "
	}
	for _, cert := range s.Previous {
		text += n.of(cert)
	}
	return text
}

type list = []*servingcert.Authority

func TestNextState(t *testing.T) {
	t.Parallel()
	a, b, old, expired, future := newCA(t, 3*time.Hour), newCA(t, 2*time.Hour), newCA(t, year-120*24*time.Hour+time.Second), newCA(t, year), newCA(t, -48*time.Hour)
	letters := names{"a": a, "b": b, "o": old, "x": expired, "f": future}
	type state = servingcert.State
	minute := time.Minute
	for _, tt := range []struct {
		name         string
		state        state
		rotate       string
		published    list          // CAs in both caBundles
		inOneWebhook list          // CAs in one caBundle
		known        list          // CAs with which replicas serve, as far as this process knows
		age          time.Duration // how long this process has observed state and the caBundles
		want         string
		step         servingcert.Step
	}{
		{"no Secret and no caBundle", state{}, "", nil, nil, nil, 0, "? - ", "first"},
		{"caBundle of another certificate source", state{}, "", list{a}, nil, nil, 0, "- ? a", "recover"},
		{"caBundle of one webhook only", state{}, "", nil, list{a}, nil, 0, "- ? a", "recover"},
		{"caBundle with an expired CA", state{}, "", list{expired}, nil, nil, 0, "? - ", "first"},
		{"Secret and caBundle emptied", state{}, "", nil, nil, list{a}, 0, "- ? a", "recover"},
		{"Secret emptied during a rotation", state{}, "", list{a, b}, nil, list{a, b}, 0, "- ? ba", "recover"},
		{"the CA has expired", state{Current: expired}, "", list{expired}, nil, list{expired}, 0, "? - ", "first"},
		{"CA expired, replicas serve with another", state{Current: expired}, "", list{a}, nil, list{a}, 0, "- ? a", "recover"},
		{"the CA is not valid yet", state{Current: future}, "", nil, nil, nil, 0, "? - ", "first"},
		{"the clock is behind", state{Current: future}, "", list{future}, nil, list{future}, 0, "- ? f", "recover"},
		{"recovering", state{Next: a, Previous: certs(b)}, "", list{a, b}, nil, list{a, b}, minute - 1, "- a b", ""},
		{"recovered", state{Next: a, Previous: certs(b)}, "", list{a, b}, nil, list{a, b}, minute, "a - b", "promote"},
		{"recovering, foreign CA in the caBundle", state{Next: a, Previous: certs(b)}, "", list{a, b, old}, nil, list{a, b}, minute - 1, "- a b", ""},
		{"current CA lost during a rotation", state{Next: a}, "", list{a, b}, nil, list{a, b}, 10 * minute, "- a b", "recover"},
		{"no replica serves", state{Next: a}, "", nil, nil, nil, 0, "a - ", "promote"},

		{"no change needed", state{Current: a}, "", list{a}, nil, list{a}, time.Hour, "a - ", ""},
		{"caBundle emptied", state{Current: a}, "", nil, nil, list{a}, 0, "a - ", ""},
		{"caBundle emptied, new leader", state{Current: a}, "", nil, nil, nil, 0, "a - ", ""},
		{"foreign CA added to the caBundle", state{Current: a}, "", list{a, b}, nil, list{a}, time.Hour, "a - ", ""},
		{"foreign CA replaced the CA in the caBundle", state{Current: a}, "", list{b}, nil, list{a}, time.Hour, "a - ", ""},
		{"new leader and another CA in the Secret", state{Current: a}, "", list{b}, nil, nil, 0, "- a b", "adopt"},
		{"another CA in the Secret", state{Current: a}, "", list{b}, nil, list{b}, 0, "- a b", "adopt"},
		{"another CA in the Secret during a rotation", state{Current: a}, "", list{b, old}, nil, list{b, old}, 0, "- a bo", "adopt"},
		{"previous CA in the Secret", state{Current: a}, "", list{a, b}, nil, list{a, b}, time.Hour, "a - b", "keep"},

		{"rotation requested", state{Current: a}, "x", list{a}, nil, list{a}, 0, "a ? ", "publish"},
		{"requested rotation was started", state{Current: a, Rotated: "x"}, "x", list{a}, nil, list{a}, 0, "a - ", ""},
		{"another rotation requested", state{Current: a, Rotated: "x"}, "y", list{a}, nil, list{a}, 0, "a ? ", "publish"},
		{"request removed", state{Current: a, Rotated: "x"}, "", list{a}, nil, list{a}, 0, "a - ", ""},
		{"a third of the CA's lifetime is left", state{Current: old}, "", list{old}, nil, list{old}, time.Hour, "o ? ", "publish"},
		{"published", state{Current: a, Next: b}, "", list{a, b}, nil, list{a, b}, minute - 1, "a b ", ""},
		{"published in one webhook", state{Current: a, Next: b}, "", list{a}, list{b}, list{a, b}, time.Hour, "a b ", ""},
		{"published long enough", state{Current: a, Next: b}, "", list{a, b}, nil, list{a, b}, minute, "b - a", "promote"},
		{"published, another rotation requested", state{Current: a, Next: b, Rotated: "x"}, "y", list{a, b}, nil, list{a, b}, 0, "a b ", ""},
		{"current CA expires during a rotation", state{Current: expired, Next: b}, "", list{b}, nil, list{b}, time.Hour, "b - ", "promote"},
		{"next CA lost", state{Current: a}, "", list{a, b}, nil, list{a, b}, time.Hour, "a - b", "keep"},
		{"promoted", state{Current: b, Previous: certs(a)}, "", list{a, b}, nil, list{a, b}, 5*minute - 1, "b - a", ""},
		{"promoted, another rotation requested", state{Current: b, Previous: certs(a)}, "x", list{a, b}, nil, list{a, b}, 5*minute - 1, "b - a", ""},
		{"promoted long enough", state{Current: b, Previous: certs(a)}, "", list{a, b}, nil, list{a, b}, 5 * minute, "b - ", "withdraw"},
		{"promoted, caBundle emptied", state{Current: b, Previous: certs(a)}, "", nil, nil, list{a, b}, time.Hour, "b - a", ""},
		{"promoted, previous CA expires", state{Current: b, Previous: certs(expired)}, "", list{b}, nil, list{b}, 0, "b - ", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var m servingcert.Observed
			bundles := [][]*x509.Certificate{certs(tt.published...), certs(slices.Concat(tt.published, tt.inOneWebhook)...)}
			m.Observe(epoch.Add(-tt.age), tt.state, bundles)
			m.Observe(epoch, tt.state, bundles)
			if len(tt.known) > 0 {
				m.RecordWritten(epoch, servingcert.State{Current: tt.known[0], Previous: certs(tt.known[1:]...)})
			}
			got, step, err := servingcert.NextState(servingcert.RotationInput{Now: epoch, State: tt.state, Rotate: tt.rotate, Observed: &m}, timing)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{tt.want, string(tt.step)}, []string{letters.text(got), string(step)}); diff != "" {
				t.Errorf("state as CURRENT NEXT PREVIOUS, and step (-want +got):\n%s", diff)
			}
			if slices.Contains([]string{"first", "adopt", "publish"}, string(step)) && got.Rotated != tt.rotate {
				t.Errorf("rotated is %q", got.Rotated)
			}
		})
	}
}

// A client that keeps changing the Secret can't make the caBundle grow without limit.
func TestPreviousCAsAreLimited(t *testing.T) {
	t.Parallel()
	var all list
	for i := range 20 {
		all = append(all, newCA(t, time.Duration(i+1)*time.Hour))
	}
	var m servingcert.Observed
	m.Observe(epoch, servingcert.State{}, [][]*x509.Certificate{certs(all...)})
	got, _, err := servingcert.NextState(servingcert.RotationInput{Now: epoch, Observed: &m}, timing)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Previous) != 8 || !got.Previous[0].Equal(all[0].Cert) {
		t.Errorf("%d previous CAs", len(got.Previous))
	}
}

// Foreign CAs in the caBundle, however many, don't evict a CA with which replicas serve.
func TestForeignCAsDoNotEvictServingCAs(t *testing.T) {
	t.Parallel()
	var strangers list
	for i := range 20 {
		strangers = append(strangers, newCA(t, time.Duration(i)*time.Minute))
	}
	current, before := newCA(t, 9*time.Hour), newCA(t, 8*time.Hour)
	flooded := [][]*x509.Certificate{certs(append(strangers, current, before)...)}
	for _, tt := range []struct {
		name  string
		state servingcert.State
	}{
		{"Secret emptied", servingcert.State{}},
		{"previous CAs lost", servingcert.State{Current: newCA(t, time.Hour)}},
		{"current CA lost", servingcert.State{Previous: certs(before)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var m servingcert.Observed
			m.Observe(epoch, tt.state, flooded)
			m.RecordWritten(epoch, servingcert.State{Current: current, Previous: certs(before)})
			m.BeginTerm()
			got, _, err := servingcert.NextState(servingcert.RotationInput{Now: epoch, State: tt.state, Observed: &m}, timing)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []*servingcert.Authority{current, before} {
				if !slices.ContainsFunc(got.Previous, want.Cert.Equal) {
					t.Errorf("%s is evicted", names{"current": current, "before": before}.of(want.Cert))
				}
			}
			if len(got.Previous) != 8 {
				t.Errorf("%d previous CAs", len(got.Previous))
			}
		})
	}
}

// The leader withdraws the previous CA RetireAfter after the promotion. The time before the promotion doesn't count.
func TestWithdrawWaitsFromPromotion(t *testing.T) {
	t.Parallel()
	a, b := newCA(t, 2*time.Hour), newCA(t, time.Hour)
	var m servingcert.Observed
	var steps []string
	s := servingcert.State{Next: b, Previous: certs(a)}
	for now := epoch; now.Before(epoch.Add(time.Hour)); now = now.Add(time.Second) {
		m.Observe(now, s, [][]*x509.Certificate{certs(b, a)})
		next, step, err := servingcert.NextState(servingcert.RotationInput{Now: now, State: s, Observed: &m}, timing)
		if err != nil {
			t.Fatal(err)
		}
		if s = next; step != servingcert.StepNone {
			steps = append(steps, string(step)+" after "+now.Sub(epoch).String())
		}
	}
	if diff := cmp.Diff([]string{"promote after 1m0s", "withdraw after 6m1s"}, steps); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}
