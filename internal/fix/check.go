package fix

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// corrects reports whether the version after lacks the given findings of the version before, has no new denial, and takes no access away; see
// lostAccess.
func corrects(before, after *version, findings []validate.Finding) bool {
	fixed := make(map[string]int)
	for _, f := range findings {
		fixed[f.Rule]++
	}
	for rule, n := range fixed {
		if count(after.findings, rule) > count(before.findings, rule)-n {
			return false
		}
	}
	return len(newDenials(before, after)) == 0 && len(lostAccess(before, after, findings)) == 0
}

// blame returns the corrections that cause the refusal of a version. The version is after, in which the corrections of all findings are made.
// The keys of the result are indexes in findings. The values are the principals of the corrected elements. A correction is a cause if its own
// finding stays, or if its element has a principal with a new denial or with other access. after may be nil; then the result is empty.
func blame(before, after *version, findings []validate.Finding) map[int]string {
	blamed := make(map[int]string)
	if after == nil {
		return blamed
	}
	stays, principals := make(map[string]bool), make(map[string]bool)
	for i := range after.findings {
		stays[id(&after.findings[i])] = true
	}
	for _, f := range newDenials(before, after) {
		principals[principalAt(after.loaded, f.Path)] = true
	}
	for _, c := range lostAccess(before, after, findings) {
		principals[strings.ToLower(c.ARN)] = true
	}
	delete(principals, "")
	for i, f := range findings {
		was := principalAt(before.loaded, f.Path)
		is := was
		if !f.Correction.Remove {
			is = principalAt(after.loaded, f.Path)
		}
		if principals[was] || principals[is] || !f.Correction.Remove && stays[id(&f)] {
			blamed[i] = is
		}
	}
	return blamed
}

// principalAt returns the ARN or the account of the element at a path, in lower case. It returns "" if the map has no such element.
func principalAt(m *awsauth.Map, path string) string {
	section, index, ok := elementOf(path)
	switch {
	case !ok:
	case section != awsauth.MapAccounts:
		if e := entryAt(m, section, index); e != nil {
			return strings.ToLower(e.ARN)
		}
	case index < len(m.Accounts):
		return m.Accounts[index]
	}
	return ""
}

func count(findings []validate.Finding, rule string) (n int) {
	for _, f := range findings {
		if f.Rule == rule {
			n++
		}
	}
	return n
}

// ofLayout are the rules about the layout of a text. If a correction causes a finding of such a rule, it probably gave the text a meaning that
// its author did not intend.
var ofLayout = []string{"yaml-syntax", "not-a-list", "trailing-content", "not-a-mapping", "duplicate-key", "folded-line", "wrong-type", "missing-arn", "unknown-key"}

// newDenials returns the denials of the version after that the version before doesn't have. If the authenticator did not load an element of
// before, the element may have had the same faults there without a finding. So newDenials returns denials of this element only from the rules in
// ofLayout.
func newDenials(before, after *version) (list []validate.Finding) {
	known := make(map[string]int)
	for _, f := range before.findings {
		known[withoutIndexes(f)]++
	}
	for _, f := range after.findings {
		key := withoutIndexes(f)
		known[key]--
		layout := slices.Contains(ofLayout, f.Rule)
		if f.Severity == validate.Deny && known[key] < 0 && (layout || !wasHidden(before, after, f.Path)) {
			list = append(list, f)
		}
	}
	return list
}

var indexInMessage = regexp.MustCompile(`\b(mapRoles|mapUsers|mapAccounts)\[\d+\]`)

// withoutIndexes returns the rule and the message of a finding. It leaves out the indexes of other elements, which change if a correction
// removes an element.
func withoutIndexes(f validate.Finding) string {
	return f.Rule + "\x00" + indexInMessage.ReplaceAllString(f.Message, "$1")
}

var elementPath = regexp.MustCompile(`^data\.(mapRoles|mapUsers|mapAccounts)\[(\d+)\]`)

// elementOf returns the element of a path. ok is false if the path is not in an element.
func elementOf(path string) (s awsauth.Section, index int, ok bool) {
	match := elementPath.FindStringSubmatch(path)
	if match == nil {
		return "", 0, false
	}
	index, err := strconv.Atoi(match[2])
	return awsauth.Section(match[1]), index, err == nil
}

// wasHidden reports whether the authenticator loaded no entry of the version before with the ARN of an element, or for mapAccounts no such
// account. path is the path of the element in the version after.
func wasHidden(before, after *version, path string) bool {
	section, index, ok := elementOf(path)
	if !ok {
		return false
	}
	loaded := func(list []awsauth.Entry, arn string) bool {
		return slices.ContainsFunc(list, func(e awsauth.Entry) bool { return e.Dropped == "" && e.ARN == arn })
	}
	switch list := after.loaded; section {
	case awsauth.MapRoles:
		return index < len(list.Roles) && !loaded(before.loaded.Roles, list.Roles[index].ARN)
	case awsauth.MapUsers:
		return index < len(list.Users) && !loaded(before.loaded.Users, list.Users[index].ARN)
	case awsauth.MapAccounts:
		return index < len(list.Accounts) && !slices.Contains(before.loaded.Accounts, list.Accounts[index])
	}
	return false
}

// lostAccess returns the changes of principals that could log in before the corrections and don't keep exactly their access. Two changes are
// right, so lostAccess leaves them out: a principal gets the username and groups that a correction sets in its element, and a principal gains
// access by a correction of the layout.
func lostAccess(before, after *version, findings []validate.Finding) (lost []awsauth.AccessChange) {
	own := make(map[string]bool)
	texts := false
	for _, f := range findings {
		c := f.Correction
		if c.Values && c.Index >= 0 {
			if e := entryAt(before.loaded, c.Section, c.Index); e != nil {
				own[e.ARN] = true
			}
		}
		texts = texts || c.Repairs != nil
	}
	for _, c := range awsauth.DiffAccess(before.loaded, after.loaded) {
		if !c.New && (c.Gone || !own[c.ARN] && (!texts || !onlyGains(c))) {
			lost = append(lost, c)
		}
	}
	return lost
}

// entryAt returns an element of mapRoles or mapUsers. It returns nil if the map has no such element.
func entryAt(m *awsauth.Map, s awsauth.Section, index int) *awsauth.Entry {
	list := m.Roles
	if s == awsauth.MapUsers {
		list = m.Users
	}
	if index < len(list) {
		return &list[index]
	}
	return nil
}

// onlyGains reports whether a principal keeps its username and all groups. It ignores the loss of values that come only from a wrong layout: an
// empty username or group, and one into which YAML folded another line.
func onlyGains(c awsauth.AccessChange) bool {
	artefact := func(value string) bool { return value == "" || strings.ContainsAny(value, " \n") }
	if slices.ContainsFunc(c.Lost, func(group string) bool { return !artefact(group) }) {
		return false
	}
	for _, was := range c.Before {
		if !artefact(was.Username) && slices.ContainsFunc(c.After, func(e *awsauth.Entry) bool { return e.Username != was.Username }) {
			return false
		}
	}
	return true
}
