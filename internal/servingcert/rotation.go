package servingcert

import (
	"crypto/x509"
	"slices"
	"time"
)

// RotationInput is the input of [NextState].
type RotationInput struct {
	Now time.Time
	// State is the state that the Secret holds now.
	State State
	// Rotate is the value of the annotation [RotateAnnotation] on the Secret.
	Rotate string
	// Observed holds the observations of this process.
	Observed *Observed
}

// Step is a kind of change of the Secret. The log contains this name.
type Step string

// The steps. Only the step withdraw removes a replaced CA that has not expired from the caBundle.
const (
	StepNone     Step = ""
	StepFirst    Step = "first"    // creates the first CA; no replica serves yet
	StepRecover  Step = "recover"  // prepares a next CA, because the Secret has no current CA although replicas may serve with one
	StepAdopt    Step = "adopt"    // makes a CA the next CA; another client wrote this CA into the Secret, and no caBundle has it yet
	StepKeep     Step = "keep"     // adds a CA again that another client removed from the Secret while replicas may serve with it
	StepPublish  Step = "publish"  // adds the next CA, so that API servers learn of it before replicas use it
	StepPromote  Step = "promote"  // makes the next CA the current CA
	StepWithdraw Step = "withdraw" // removes the previous CA from the caBundle
	StepClean    Step = "clean"    // removes expired and unreadable content
)

// NextState returns the state that the Secret should hold now, and the step that leads to it. This state has at least one CA. If
// NextState can't create a CA, it returns an error and the present state.
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

// limitPrevious returns at most maxPrevious of the CAs in all. It prefers the CAs of the Secret, and the CAs with which
// replicas may serve according to s.Observed. Other CAs come from a caBundle that another client has changed.
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

// recoverCA creates a new CA for a Secret without a usable CA. If replicas may still serve with another CA, the new CA becomes the
// next one. Such a CA exists if another client removed its key from the Secret. It also exists if another program created it, such
// as cert-manager before the operator changed the source of the certificate.
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

// awaitNext returns the next state and step for a state without a current CA. The next CA becomes the current one as
// soon as every caBundle has held it long enough, and at once if no replica serves with another CA. If the state lacks
// the CAs with which replicas serve, awaitNext first adds them as previous CAs.
func (s *RotationInput) awaitNext(t Timing) (State, Step, error) {
	st := s.State
	if len(st.Previous) == 0 { // another client removed the current CA during a rotation
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

// serving returns the CAs that replicas may serve with. It leaves out the CAs in but.
func (s *RotationInput) serving(but ...*Authority) []*x509.Certificate {
	all := union(s.Now, s.State.Previous, s.Observed.published, s.Observed.Bundle(s.Now))
	return without(all, certificates(but))
}
