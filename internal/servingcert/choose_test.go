package servingcert_test

import (
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/servingcert"
)

const host = "guard.kube-system.svc"

func sign(t *testing.T, a *servingcert.Authority, age time.Duration) *servingcert.Leaf {
	t.Helper()
	leaf, err := a.Sign(epoch.Add(-age), timing.LeafLifetime, []string{host})
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}

func TestChoose(t *testing.T) {
	t.Parallel()
	a, b, c, expired := newCA(t, 3*time.Hour), newCA(t, 2*time.Hour), newCA(t, time.Hour), newCA(t, year)
	twin := twinOf(t, a)
	known := names{"a": a, "b": b, "c": c, "x": expired, "t": twin}
	type state = servingcert.State
	const minute, day = time.Minute, 24 * time.Hour
	for _, tt := range []struct {
		name  string
		state state
		live  list
		held  time.Duration
		leaf  *servingcert.Leaf
		want  string // empty: keep the one that there is
	}{
		{"nothing", state{}, nil, 0, nil, ""},
		{"the first one, not published", state{Current: a}, nil, 0, nil, "a"},
		{"the first one", state{Current: a}, list{a}, 0, nil, "a"},
		{"a start in a rotation", state{Current: a, Next: b}, list{a, b}, time.Hour, nil, "a"},
		{"a start where only the next one is published", state{Current: a, Next: b}, list{b}, 0, nil, "b"},
		{"a start while the guard recovers", state{Next: b, Previous: certs(a)}, list{a, b}, 0, nil, "b"},
		{"a start with an expired CA", state{Current: expired}, list{expired}, 0, nil, ""},

		{"all is well", state{Current: a}, list{a}, time.Hour, sign(t, a, 0), ""},
		{"the next one is not published", state{Current: a, Next: b}, list{a}, time.Hour, sign(t, a, 0), ""},
		{"the next one is published", state{Current: a, Next: b}, list{a, b}, minute - 1, sign(t, a, 0), ""},
		{"the next one is published long enough", state{Current: a, Next: b}, list{a, b}, minute, sign(t, a, 0), "b"},
		{"switched", state{Current: a, Next: b}, list{a, b}, time.Hour, sign(t, b, 0), ""},
		{"promoted, and late", state{Current: b, Previous: certs(a)}, list{a, b}, minute - 1, sign(t, a, 0), ""},
		{"promoted", state{Current: b, Previous: certs(a)}, list{a, b}, minute, sign(t, a, 0), "b"},
		{"withdrawn", state{Current: b}, list{b}, 0, sign(t, a, 0), "b"},
		{"another CA is written", state{Current: b}, list{a}, time.Hour, sign(t, a, 0), ""},
		{"the Secret is lost", state{}, list{a}, time.Hour, sign(t, a, 0), ""},
		{"the caBundle is lost", state{Current: a}, nil, 0, sign(t, a, 0), ""},
		{"the caBundle is lost and the CA another", state{Current: b}, nil, 0, sign(t, a, 0), ""},
		{"recovers, and serves", state{Next: c, Previous: certs(a)}, list{c, a}, minute - 1, sign(t, a, 0), ""},
		{"recovers, and has waited", state{Next: c, Previous: certs(a)}, list{c, a}, minute, sign(t, a, 0), "c"},

		{"a young leaf", state{Current: a}, list{a}, time.Hour, sign(t, a, 30*day-time.Second), ""},
		{"a leaf to renew", state{Current: a}, list{a}, time.Hour, sign(t, a, 30*day), "a"},
		{"a leaf to renew in a rotation", state{Current: a, Next: b}, list{a, b}, 0, sign(t, a, 30*day), "a"},
		{"a leaf to renew whose CA signs no more", state{Current: b, Previous: certs(a)}, list{a, b}, 0, sign(t, a, 30*day), ""},
		{"an expired leaf", state{Current: a}, list{a}, 0, sign(t, a, 90*day), "a"},
		{"one key in two CAs, the old one in use", state{Current: a, Next: twin}, list{a, twin}, minute, sign(t, a, 0), "t"},
		{"one key in two CAs, switched", state{Current: a, Next: twin}, list{a, twin}, time.Hour, sign(t, twin, 0), ""},
		{"an expired leaf and no caBundle", state{Current: a}, nil, 0, sign(t, a, 90*day), "a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var m servingcert.Memory
			for _, at := range []time.Time{epoch.Add(-tt.held), epoch} {
				m.Observe(at, tt.state, [][]*x509.Certificate{certs(tt.live...)})
			}
			got := ""
			if a := servingcert.Choose(epoch, tt.state, &m, tt.leaf, timing); a != nil {
				got = known.of(a.Cert)
			}
			if got != tt.want {
				t.Errorf("chose %q, want %q", got, tt.want)
			}
		})
	}
}

func TestChains(t *testing.T) {
	t.Parallel()
	a, b := newCA(t, time.Hour), newCA(t, time.Hour)
	with := func(bundles ...list) (all [][]*x509.Certificate) {
		for _, l := range bundles {
			all = append(all, certs(l...))
		}
		return all
	}
	for _, tt := range []struct {
		name    string
		leaf    *servingcert.Leaf
		bundles [][]*x509.Certificate
		now     time.Duration
		host    string
		want    string // part of the error
	}{
		{"both webhooks", sign(t, a, 0), with(list{a}, list{b, a}), 0, host, ""},
		{"no leaf", nil, with(list{a}), 0, host, "no serving certificate"},
		{"no webhook", sign(t, a, 0), nil, 0, host, "no webhook"},
		{"one of two webhooks", sign(t, a, 0), with(list{a}, list{b}), 0, host, "unknown authority"},
		{"an empty caBundle", sign(t, a, 0), with(list{}), 0, host, "unknown authority"},
		{"expired", sign(t, a, 0), with(list{a}), timing.LeafLifetime + time.Hour, host, "expired"},
		{"a clock that is behind", sign(t, a, 0), with(list{a}), -22 * time.Hour, host, ""},
		{"another service", sign(t, a, 0), with(list{a}), 0, "other.kube-system.svc", "not other.kube-system.svc"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := servingcert.Chains(epoch.Add(tt.now), tt.leaf, tt.host, tt.bundles)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// A certificate never outlives its CA.
func TestLeafEndsWithItsCA(t *testing.T) {
	t.Parallel()
	a := newCA(t, year-time.Hour)
	if leaf := sign(t, a, 0); !leaf.Leaf.NotAfter.Equal(a.Cert.NotAfter) {
		t.Errorf("it ends %s, its CA %s", leaf.Leaf.NotAfter, a.Cert.NotAfter)
	}
}

// twinOf is another CA with the same key.
func twinOf(t *testing.T, a *servingcert.Authority) *servingcert.Authority {
	t.Helper()
	twin, err := a.Again(func(*x509.Certificate) {})
	if err != nil {
		t.Fatal(err)
	}
	return twin
}
