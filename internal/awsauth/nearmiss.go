package awsauth

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// NearMiss is an entry or a text that does not map a caller, although its author probably wanted it to.
type NearMiss struct {
	Position
	Kind NearMissKind
	// Why is the reason, as the rest of a sentence that begins with the position.
	Why string
}

// NearMissKind is the respect in which a near miss differs from an entry that maps the caller.
type NearMissKind string

// The kinds of near misses.
const (
	MissSession       NearMissKind = "session"        // the entry has the ARN of a session instead of that of its role
	MissPath          NearMissKind = "path"           // the entry has the role's path, which STS leaves out
	MissUserPath      NearMissKind = "user path"      // the entry has another path of the user
	MissAccount       NearMissKind = "account"        // the entry has another account
	MissPartition     NearMissKind = "partition"      // the entry has another partition
	MissPermissionSet NearMissKind = "permission set" // the entry has a former role of the same permission set
	MissType          NearMissKind = "type"           // the entry has another type of principal with the same name
	MissMalformed     NearMissKind = "malformed"      // the value is not an ARN or account id
	MissDropped       NearMissKind = "dropped"        // the authenticator doesn't load the element
	MissShadowed      NearMissKind = "shadowed"       // another element replaces the entry
	MissUnread        NearMissKind = "unread"         // the authenticator doesn't read the place
	MissSection       NearMissKind = "section"        // the authenticator loads nothing from the section
	MissSpelling      NearMissKind = "spelling"       // the ARN of the entry is similar
)

// String returns the near miss as part of a sentence.
func (n NearMiss) String() string {
	if n.Line == 0 {
		return n.Path + " " + n.Why
	}
	return fmt.Sprintf("%s (line %d) %s", n.Path, n.Line, n.Why)
}

// NearMisses explains why Resolve found no entry for a canonical ARN (see [Canonicalize]). It returns the near misses
// of these kinds:
//   - elements whose ARN differs from the canonical ARN in one respect, or is malformed and may mean this ARN
//   - elements with this ARN that the authenticator drops, or replaces by another element
//   - elements of mapAccounts that have the digits of the account, but are not its id
//   - sections from which the authenticator loads nothing
//   - keys and texts that the authenticator does not read, and that may hold the ARN
//
// If there is no such near miss, it returns the entry with the most similar ARN, see closest. It returns nil if no entry
// is similar, or if canonicalARN is not the ARN of a principal.
func (o *Object) NearMisses(canonicalARN string) []NearMiss {
	d := o.Parse()
	want, err := ParseARN(canonicalARN)
	if err != nil {
		return nil
	}
	s := search{object: o, want: want, named: map[Section]bool{}}
	for _, list := range [][]Mapping{d.Roles, d.Users} {
		for _, m := range list {
			s.entry(m)
		}
	}
	for _, f := range d.Accounts {
		if !IsAccountID(f.Value) && strings.TrimLeft(digits(f.Value), "0") == strings.TrimLeft(want.Account, "0") {
			s.add(f.At(), MissMalformed, "holds %q, but the account id is %s; write all 12 digits, in quotes", f.Value, want.Account)
		}
	}
	for _, t := range d.Texts {
		s.text(t)
	}
	for _, key := range d.NotText {
		s.add(key.Position, MissUnread, "is not a text, and the API server refuses the object")
	}
	for _, key := range d.DataKeys {
		if !IsSection(key.Value) && contains(o.Data[key.Value], want) {
			s.add(key.Position, MissUnread, "holds this ARN, but the authenticator does not read this key")
		}
	}
	for _, key := range d.BinaryKeys {
		if IsSection(key.Value) {
			s.add(key.Position, MissUnread, "is not read by the authenticator; move it to data")
		}
	}
	if len(s.found) == 0 {
		s.closest(d)
	}
	return s.found
}

// EntryAt returns the position of the entry or account that a resolution names. If the resolution names none, the
// position has only a path.
func (d *Document) EntryAt(r Resolution) Position {
	switch {
	case r.Source == MapRoles && r.Index < len(d.Roles):
		return d.Roles[r.Index].At()
	case r.Source == MapUsers && r.Index < len(d.Users):
		return d.Users[r.Index].At()
	case r.Source == MapAccounts && r.Index < len(d.Accounts):
		return d.Accounts[r.Index].At()
	}
	return Position{Path: r.Source.Path()}
}

func digits(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
}

// search collects near misses for one caller.
type search struct {
	object *Object
	want   ARN
	found  []NearMiss
	named  map[Section]bool // the sections with an element that is a near miss
}

