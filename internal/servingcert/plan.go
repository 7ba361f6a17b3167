package servingcert

import (
	"crypto/x509"
	"slices"
	"time"
)

// Situation is what the leader sees.
type Situation struct {
	Now   time.Time
	State State
	// Rotate is the value of the annotation on the Secret.
	Rotate string
	// Memory is what this process has seen until now.
	Memory *Memory
}

// Step is what is done to the Secret, as the log names it.
type Step string

// The steps. Of the CAs that a step replaces none leaves the caBundle with it, except with withdraw.
const (
	StepNone     Step = ""
	StepFirst    Step = "first"    // there is no CA and nobody who serves with one
	StepRecover  Step = "recover"  // there is no usable CA in the Secret, but replicas may serve with one
	StepAdopt    Step = "adopt"    // somebody wrote another CA into the Secret, which the caBundle lacks
	StepKeep     Step = "keep"     // somebody took a CA out of the Secret with which replicas may serve
	StepPublish  Step = "publish"  // a new CA, which waits for all API servers to know it
	StepPromote  Step = "promote"  // it becomes the current one
	StepWithdraw Step = "withdraw" // the one before leaves the caBundle
	StepClean    Step = "clean"    // what is expired or cannot be read is removed
)

// Plan says what the Secret should hold now. The state that it returns has at least one CA.
func Plan(s Situation, t Timing) (State, Step, error) {
	before := s.State
	s.State = before.usable(s.Now)
	next, step, err := s.plan(t)
	if err != nil {
		return before, StepNone, err
	}
	if len(next.Previous) > maxPrevious {
		next.Previous = s.bounded(before, next.Previous)
	}
	return next, step, nil
}

// bounded leaves away what is too much of the previous CAs: strangers that were found in a caBundle,
// before those that the Secret or this process knows.
func (s *Situation) bounded(before State, all []*x509.Certificate) (kept []*x509.Certificate) {
	inOrder := slices.Concat(certificates(before.authorities()), s.Memory.known, before.Previous, all)
	for _, cert := range inOrder {
		if len(kept) < maxPrevious && contains(all, cert) && !contains(kept, cert) {
			kept = append(kept, cert)
		}
	}
	return union(s.Now, kept)
}

func (s *Situation) plan(t Timing) (State, Step, error) {
	st, memory := s.State, s.Memory
	switch {
	case st.Current == nil && st.Next == nil:
		return s.recover(t)
	case st.Current == nil:
		return s.await(t)
	case !contains(memory.live, st.Current.Cert) && !contains(memory.Bundle(s.Now), st.Current.Cert):
		if serving := s.serving(st.Current); len(serving) > 0 {
			return State{Next: st.Current, Previous: serving, Rotated: s.Rotate}, StepAdopt, nil
		}
	}
	if lost := without(memory.Bundle(s.Now), st.certificates()); len(lost) > 0 {
		st.Previous = union(s.Now, st.Previous, lost)
		return st, StepKeep, nil
	}
	switch {
	case st.Next != nil:
		if memory.heldFor(st.Next.Cert, s.Now) < t.SwitchAfter {
			return st, StepNone, nil
		}
		return s.promote(), StepPromote, nil
	case len(st.Previous) > 0:
		if memory.settledFor(st, s.Now) < t.RetireAfter || memory.heldFor(st.Current.Cert, s.Now) < t.SwitchAfter {
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

// recover begins anew. Replicas serve with a CA of which the key is lost, or with one that
// somebody else made, such as cert-manager before the way to the certificate was changed.
func (s *Situation) recover(t Timing) (State, Step, error) {
	a, err := NewAuthority(s.Now, t.CALifetime)
	if err != nil {
		return s.State, StepNone, err
	}
	if serving := s.serving(); len(serving) > 0 {
		return State{Next: a, Previous: serving, Rotated: s.Rotate}, StepRecover, nil
	}
	return State{Current: a, Rotated: s.Rotate}, StepFirst, nil
}

// await promotes the next CA where there is no current one.
func (s *Situation) await(t Timing) (State, Step, error) {
	st := s.State
	if len(st.Previous) == 0 { // the current one was lost in the midst of a rotation
		if st.Previous = s.serving(st.Next); len(st.Previous) > 0 {
			return st, StepRecover, nil
		}
		return s.promote(), StepPromote, nil
	}
	if s.Memory.heldFor(st.Next.Cert, s.Now) < t.SwitchAfter {
		return st, StepNone, nil
	}
	return s.promote(), StepPromote, nil
}

func (s *Situation) promote() State {
	st := State{Current: s.State.Next, Previous: s.State.Previous, Rotated: s.State.Rotated}
	if s.State.Current != nil {
		st.Previous = union(s.Now, st.Previous, []*x509.Certificate{s.State.Current.Cert})
	}
	return st
}

// serving are the CAs with which replicas may serve, other than these.
func (s *Situation) serving(but ...*Authority) []*x509.Certificate {
	all := union(s.Now, s.State.Previous, s.Memory.live, s.Memory.Bundle(s.Now))
	return without(all, certificates(but))
}
