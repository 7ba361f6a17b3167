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

func TestSigningCA(t *testing.T) {
	t.Parallel()
	a, b, c, expired := newCA(t, 3*time.Hour), newCA(t, 2*time.Hour), newCA(t, time.Hour), newCA(t, year)
	twin := sameKeyCA(t, a)
	letters := names{"a": a, "b": b, "c": c, "x": expired, "t": twin}
	type state = servingcert.State
	const minute, day = time.Minute, 24 * time.Hour
	for _, tt := range []struct {
		name      string
		state     state
		published list
		age       time.Duration     // how long the replica has observed state and published
		leaf      *servingcert.Leaf // the present leaf
		want      string            // the CA that signs a new leaf; empty if the replica needs or gets no new leaf
	}{
		{"no CA", state{}, nil, 0, nil, ""},
		{"first CA, not published", state{Current: a}, nil, 0, nil, "a"},
		{"first CA", state{Current: a}, list{a}, 0, nil, "a"},
		{"starts during a rotation", state{Current: a, Next: b}, list{a, b}, time.Hour, nil, "a"},
		{"starts while only the next CA is published", state{Current: a, Next: b}, list{b}, 0, nil, "b"},
		{"starts while the leader recovers the CA", state{Next: b, Previous: certs(a)}, list{a, b}, 0, nil, "b"},
		{"starts with an expired CA", state{Current: expired}, list{expired}, 0, nil, ""},

		{"leaf of the current CA", state{Current: a}, list{a}, time.Hour, sign(t, a, 0), ""},
		{"next CA not published", state{Current: a, Next: b}, list{a}, time.Hour, sign(t, a, 0), ""},
		{"next CA published, not long enough", state{Current: a, Next: b}, list{a, b}, minute - 1, sign(t, a, 0), ""},
		{"next CA published long enough", state{Current: a, Next: b}, list{a, b}, minute, sign(t, a, 0), "b"},
		{"leaf of the next CA", state{Current: a, Next: b}, list{a, b}, time.Hour, sign(t, b, 0), ""},
		{"next CA promoted, published not long enough here", state{Current: b, Previous: certs(a)}, list{a, b}, minute - 1, sign(t, a, 0), ""},
		{"next CA promoted", state{Current: b, Previous: certs(a)}, list{a, b}, minute, sign(t, a, 0), "b"},
		{"leaf's CA withdrawn", state{Current: b}, list{b}, 0, sign(t, a, 0), "b"},
		{"another CA in the Secret", state{Current: b}, list{a}, time.Hour, sign(t, a, 0), ""},
		{"Secret deleted", state{}, list{a}, time.Hour, sign(t, a, 0), ""},
		{"caBundle emptied", state{Current: a}, nil, 0, sign(t, a, 0), ""},
		{"caBundle emptied and another CA in the Secret", state{Current: b}, nil, 0, sign(t, a, 0), ""},
		{"recovering, new CA published not long enough", state{Next: c, Previous: certs(a)}, list{c, a}, minute - 1, sign(t, a, 0), ""},
		{"recovering, new CA published long enough", state{Next: c, Previous: certs(a)}, list{c, a}, minute, sign(t, a, 0), "c"},

		{"a young leaf", state{Current: a}, list{a}, time.Hour, sign(t, a, 30*day-time.Second), ""},
		{"a leaf to renew", state{Current: a}, list{a}, time.Hour, sign(t, a, 30*day), "a"},
		{"a leaf to renew in a rotation", state{Current: a, Next: b}, list{a, b}, 0, sign(t, a, 30*day), "a"},
		{"a leaf to renew whose CA does not sign any more", state{Current: b, Previous: certs(a)}, list{a, b}, 0, sign(t, a, 30*day), ""},
		{"an expired leaf", state{Current: a}, list{a}, 0, sign(t, a, 90*day), "a"},
		{"two CAs with one key, leaf of the old CA", state{Current: a, Next: twin}, list{a, twin}, minute, sign(t, a, 0), "t"},
		{"two CAs with one key, leaf of the new CA", state{Current: a, Next: twin}, list{a, twin}, time.Hour, sign(t, twin, 0), ""},
		{"an expired leaf and no caBundle", state{Current: a}, nil, 0, sign(t, a, 90*day), "a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var m servingcert.Observed
			for _, at := range []time.Time{epoch.Add(-tt.age), epoch} {
				m.Observe(at, tt.state, [][]*x509.Certificate{certs(tt.published...)})
			}
			got := ""
			if a := servingcert.SigningCA(epoch, tt.state, &m, tt.leaf, timing); a != nil {
				got = letters.of(a.Cert)
			}
			if got != tt.want {
				t.Errorf("chose %q, want %q", got, tt.want)
			}
		})
	}
}

func TestVerifyLeaf(t *testing.T) {
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
		want    string // text in the error
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
			err := servingcert.VerifyLeaf(epoch.Add(tt.now), tt.leaf, tt.host, tt.bundles)
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
		t.Errorf("the certificate ends %s, its CA %s", leaf.Leaf.NotAfter, a.Cert.NotAfter)
	}
}

// sameKeyCA returns another CA with the same key.
func sameKeyCA(t *testing.T, a *servingcert.Authority) *servingcert.Authority {
	t.Helper()
	twin, err := a.Reissue(func(*x509.Certificate) {})
	if err != nil {
		t.Fatal(err)
	}
	return twin
}
