package validate

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// storedBefore is put behind the message of a fault that the change is not to blame for.
const storedBefore = " (already so before this change)"

// maxCompared bounds the elements of which the ratchet compares the text, or what they were
// before an edit. Past it faults count as new.
const maxCompared = 500

// excuseOldFaults turns denials of document rules into warnings where the fault is not new, and
// leaves out warnings that stood before: whoever edits one entry of a hundred reads about that one.
// Judged by itself the document shows them all.
func (j *judgement) excuseOldFaults(findings []Finding, doc *awsauth.Document) []Finding {
	object := j.change.Old
	old, after := newVersion(object.Parse()), newVersion(doc)
	// More faults of the old object are looked for, so that the last of the new ones is among
	// them even where one has been repaired.
	pass := &Pass{Doc: old.doc, Old: old.doc.Map, New: old.doc.Map, Policy: j.policy, limit: 10 * maxFindings}
	old.faults = j.runRules(OfDocument, pass)
	after.faults = findings
	same, alike := stoodInOld(old, after)
	stood := make([]bool, len(findings))
	for _, holds := range []func(*Finding) bool{
		same, alike, noMoreThanInOld(old), stoodInUnreadText(old, after, object), stoodInEditedElement(old, after),
	} {
		for i := range findings {
			stood[i] = stood[i] || holds(&findings[i])
		}
	}
	var left []Finding
	for i, f := range findings {
		switch {
		case stood[i] && f.Severity == Warn:
			continue
		case stood[i]:
			f.Severity = Warn
			f.Message += storedBefore
		}
		left = append(left, f)
	}
	return left
}

// version is one of the two documents of a change and its faults.
type version struct {
	doc    *awsauth.Document
	faults []Finding
	keys   map[place]elementKey
}

// place is where an element stands.
type place struct {
	section string
	index   int
}

func (id identity) place() place { return place{id.key, id.index} }

// elementKey tells elements apart by what they are decoded to: style, key case, the ARN's case, and
// absent or empty groups make no difference.
type elementKey [sha256.Size]byte

func newVersion(doc *awsauth.Document) *version {
	v := &version{doc: doc, keys: make(map[place]elementKey)}
	for _, list := range v.entries() {
		for i := range list {
			v.keys[place{string(list[i].Section), i}] = keyOf(&list[i])
		}
	}
	for _, f := range doc.Accounts {
		v.keys[identify(f).place()] = sha256.Sum256([]byte(f.Value))
	}
	return v
}

func (v *version) entries() [][]awsauth.Entry {
	return [][]awsauth.Entry{v.doc.Map.Roles, v.doc.Map.Users}
}

func keyOf(e *awsauth.Entry) elementKey {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q %q %q", strings.ToLower(e.ARN), e.Username, e.Groups, e.UserID, e.Dropped)
	if e.SSO != nil {
		fmt.Fprintf(h, " %q", *e.SSO)
	}
	return elementKey(h.Sum(nil))
}

// stoodInOld excuses a fault that the old object has in the same key and element as decoded. As
// many are excused as the old object has: the copy of a faulty element is new. The same value is
// looked for first; another one will do, but not for a key that stands twice, of which the decoded
// element shows nothing.
func stoodInOld(old, after *version) (same, alike func(*Finding) bool) {
	type stood struct {
		rule, key string
		element   elementKey
		value     string
	}
	of := func(v *version, f *Finding, value string) stood {
		return stood{f.Rule, f.identity.key, v.keys[f.identity.place()], value}
	}
	count := make(map[stood]int, len(old.faults))
	for i := range old.faults {
		f := &old.faults[i]
		count[of(old, f, f.identity.value)]++
	}
	same = func(f *Finding) bool {
		id := of(after, f, f.identity.value)
		if f.identity.more > 0 || count[id] == 0 {
			return false
		}
		count[id]--
		return true
	}
	var left map[stood]int
	alike = func(f *Finding) bool {
		if left == nil { // what same has left over
			left = make(map[stood]int)
			for id, n := range count {
				id.value = ""
				left[id] += n
			}
		}
		id := of(after, f, "")
		if f.identity.more > 0 || f.Rule == duplicateKey.ID || left[id] == 0 {
			return false
		}
		left[id]--
		return true
	}
	return same, alike
}

// noMoreThanInOld excuses the finding that counts the faults past the bound, where the old object
// has as many.
func noMoreThanInOld(old *version) func(*Finding) bool {
	total := make(map[string]int)
	for _, f := range old.faults {
		total[f.Rule] += max(1, f.identity.more)
	}
	return func(f *Finding) bool {
		return f.identity.more > 0 && maxFindings-1+f.identity.more <= total[f.Rule]
	}
}

