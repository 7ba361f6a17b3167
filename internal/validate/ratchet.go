package validate

import (
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// storedBefore is put behind the message of a fault that the change is not to blame for.
const storedBefore = " (already so before this change)"

// excuseOldFaults turns denials of document rules into warnings where the fault is not new.
func (j *judgement) excuseOldFaults(findings []Finding, after *awsauth.Document) {
	object := j.change.Old
	old := object.Parse()
	oldFaults := j.runRules(OfDocument, &Pass{Doc: old, Old: old.Map, New: old.Map, Policy: j.policy})
	excuses := []func(*Finding) bool{
		stoodInOld(oldFaults),
		stoodInUnreadText(old, object),
		stoodInEditedElement(findings, oldFaults, old, after),
	}
	for _, holds := range excuses {
		for i := range findings {
			if f := &findings[i]; f.Severity == Deny && holds(f) {
				f.Severity = Warn
				f.Message += storedBefore
			}
		}
	}
}

// stoodInOld excuses a fault that the old object has in the same key and element as decoded.
// As many faults are excused as the old object has: the copy of a faulty element is new.
func stoodInOld(oldFaults []Finding) func(*Finding) bool {
	type stood struct{ rule, key, element string }
	count := make(map[stood]int, len(oldFaults))
	for _, f := range oldFaults {
		count[stood{f.Rule, f.identity.key, f.identity.element}]++
	}
	return func(f *Finding) bool {
		id := stood{f.Rule, f.identity.key, f.identity.element}
		if count[id] == 0 {
			return false
		}
		count[id]--
		return true
	}
}

// stoodInUnreadText excuses a fault of an element whose ARN, or else whose username, stood in the
// old text of its key, where the authenticator could not read it: whoever repairs the key need
// not repair every element in the same step.
func stoodInUnreadText(old *awsauth.Document, object *awsauth.Object) func(*Finding) bool {
	unread := make(map[string]string)
	for _, t := range old.Texts {
		if t.Syntax != nil || t.NotAList != nil || t.Trailing != nil || t.Disagreement != nil {
			unread[string(t.Section)] += object.Data[string(t.Section)]
		}
	}
	for _, key := range old.DataKeys {
		if section, ok := nearDataKey(key.Value); ok {
			unread[section] += object.Data[key.Value]
		}
	}
	return func(f *Finding) bool {
		text, ok := unread[f.identity.key]
		return ok && f.identity.element != "" && strings.Contains(text, f.identity.trace)
	}
}

// maxEdits bounds the elements that are compared as before and after an edit.
const maxEdits = 500

// stoodInEditedElement excuses the faults of an element that was edited and has fewer of them
// than before and none that is new. An edited element is one that the old object does not hold;
// what it was before is an element that the new object does not hold.
func stoodInEditedElement(findings, oldFaults []Finding, old, after *awsauth.Document) func(*Finding) bool {
	before := faultyElements(oldFaults, elementsOf(after))
	edited := faultyElements(findings, elementsOf(old))
	excused := make(map[elementID]bool)
	used := make(map[elementID]bool)
	for _, now := range edited {
		for _, was := range before[:min(len(before), maxEdits)] {
			if was.id.section == now.id.section && !used[was.id] && now.hasFewerThan(was) {
				excused[now.id], used[was.id] = true, true
				break
			}
		}
	}
	return func(f *Finding) bool { return excused[elementID{f.identity.key, f.identity.element}] }
}

// elementID names an element by what it is decoded to.
type elementID struct{ section, element string }

func elementsOf(d *awsauth.Document) map[elementID]bool {
	ids := make(map[elementID]bool)
	for _, list := range [][]awsauth.Entry{d.Map.Roles, d.Map.Users} {
		for i := range list {
			text, _ := canonicalElement(&list[i])
			ids[elementID{string(list[i].Section), text}] = true
		}
	}
	return ids
}

// faultyElement is an element and its faults, each as often as it occurs.
type faultyElement struct {
	id     elementID
	faults map[fault]int
	total  int
}

type fault struct{ rule, value string }

// faultyElements collects the elements that have findings, in the order of the findings, without
// those that the other version of the object holds too.
func faultyElements(findings []Finding, except map[elementID]bool) []*faultyElement {
	var list []*faultyElement
	byID := make(map[elementID]*faultyElement)
	for _, f := range findings {
		id := elementID{f.identity.key, f.identity.element}
		if id.element == "" || except[id] {
			continue
		}
		if byID[id] == nil {
			byID[id] = &faultyElement{id: id, faults: make(map[fault]int)}
			list = append(list, byID[id])
		}
		byID[id].faults[fault{f.Rule, f.identity.value}]++
		byID[id].total++
	}
	return list
}

// hasFewerThan reports whether the faults are among those of the other element, and not all of them.
func (e *faultyElement) hasFewerThan(other *faultyElement) bool {
	for f, n := range e.faults {
		if n > other.faults[f] {
			return false
		}
	}
	return e.total < other.total
}
