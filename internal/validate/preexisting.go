package validate

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// preexistingSuffix is appended to the message of a pre-existing finding.
const preexistingSuffix = " (the old version has this fault too)"

// maxCompared limits the new elements whose text is searched in the old object. It also limits the old elements with
// which an edited element is compared. The faults of further elements count as new.
const maxCompared = 500

// softenPreexisting turns the denials of pre-existing document faults into warnings, and drops pre-existing warnings. So
// a user who edits one of a hundred faulty entries is refused only because of faults that the edit adds.
func (j *ruleRun) softenPreexisting(findings []Finding, current *Pass) []Finding {
	object := j.change.Old
	old, after := newVersion(object.ParseLoaded(current.Old)), newVersion(current.Doc)
	// A change that repairs some faults leaves an object with fewer findings than the old one. With the same limit, the
	// findings of the old object could lack some of these. So the old object has a higher limit.
	pass := &Pass{Doc: old.doc, Old: old.doc.Map, New: old.doc.Map, Change: Change{IAM: j.change.IAM}, Policy: j.policy, entries: current.entries, limit: 10 * maxFindings}
	old.faults = j.runRules(OfDocument, pass)
	after.faults = findings
	same, alike := presentInOld(old, after)
	preexisting := make([]bool, len(findings))
	// ask marks a finding as pre-existing if one of the predicates holds for it. A finding of the old object makes only
	// one finding pre-existing. So each predicate gets the denials before the warnings: denials matter more to the user.
	ask := func(applies func(*Finding) bool, predicates ...func(*Finding) bool) {
		for _, holds := range predicates {
			for _, severity := range []Severity{Deny, Warn} {
				for i := range findings {
					if f := &findings[i]; !preexisting[i] && !f.isNew && f.Severity == severity && applies(f) {
						preexisting[i] = holds(f)
					}
				}
			}
		}
	}
	ask(func(f *Finding) bool { return f.grants }, after.grantedInOld(old))
	ask(func(f *Finding) bool { return !f.grants }, same, alike, countedInOld(old))
	// If the authenticator did not read a text before, a warning about it is new to the user. So only denials are
	// compared here.
	ask(func(f *Finding) bool { return !f.grants && f.Severity == Deny },
		unreadInOld(old, after, object), editedToFewerFaults(old, after))
	var left []Finding
	for i, f := range findings {
		switch {
		case preexisting[i] && f.Severity == Warn:
			continue
		case preexisting[i]:
			f.Severity = Warn
			f.Message += preexistingSuffix
		}
		left = append(left, f)
	}
	return left
}

// version is the old or the new document of a change, with its findings and the keys of its elements.
type version struct {
	doc    *awsauth.Document
	faults []Finding
	keys   map[place]elementKey
}

// place is the position of an element: its section and index.
type place struct {
	section string
	index   int
}

func (id identity) place() place { return place{id.key, id.index} }

// grantedInOld returns a predicate for the findings on an entry's username or groups. The predicate holds if an entry of
// the old version gave the same principal the same username and at least the same groups.
func (v *version) grantedInOld(old *version) func(*Finding) bool {
	return func(f *Finding) bool {
		e := v.entry(f.identity.place())
		if e == nil {
			return false
		}
		for _, was := range old.doc.Map.MatchesOf(e.ARN) {
			if was.Username == e.Username && !slices.ContainsFunc(e.Groups, func(g string) bool { return !slices.Contains(was.Groups, g) }) {
				return true
			}
		}
		return false
	}
}

// entry returns the element of mapRoles or mapUsers at a place, or nil if the place is not in one of them.
func (v *version) entry(at place) *awsauth.Entry {
	for _, list := range v.entries() {
		if len(list) > 0 && string(list[0].Section) == at.section && at.index >= 0 {
			return &list[at.index]
		}
	}
	return nil
}

// elementKey is a hash of a decoded element. Two elements have the same key if they differ only in their section, in YAML style,
// in the case of keys or of the ARN, in absent versus empty groups, or in userid. The authenticator does not use userid for
// aws-auth (aws-iam-authenticator v0.7.18, pkg/mapper/configmap/mapper.go).
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
	fmt.Fprintf(h, "%q %q %q %q", awsauth.Fold(e.ARN), e.Username, e.Groups, e.Dropped)
	if e.SSO != nil {
		fmt.Fprintf(h, " %q", *e.SSO)
	}
	return elementKey(h.Sum(nil))
}