func (s *search) add(at Position, kind NearMissKind, why string, args ...any) {
	s.found = append(s.found, NearMiss{s.object.Locate(at), kind, fmt.Sprintf(why, args...)})
}

// entry adds a near miss for an element if the element would map the caller without its fault.
func (s *search) entry(m Mapping) {
	at, kind, why := m.ARN, MissShadowed, ""
	switch {
	case m.Entry.Dropped != "":
		kind = MissDropped
		at, why = s.dropped(m)
	case m.Entry.ShadowedBy() != nil && fold(m.Entry.ARN) == fold(s.want.String()):
		why = "is replaced by " + m.Entry.ShadowedBy().Path() + ", which matches no caller; the authenticator stores both under the same key"
	case m.Entry.ARN != "":
		kind, why = s.differs(m.Entry.ARN)
	}
	if why != "" {
		s.named[m.Entry.Section] = true
		s.add(at.At(), kind, "%s", why)
	}
}

// dropped searches for the caller's ARN in the values of an element that the authenticator drops. It returns the value
// that is the ARN, and the reason why it doesn't map the caller. why is "" if no value is the ARN.
func (s *search) dropped(m Mapping) (at Field, why string) {
	m = m.withNodes()
	if m.node != nil && m.node.Kind == yaml.ScalarNode && s.names(m.node.Value) {
		return m.field("", m.node), "is the ARN alone; write an element with " + m.Entry.ARNKey() + ", username and groups"
	}
	for _, p := range pairs(m.node, 0) {
		if value := resolveAlias(p.value); value.Kind == yaml.ScalarNode && s.names(value.Value) {
			return m.field(resolveAlias(p.key).Value, p.value), "holds this ARN, but the authenticator does not load the element: it " + m.Entry.Dropped
		}
	}
	return Field{}, ""
}

// names reports whether a value is an ARN of the caller: the canonical ARN, the ARN of a session, or the ARN with the
// role's path.
func (s *search) names(value string) bool {
	arn, err := ParseARN(value)
	if err != nil {
		return false
	}
	return sameResource(entryForm(arn), s.want) && arn.Account == s.want.Account && arn.Partition == s.want.Partition
}

// differs describes the difference between an entry's ARN and the caller's. why is "" if the ARNs are equal or differ
// in more than one respect, and for a malformed ARN that doesn't name the caller.
func (s *search) differs(text string) (kind NearMissKind, why string) {
	arn, err := ParseARN(text)
	if err != nil {
		return MissMalformed, s.malformed(text, err)
	}
	form := entryForm(arn)
	same := sameResource(form, s.want)
	switch {
	case same && arn.Partition == s.want.Partition && arn.Account == s.want.Account:
		if _, ok := arn.SessionRole(); ok {
			return MissSession, fmt.Sprintf("is the ARN of an STS session of this role, %q; write %s", text, s.want)
		}
		if _, ok := arn.WithoutPath(); ok {
			return MissPath, fmt.Sprintf("is the same role with its path, %q; the ARN of a caller has no path: write %s", text, s.want)
		}
	case same && arn.Partition == s.want.Partition:
		return MissAccount, fmt.Sprintf("has the same name in another account, %s instead of %s", arn.Account, s.want.Account)
	case same && arn.Account == s.want.Account:
		return MissPartition, fmt.Sprintf("has the same name in another partition, %s instead of %s", arn.Partition, s.want.Partition)
	case arn.Partition == s.want.Partition && arn.Account == s.want.Account && samePermissionSet(form, s.want):
		return MissPermissionSet, fmt.Sprintf("is a role of the same permission set with another suffix, %q; IAM Identity Center gives a new suffix when it creates the role again: write %s", text, s.want)
	case arn.Partition != s.want.Partition || arn.Account != s.want.Account || fold(form.Name()) != fold(s.want.Name()):
	case strings.HasPrefix(s.want.Resource, "user/") && strings.HasPrefix(arn.Resource, "user/"):
		return MissUserPath, fmt.Sprintf("is the user under another path, %q, and a user's ARN includes its path; write %s", text, s.want)
	default:
		return MissType, fmt.Sprintf("has the same name and is another kind of principal, %q; write %s", text, s.want)
	}
	return "", ""
}

// malformed returns the reason why a text that is not the ARN of a principal doesn't map the caller. It returns ""
// if the text doesn't name the caller.
func (s *search) malformed(text string, err error) string {
	trimmed := strings.TrimRight(strings.TrimFunc(text, invisible), "/")
	pattern := strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(trimmed))
	matched, _ := regexp.MatchString("^(?i:"+pattern+")$", s.want.String())
	bad := AsARNError(err)
	if !matched && !s.names(trimmed) && !contains(bad.Hint+" ", s.want) && !contains(text+" ", s.want) {
		return ""
	}
	return fmt.Sprintf("holds %q, which %s; write %s", text, bad.Problem, s.want)
}