// stoodInUnreadText excuses a fault whose text stood in the old object where the authenticator did
// not read it: behind a fault of the whole key, behind the end of its list, or below a misspelt key
// while nothing was loaded from the right one. Whoever repairs the key need not repair every
// element in the same step. White space makes no difference.
func stoodInUnreadText(old, after *version, object *awsauth.Object) func(*Finding) bool {
	unread := make(map[string]string)
	for _, t := range old.doc.Texts {
		unread[string(t.Section)] += awsauth.Squeeze(t.Unread())
	}
	for _, key := range old.doc.DataKeys {
		if section, ok := nearDataKey(key.Value); ok && old.loadsNothing(section) {
			unread[section] += awsauth.Squeeze(object.Data[key.Value])
		}
	}
	compared := make(map[place]bool)
	return func(f *Finding) bool {
		text := unread[f.identity.key]
		if text == "" || f.identity.more > 0 {
			return false
		}
		if f.identity.index < 0 {
			rest := awsauth.Squeeze(after.unread(f.identity.key))
			return rest != "" && strings.Contains(text, rest)
		}
		at := f.identity.place()
		excused, known := compared[at]
		if !known && len(compared) < maxCompared {
			block := after.block(at)
			excused = block != "" && strings.Contains(text, block)
			compared[at] = excused
		}
		return excused
	}
}

func (v *version) loadsNothing(section string) bool {
	return !slices.ContainsFunc(v.entries(), func(list []awsauth.Entry) bool {
		return len(list) > 0 && string(list[0].Section) == section
	})
}

// unread is the text of a section that the authenticator does not read.
func (v *version) unread(section string) string {
	for _, t := range v.doc.Texts {
		if string(t.Section) == section {
			return t.Unread()
		}
	}
	return ""
}

// block is the text of an element without white space.
func (v *version) block(at place) string {
	switch awsauth.Section(at.section) {
	case awsauth.MapRoles:
		return v.doc.Roles[at.index].Block()
	case awsauth.MapUsers:
		return v.doc.Users[at.index].Block()
	case awsauth.MapAccounts:
	}
	return ""
}

// stoodInEditedElement excuses the faults of an element that was edited and has fewer of them
// than before and none that is new. What an edited element was before is an element of the old
// object that the new one does not hold, for the same principal or with the same access.
func stoodInEditedElement(old, after *version) func(*Finding) bool {
	excused, used := make(map[place]bool), make(map[place]bool)
	before := old.faultyWithout(after)
	for _, now := range after.faultyWithout(old) {
		for _, was := range before[:min(len(before), maxCompared)] {
			if !used[was.at] && now.fewerThan(was) && now.editOf(was) {
				excused[now.at], used[was.at] = true, true
				break
			}
		}
	}
	return func(f *Finding) bool { return excused[f.identity.place()] }
}

// faultyElement is an element of mapRoles or mapUsers and its faults that deny, each as often as it occurs.
type faultyElement struct {
	at     place
	entry  *awsauth.Entry
	faults map[fault]int
	total  int
}

type fault struct{ rule, value string }

// faultyWithout returns the faulty elements of this version that the other one does not hold, in
// the order of the findings. Of equal elements as many are left out as the other one holds.
func (v *version) faultyWithout(other *version) []*faultyElement {
	held := make(map[elementKey]int)
	for _, key := range other.keys {
		held[key]++
	}
	entries := make(map[place]*awsauth.Entry)
	for _, list := range v.entries() {
		for i := range list {
			at := place{string(list[i].Section), i}
			if key := v.keys[at]; held[key] > 0 {
				held[key]--
				continue
			}
			entries[at] = &list[i]
		}
	}
	var faulty []*faultyElement
	byPlace := make(map[place]*faultyElement)
	for _, f := range v.faults {
		at := f.identity.place()
		if entries[at] == nil || f.identity.more > 0 || f.Severity != Deny {
			continue
		}
		if byPlace[at] == nil {
			byPlace[at] = &faultyElement{at: at, entry: entries[at], faults: make(map[fault]int)}
			faulty = append(faulty, byPlace[at])
		}
		byPlace[at].faults[fault{f.Rule, f.identity.value}]++
		byPlace[at].total++
	}
	return faulty
}

// fewerThan reports whether the faults are among those of the other element, and not all of them.
func (e *faultyElement) fewerThan(other *faultyElement) bool {
	for f, n := range e.faults {
		if n > other.faults[f] {
			return false
		}
	}
	return e.total < other.total
}

// editOf reports whether the element can be the other one after an edit: it is for the same
// principal, but for what was wrong with the ARN, or gives the same name and groups.
func (e *faultyElement) editOf(other *faultyElement) bool {
	if e.at.section != other.at.section {
		return false
	}
	name := lastPart(e.entry.ARN)
	return name != "" && strings.EqualFold(name, lastPart(other.entry.ARN)) ||
		e.entry.Username != "" && e.entry.SameAccess(other.entry)
}

// lastPart is the name at the end of an ARN, however the rest is written.
func lastPart(arn string) string {
	arn = awsauth.Squeeze(arn)
	return arn[strings.LastIndexAny(arn, ":/")+1:]
}