// presentInOld returns two predicates that report whether the old object has the same finding:
//   - For a fault of a whole key, the old finding must be of the same rule, key and kind. An old finding without a kind counts
//     for every kind.
//   - For a fault of an element, the old finding must be of the same rule and in an element with the same elementKey.
//     For the predicate same, it must also be about the same value. For the predicate alike, it may be about another
//     value.
//
// alike never holds for duplicate keys, because equal elementKeys don't show that the same key occurred twice.
//
// Each finding of the old object makes only one finding pre-existing, so the faults of a copied element are new. A
// warning of the old object does not make a denial pre-existing.
func presentInOld(old, after *version) (same, alike func(*Finding) bool) {
	type faultKey struct {
		rule, key string
		severity  Severity
		element   elementKey
		value     string
	}
	of := func(v *version, f *Finding, value string) faultKey {
		id := faultKey{rule: f.Rule, severity: f.Severity, element: v.keys[f.identity.place()], value: value}
		if f.identity.index < 0 { // an element may move from one section to the other
			id.key, id.value = f.identity.key, f.identity.value
		}
		return id
	}
	// take searches count for an equal finding of the same severity, and then for a denial. If there is one, take
	// removes it and returns true. For a fault of a key, take also accepts a fault without a kind: because of that
	// fault, the authenticator loaded nothing from the key.
	take := func(count map[faultKey]int, id faultKey) bool {
		same, worse := id, id
		if id.key != "" {
			worse.value = ""
		}
		for _, id := range []faultKey{same, worse} {
			for _, id.severity = range []Severity{id.severity, Deny} {
				if count[id] > 0 {
					count[id]--
					return true
				}
			}
		}
		return false
	}
	count := make(map[faultKey]int, len(old.faults))
	for i := range old.faults {
		f := &old.faults[i]
		count[of(old, f, f.identity.value)]++
	}
	same = func(f *Finding) bool {
		id := of(after, f, f.identity.value)
		return f.identity.more == 0 && take(count, id)
	}
	var left map[faultKey]int
	alike = func(f *Finding) bool {
		if left == nil { // the findings of the old object that the predicate same has not matched
			left = make(map[faultKey]int)
			for id, n := range count {
				if id.key == "" {
					id.value = ""
				}
				left[id] += n
			}
		}
		id := of(after, f, "")
		return f.identity.more == 0 && f.Rule != duplicateKey.ID && take(left, id)
	}
	return same, alike
}

// countedInOld returns a predicate for the last finding of a rule with more than maxFindings findings, which counts the
// further ones. The predicate holds if the old object has at least as many findings of this rule.
func countedInOld(old *version) func(*Finding) bool {
	total := make(map[string]int)
	for _, f := range old.faults {
		total[f.Rule] += max(1, f.identity.more)
	}
	return func(f *Finding) bool {
		return f.identity.more > 0 && maxFindings-1+f.identity.more <= total[f.Rule]
	}
}

// unreadInOld returns a predicate for a finding whose text stood in the old object where the authenticator did not read
// it. So a user can first repair the text around the elements, and the elements later. The predicate holds if, apart from
// white space, the text stood in one of these places:
//   - in a key that does not parse
//   - after the end of a list
//   - below a misspelt key, if the old object gave no entries below the right key
func unreadInOld(old, after *version, object *awsauth.Object) func(*Finding) bool {
	unread, uncertain := make(map[string]string), make(map[string]bool)
	for _, t := range old.doc.Texts {
		unread[string(t.Section)] += awsauth.Squeeze(t.Unread())
		uncertain[string(t.Section)] = t.Disagreement != nil // the authenticator may have loaded entries
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
			return rest != "" && !uncertain[f.identity.key] && strings.Contains(text, rest)
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

// loadsNothing reports whether mapRoles or mapUsers has no elements. For mapAccounts it always returns true.
func (v *version) loadsNothing(section string) bool {
	return !slices.ContainsFunc(v.entries(), func(list []awsauth.Entry) bool {
		return len(list) > 0 && string(list[0].Section) == section
	})
}

// unread returns the part of a section's text that the authenticator does not read.
func (v *version) unread(section string) string {
	for _, t := range v.doc.Texts {
		if string(t.Section) == section {
			return t.Unread()
		}
	}
	return ""
}

// block returns the text of an element of mapRoles or mapUsers without white space, and "" for any other place.
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
