// Package edit changes the text of aws-auth's sections. An edit changes only the lines that it must: comments, the order of the entries,
// quotes, indentation and the style of the list stay.
//
// Each function loads its result as the authenticator does. If the result has any other effect than the intended one, the function returns an
// error and no text. The package is pure: it has no files, network, clock or log.
package edit

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// RefusedError means that this package can't make an edit, or that the edit would change more than it should.
type RefusedError struct {
	Section awsauth.Section
	// Index is the index of the element in the section, or -1 if the edit concerns the whole section.
	Index  int
	Reason string
}

// Error names the place of the edit and the reason.
func (e *RefusedError) Error() string {
	place := string(e.Section)
	if e.Index >= 0 {
		place = fmt.Sprintf("%s[%d]", e.Section, e.Index)
	}
	return fmt.Sprintf("edit %s by hand: %s", place, e.Reason)
}

// Add appends an entry to the text of the section e.Section, which may be empty. It uses e.ARN, e.Username and e.Groups.
func Add(text string, e awsauth.Entry) (string, error) {
	l, err := read(text, e.Section, -1)
	if err != nil {
		return "", err
	}
	if err := l.checkEntry(e); err != nil {
		return "", err
	}
	if e.Section == awsauth.MapAccounts {
		return "", l.refuse("an account is no entry")
	}
	changed, err := l.addElement(func(st style, margin string) string { return st.entry(e, margin) })
	if err != nil {
		return "", err
	}
	added := element{entry: e, changed: true}
	added.entry.SSO, added.entry.Dropped = nil, ""
	return l.check(changed, append(l.elements(), added))
}

// AddAccount appends an account to the text of mapAccounts, which may be empty.
func AddAccount(text, account string) (string, error) {
	l, err := read(text, awsauth.MapAccounts, -1)
	if err != nil {
		return "", err
	}
	if !utf8.ValidString(account) || account == "" {
		return "", l.refuse("the account %q is not a text", account)
	}
	changed, err := l.addElement(func(st style, margin string) string { return st.account(account, margin) })
	if err != nil {
		return "", err
	}
	return l.checkAccounts(changed, append(l.accounts(), account))
}

// Remove removes an element of mapRoles, mapUsers or mapAccounts.
func Remove(text string, s awsauth.Section, index int) (string, error) {
	l, err := readElement(text, s, index)
	if err != nil {
		return "", err
	}
	removed, err := l.removeItem(l.root, index)
	if err != nil {
		return "", err
	}
	changed := apply(text, removed)
	if s == awsauth.MapAccounts {
		return l.checkAccounts(changed, l.accounts(index))
	}
	return l.check(changed, slices.Delete(l.elements(), index, index+1))
}

// RemoveAll removes several elements of mapRoles, mapUsers or mapAccounts. If it gets several indexes, it refuses to remove all elements, and to
// remove elements in brackets whose removals overlap. The caller can remove these one by one with [Remove].
func RemoveAll(text string, s awsauth.Section, indexes []int) (string, error) {
	switch len(indexes) {
	case 0:
		return text, nil
	case 1:
		return Remove(text, s, indexes[0])
	}
	l, err := read(text, s, -1)
	if err != nil {
		return "", err
	}
	gone := make(map[int]bool)
	var splices []splice
	for _, index := range indexes {
		if l.root == nil || index < 0 || index >= len(l.root.Items) || gone[index] {
			return "", l.refuse("it has no such elements")
		}
		gone[index] = true
		removed, err := l.removeItem(l.root, index)
		if err != nil {
			return "", err
		}
		splices = append(splices, removed...)
	}
	slices.SortFunc(splices, func(a, b splice) int { return cmp.Compare(a.Start, b.Start) })
	for i := range splices[1:] {
		if splices[i+1].Start < splices[i].End {
			return "", l.refuse("the removals overlap")
		}
	}
	if len(gone) == len(l.root.Items) {
		return "", l.refuse("no element would be left")
	}
	changed := apply(text, splices)
	if s == awsauth.MapAccounts {
		return l.checkAccounts(changed, l.accounts(indexes...))
	}
	var want []element
	for i, e := range l.elements() {
		if !gone[i] {
			want = append(want, e)
		}
	}
	return l.check(changed, want)
}

