package servingcert

import (
	"crypto/x509"
	"slices"
	"time"
)

// RotationInput is the input of [NextState].
type RotationInput struct {
	Now   time.Time
	State State
	// Rotate is the value of the annotation on the Secret.
	Rotate string
	// Observed holds the observations of this process.
	Observed *Observed
}

// Step is a change of the Secret, as the log names it.
type Step string

// The steps. Only the step withdraw removes a replaced CA from the caBundle.
const (
	StepNone     Step = ""
	StepFirst    Step = "first"    // makes the first CA; no replica serves yet
	StepRecover  Step = "recover"  // makes a new CA: the Secret has no usable one, but replicas may serve with one
	StepAdopt    Step = "adopt"    // takes over a CA that another client wrote into the Secret; the caBundle lacks it
	StepKeep     Step = "keep"     // adds a CA again that was removed from the Secret while replicas may serve with it
	StepPublish  Step = "publish"  // adds the next CA, which waits until all API servers know it
	StepPromote  Step = "promote"  // makes the next CA the current one
	StepWithdraw Step = "withdraw" // removes the previous CA from the caBundle
	StepClean    Step = "clean"    // removes expired and unreadable content
)

// NextState returns the state that the Secret should hold now, and the step that leads there. The returned state has at least
// one CA.
func NextState(s RotationInput, t Timing) (State, Step, error) {
	before := s.State
	s.State = before.usable(s.Now)
	next, step, err := s.plan(t)
	if err != nil {
		return before, StepNone, err
	}
	if len(next.Previous) > maxPrevious {
		next.Previous = s.limitPrevious(before, next.Previous)
	}
	return next, step, nil
}

// limitPrevious returns at most maxPrevious of the CAs in all. It first drops CAs that are in neither the Secret nor the observations of
// this process: another client has added them to a caBundle.
func (s *RotationInput) limitPrevious(before State, all []*x509.Certificate) (kept []*x509.Certificate) {
	inOrder := slices.Concat(certificates(before.authorities()), s.Observed.serving, before.Previous, all)
	for _, cert := range inOrder {
		if len(kept) < maxPrevious && contains(all, cert) && !contains(kept, cert) {
			kept = append(kept, cert)
		}
	}
	return union(s.Now, kept)
}

func (s *RotationInput) plan(t Timing) (State, Step, error) {
	st, observed := s.State, s.Observed
	switch {
	case st.Current == nil && st.Next == nil:
		return s.recoverCA(t)
	case st.Current == nil:
		return s.awaitNext(t)
	case !contains(observed.published, st.Current.Cert) && !contains(observed.Bundle(s.Now), st.Current.Cert):
		if serving := s.serving(st.Current); len(serving) > 0 {
			return State{Next: st.Current, Previous: serving, Rotated: s.Rotate}, StepAdopt, nil
		}
	}
	if lost := without(observed.Bundle(s.Now), st.certificates()); len(lost) > 0 {
		st.Previous = union(s.Now, st.Previous, lost)
		return st, StepKeep, nil
	}
	switch {
	case st.Next != nil:
		if observed.publishedFor(st.Next.Cert, s.Now) < t.SwitchAfter {
			return st, StepNone, nil
		}
		return s.promote(), StepPromote, nil
	case len(st.Previous) > 0:
		if observed.storedFor(st, s.Now) < t.RetireAfter || observed.publishedFor(st.Current.Cert, s.Now) < t.SwitchAfter {
			return st, StepNone, nil
		}
		st.Previous = nil
		return st, StepWithdraw, nil
	case s.Rotate != "" && s.Rotate != st.Rotated, st.Current.Cert.NotAfter.Sub(s.Now) < t.CARenewBefore:
		a, err := NewAuthority(s.Now, t.CALifetime)
		if err != nil {
			return st, StepNone, err
		}
		st.Next, st.Rotated = a, s.Rotate
		return st, StepPublish, nil
	}
	return st, StepNone, nil
}

// recoverCA makes a new CA when the Secret has no usable CA. Replicas may still serve with another CA: its key may be lost, or
// another program made it, for example cert-manager before the operator changed the source of the certificate.
func (s *RotationInput) recoverCA(t Timing) (State, Step, error) {
	a, err := NewAuthority(s.Now, t.CALifetime)
	if err != nil {
		return s.State, StepNone, err
	}
	if serving := s.serving(); len(serving) > 0 {
		return State{Next: a, Previous: serving, Rotated: s.Rotate}, StepRecover, nil
	}
	return State{Current: a, Rotated: s.Rotate}, StepFirst, nil
}

// awaitNext promotes the next CA if there is no current one.
func (s *RotationInput) awaitNext(t Timing) (State, Step, error) {
	st := s.State
	if len(st.Previous) == 0 { // the current CA was lost during a rotation
		if st.Previous = s.serving(st.Next); len(st.Previous) > 0 {
			return st, StepRecover, nil
		}
		return s.promote(), StepPromote, nil
	}
	if s.Observed.publishedFor(st.Next.Cert, s.Now) < t.SwitchAfter {
		return st, StepNone, nil
	}
	return s.promote(), StepPromote, nil
}

func (s *RotationInput) promote() State {
	st := State{Current: s.State.Next, Previous: s.State.Previous, Rotated: s.State.Rotated}
	if s.State.Current != nil {
		st.Previous = union(s.Now, st.Previous, []*x509.Certificate{s.State.Current.Cert})
	}
	return st
}

// serving returns the CAs that replicas may serve with, except those of the given authorities.
func (s *RotationInput) serving(but ...*Authority) []*x509.Certificate {
	all := union(s.Now, s.State.Previous, s.Observed.published, s.Observed.Bundle(s.Now))
	return without(all, certificates(but))
}