// entryForm returns the ARN with which an entry matches a principal. For a session this is the ARN of its role, and for
// a role with a path it is the ARN without the path.
func entryForm(a ARN) ARN {
	if role, ok := a.SessionRole(); ok {
		return role
	}
	if role, ok := a.WithoutPath(); ok {
		return role
	}
	return a
}

// samePermissionSet reports whether the names of two roles of IAM Identity Center are equal except for their
// suffixes. It does not compare the accounts.
func samePermissionSet(a, b ARN) bool {
	if !ssoSuffix.MatchString(a.Name()) || !ssoSuffix.MatchString(b.Name()) {
		return false
	}
	set := func(a ARN) string { return fold(a.Name()[:len(a.Name())-len("0123456789abcdef")]) }
	return set(a) == set(b)
}

func sameResource(a, b ARN) bool {
	return a.Service == b.Service && fold(a.Resource) == fold(b.Resource)
}

// text adds a near miss for a section from which the authenticator loads nothing. For another section it adds the first
// place in the text that names the caller, such as a comment. If an element of the section is a near miss already, text
// does not add such a place.
func (s *search) text(t *Text) {
	switch {
	case t.Syntax != nil:
		s.add(t.Syntax.Position, MissSection, "does not parse, so the authenticator loads no entry from it: %s", t.Syntax.Problem)
		return
	case t.NotAList != nil:
		s.add(t.NotAList.Position, MissSection, "is %s, so the authenticator loads no entry from it", t.NotAList.Problem)
		return
	}
	at := indexARN(t.raw, s.want)
	if s.named[t.Section] || at < 0 {
		return
	}
	place := t.offsetPlace(t.Section.Path(), at)
	if t.Trailing != nil && place.Line >= t.Trailing.Line && t.Trailing.Line > 0 {
		s.add(place, MissUnread, "holds this ARN after the end of the list, where the authenticator does not read it")
		return
	}
	s.add(place, MissUnread, "holds this ARN %s, where the authenticator does not read it", placeOf(t.raw, at))
}

// placeOf describes the place of an ARN that the authenticator does not read: in a comment, under a key, or
// elsewhere in a line.
func placeOf(raw string, at int) string {
	if WithoutComments(raw)[at] == ' ' {
		return "in a comment"
	}
	start := strings.LastIndexByte(raw[:at], '\n') + 1
	if line := readLine(0, 0, raw[start:at+lineLen(raw, at)]); line.key != "" {
		return "under the key " + line.key
	}
	return "in a line that is not the ARN of an entry"
}

// Names reports whether the text of any section holds an ARN, in an element or in a comment. It ignores case. The
// beginning of a longer ARN does not count, and neither does an ARN in the username of an element.
func (d *Document) Names(arn string) bool {
	if d.folded == "" {
		var b strings.Builder
		for _, t := range d.Texts {
			b.WriteString(strings.ToLower(t.raw))
			b.WriteByte('\n')
		}
		d.folded = b.String()
	}
	arn = strings.ToLower(arn)
	places := countARN(d.folded, arn)
	if places == 0 {
		return false
	}
	for m := range d.Mappings() {
		if len(m.Username.Value) >= len(arn) {
			places -= countARN(strings.ToLower(m.Username.Value), arn)
		}
	}
	return places > 0
}

// countARN returns how often a text holds an ARN that is not the beginning of a longer ARN.
func countARN(text, arn string) (n int) {
	for {
		_, rest, found := strings.Cut(text, arn)
		if !found {
			return n
		}
		if next, _ := utf8.DecodeRuneInString(rest); rest == "" || next != '/' && !nameRune(next) {
			n++
		}
		text = rest
	}
}

func contains(text string, a ARN) bool { return indexARN(text, a) >= 0 }

// indexARN returns the offset of an ARN in a text, or -1 if the text does not hold the ARN. It ignores case. It skips
// an ARN that is the beginning of a longer one.
func indexARN(text string, a ARN) int {
	pattern, err := regexp.Compile(`(?i)` + regexp.QuoteMeta(a.String()) + `(?:[^\w+=,.@/-]|$)`)
	if err != nil {
		return -1
	}
	if at := pattern.FindStringIndex(text); at != nil {
		return at[0]
	}
	return -1
}