// Replace gives the element e.Index of the section e.Section the ARN, username and groups of e. It keeps the values that are equal as they
// are written.
func Replace(text string, e awsauth.Entry) (string, error) {
	l, err := readElement(text, e.Section, e.Index)
	if err != nil {
		return "", err
	}
	if err := l.checkEntry(e); err != nil {
		return "", err
	}
	want := l.elements()
	if len(want) <= e.Index {
		return "", l.refuse("it is not an entry")
	}
	was := want[e.Index].entry
	now := was
	now.ARN, now.Username, now.Groups = e.ARN, e.Username, e.Groups
	want[e.Index] = element{entry: now, changed: true}
	var splices []splice
	set := func(name, old, value string) {
		if err == nil && old != value {
			var s splice
			s, err = l.setText(name, value)
			splices = append(splices, s)
		}
	}
	set(was.ARNKey(), was.ARN, e.ARN)
	set("username", was.Username, e.Username)
	if err == nil && !slices.Equal(was.Groups, e.Groups) {
		var more []splice
		more, err = l.setGroups(was.Groups, e.Groups)
		splices = append(splices, more...)
	}
	if err != nil {
		return "", err
	}
	return l.check(apply(text, splices), want)
}

// RenameKey renames a key of an element of mapRoles or mapUsers. key may also be a key that the authenticator doesn't know.
func RenameKey(text string, s awsauth.Section, index int, key, name string) (string, error) {
	l, err := readElement(text, s, index)
	if err != nil {
		return "", err
	}
	at, _, err := l.onlyPair(key)
	if err != nil {
		return "", err
	}
	if _, _, taken := l.pair(name); taken && !strings.EqualFold(key, name) {
		return "", l.refuse("it has the key %s, too", name)
	}
	if at.Kind != awsauth.ScalarSpan || !utf8.ValidString(name) {
		return "", l.refuse("its key %s can't be renamed", key)
	}
	want := l.elements()
	want[index].changeKey(key, func(k *keyValue) { k.name = name })
	if len(want[index].oneOf) != 1 {
		return "", l.refuse("a merge gives it the key %s, too, and the merged key would count instead of the renamed one", key)
	}
	return l.check(apply(text, []splice{{at.Start, at.End, write(name, at.Quote, l.inFlow())}}), want)
}

// SetValue replaces the value of a key of an element. The old value must be a scalar, and not a list. For an element of mapAccounts, key must be
// empty.
func SetValue(text string, s awsauth.Section, index int, key, value string) (string, error) {
	l, err := readElement(text, s, index)
	if err != nil {
		return "", err
	}
	if !utf8.ValidString(value) {
		return "", l.refuse("the new value is not UTF-8")
	}
	if s == awsauth.MapAccounts {
		want, at := l.accounts(), l.accountIndex(index)
		if key != "" || at < 0 {
			return "", l.refuse("it is not an account")
		}
		want[at] = value
		return l.checkAccounts(apply(text, []splice{replaceValue(l.item(), write(value, l.item().Quote, l.root.Flow))}), want)
	}
	_, at, err := l.onlyPair(key)
	if err != nil {
		return "", err
	}
	want := l.elements()
	want[index].changeKey(key, func(k *keyValue) { k.value = value })
	return l.check(apply(text, []splice{replaceValue(at, write(value, at.Quote, l.inFlow()))}), want)
}

// Move moves an element of mapRoles to the end of mapUsers, or an element of mapUsers to the end of mapRoles. from is the text of the section s,
// and to is the text of the other section. arn is the ARN of the element in its new place. Move returns the new texts of both sections.
func Move(from, to string, s awsauth.Section, index int, arn string) (newFrom, newTo string, err error) {
	l, err := readElement(from, s, index)
	if err != nil {
		return "", "", err
	}
	elements := l.elements()
	if index >= len(elements) {
		return "", "", l.refuse("it is not an entry")
	}
	e := elements[index].entry
	if arn == "" || e.SSO != nil {
		return "", "", l.refuse("it has no %s, so it can't move to the other section", e.ARNKey())
	}
	e.Section, e.ARN = awsauth.MapUsers, arn
	if s == awsauth.MapUsers {
		e.Section = awsauth.MapRoles
	}
	if newTo, err = Add(to, e); err != nil {
		return "", "", err
	}
	if newFrom, err = Remove(from, s, index); err != nil {
		return "", "", err
	}
	return newFrom, newTo, nil
}
