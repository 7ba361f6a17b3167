package generate

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// Sequence is an object and a list of requests. Each request changes the object that the requests before it left.
type Sequence struct {
	Data       map[string]string
	Finalizers []string
	Protected  map[string][]string
	Steps      []Step
	Origin     []string
}

// Step is a request to update or to delete the object.
type Step struct {
	Delete bool
	// Data and Finalizers are the content that an update writes.
	Data       map[string]string
	Finalizers []string
	// BreakGlass is the value of the break-glass annotation that an update writes. It can be the value that the
	// object already has.
	BreakGlass string
	// Requester is the ARN of the sender. It is empty if the sender doesn't log in with IAM.
	Requester string
	// Age is the number of versions that were stored since the version by which the sender logged in. Logins can be
	// old, because kube-apiserver caches tokens and the authenticator's watch can be late. If AccessEntry is set, the
	// sender logs in with an access entry instead of aws-auth.
	Age         int
	AccessEntry bool
	// Owner is the UID of the owner that an update writes. It is empty if the update writes no owner.
	Owner string
	// EKS reports whether the sender is a user of EKS itself.
	EKS bool
	// Masters reports whether a sender who doesn't log in with IAM is in system:masters.
	Masters bool
	Name    string
}

// Finalizer is a finalizer of the kind that some tools add to every object that they own.
const Finalizer = "example.com/cleanup"

// Plans returns the names of the kinds of sequences.
func Plans() []string {
	return []string{"edits", "own-entry", "finalizer", "break-glass", "stale-break-glass", "stranger-breaks-glass", "owned", "eks"}
}

// NewSequence makes a sequence of up to three requests.
func NewSequence(r *rand.Rand) *Sequence {
	model := NewModel(r)
	style := pick(r, Styles())
	c := &Change{}
	c.setPolicyAndRequester(r, model)
	s := &Sequence{Data: style.Write(r, model), Protected: c.Protected}
	plan := pick(r, Plans())
	s.Origin = []string{"sequence " + plan}
	edited := func() map[string]string {
		model = model.Clone()
		pick(r, Edits()).apply(r, &model)
		return style.Write(r, model)
	}
	sender := func(age int) Step {
		if all := slices.Concat(model.Roles, model.Users); len(all) > 0 {
			return Step{Requester: callerARN(pick(r, all).ARN), Age: age}
		}
		return Step{Masters: true}
	}
	outsider := Step{Masters: true}
	update := func(by Step, name string, data map[string]string) {
		by.Name, by.Data, by.Finalizers = name, data, s.Finalizers
		s.Steps = append(s.Steps, by)
	}
	switch plan {
	case "edits":
		for age := range 3 {
			by := sender(min(age, r.IntN(3)))
			by.AccessEntry = r.IntN(3) == 0
			update(by, "edit", edited())
		}
	case "own-entry": // the requester edits their own entry, and continues with the old login
		own := r.IntN(max(1, len(model.Roles)))
		if len(model.Roles) == 0 {
			update(outsider, "edit", edited())
			break
		}
		by := Step{Requester: callerARN(model.Roles[own].ARN)}
		model = model.Clone()
		if r.IntN(2) == 0 {
			model.Roles[own].Username = "renamed"
		} else {
			model.Roles[own].Groups = append(slices.Clone(model.Roles[own].Groups), "more")
		}
		update(by, "edit-own", style.Write(r, model))
		by.Age = 1
		model = model.Clone()
		model.Roles = slices.Delete(slices.Clone(model.Roles), own, own+1)
		update(by, "remove-own", style.Write(r, model))
		update(outsider, "edit", edited())
	case "finalizer": // a deletion that waits until its finalizer is removed
		s.Finalizers = []string{Finalizer}
		full := s.Data
		if r.IntN(2) == 0 {
			s.Data = map[string]string{}
		}
		by := sender(0)
		s.Steps = append(s.Steps, Step{Delete: true, Requester: by.Requester, Masters: by.Masters, Name: "delete"})
		update(outsider, "fill", full)
		s.Finalizers = nil
		update(Step{Masters: r.IntN(2) == 0, Requester: by.Requester}, "remove-finalizer", maps.Clone(full))
		s.Finalizers = []string{Finalizer}
	case "owned": // a tool adds a finalizer and an owner reference
		s.Finalizers = []string{Finalizer}
		update(outsider, "add-finalizer", s.Data)
		outsider.Owner = "3c9ac0d1-0000-4000-8000-000000000001"
		update(outsider, "add-owner", edited())
		update(outsider, "edit", edited())
		s.Finalizers = nil
	case "eks":
		by := Step{EKS: true}
		update(by, "edit", edited())
		update(by, "empty", map[string]string{"mapRoles": "[]\n"})
		s.Steps = append(s.Steps, Step{EKS: true, Delete: true, Name: "delete"})
	case "break-glass", "stale-break-glass", "stranger-breaks-glass":
		by := Step{Masters: plan != "stranger-breaks-glass", BreakGlass: "the controller wrote a broken map"}
		update(by, "break-glass", edited())
		by.BreakGlass, by.Masters = "", true
		if plan == "stale-break-glass" {
			by.BreakGlass = "the controller wrote a broken map"
		}
		update(by, "edit", edited())
		update(by, "empty", map[string]string{"mapRoles": "[]\n"})
	}
	return s
}
