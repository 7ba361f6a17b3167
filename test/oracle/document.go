package oracle

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// neverMatchRules are the rules whose findings say that an element of mapRoles, mapUsers or mapAccounts never matches a caller.
// The value is a pattern for the path of a finding. Other findings of the rule have another meaning. The empty pattern matches
// every path.
var neverMatchRules = map[string]string{
	"assumed-role-arn":    "",
	"fargate-profile-arn": "",
	"leftover-template":   `\.(rolearn|userarn)$|mapAccounts\[\d+\]$`, // a template in a username or a group has other effects
	"malformed-account":   "",
	"malformed-arn":       "",
	"missing-arn":         "",
	"not-a-mapping":       "",
	"role-path":           "",
	"sso-entry":           "",
}

// lostSectionRules are the rules whose findings say that the authenticator loads nothing from a section. A finding does not say
// so if its message contains notCertain or notAll.
var lostSectionRules = []string{"yaml-syntax", "not-a-list"}

const (
	notCertain = "is not certain"
	notAll     = "only up to this element" // the elements before it are loaded
)

var elementPath = regexp.MustCompile(`^data\.(map(?:Roles|Users|Accounts))\[\d+\]`)

// checkFindings checks findings of a document with the authenticator. It checks the findings which say that the authenticator loads
// nothing from a section, that it never uses an element, or that it replaces an entry by another one. It also checks that a document without
// findings has no fault, and that no rule panics.
func (k *Checker) checkFindings(v *version, verdict validate.Verdict) {
	for _, f := range verdict.Findings {
		k.Stats.add("finding " + f.Rule)
		if slices.Contains(lostSectionRules, f.Rule) && !strings.Contains(f.Message, notCertain) && !strings.Contains(f.Message, notAll) {
			k.checkLostSection(f)
		}
	}
	if len(verdict.Failed) > 0 {
		k.fail(checkClean, "panic", "%+v\n%s", verdict.Failed[0].Panic, verdict.Failed[0].Stack)
	}
	clean := len(verdict.Findings) == 0
	claimsNever := slices.ContainsFunc(verdict.Findings, func(f validate.Finding) bool { return f.Rule == "conflicting-principal" || saysNeverMatches(f) })
	if !clean && !claimsNever {
		return
	}
	if clean {
		k.checkClean(v.data)
	}
	answers, ok := k.elementAnswers(v)
	if !ok {
		k.Stats.add("document not marked")
		return
	}
	for _, f := range verdict.Findings {
		k.checkNever(f, answers)
		k.checkReplacedWithMore(f, v, answers)
	}
	k.checkAccounts(verdict, answers)
	if clean {
		k.checkCleanElements(v, answers)
	}
}

// saysNeverMatches reports whether a finding says that an element never matches a caller.
func saysNeverMatches(f validate.Finding) bool {
	at, ok := neverMatchRules[f.Rule]
	if f.Rule == "malformed-arn" && f.Severity == validate.Warn { // a well-formed ARN that is almost certainly wrong
		return false
	}
	return ok && regexp.MustCompile(at).MatchString(f.Path)
}

// checkLostSection checks that the authenticator loads nothing from the section of a finding.
func (k *Checker) checkLostSection(f validate.Finding) {
	k.Stats.add("lost by " + f.Rule)
	stored := k.a.Stored()
	n := map[string]int{"data.mapRoles": len(stored.Roles), "data.mapUsers": len(stored.Users), "data.mapAccounts": len(stored.Accounts)}[f.Path]
	if _, err := k.a.ParseLoaded(); n > 0 || err == nil {
		k.fail(checkNever, f.Rule, "%s: %s, but the authenticator loads %d elements, error %v", f.Path, f.Message, n, err)
	}
}

// answerIndex maps callers to the elements that may answer them. An element answers a caller if the authenticator maps the caller by
// this element. The index identifies an element by its path.
type answerIndex struct {
	by       map[string][]string // by caller: the elements that may answer the caller
	of       map[string]int      // by element: the number of callers that the element may answer
	accounts []bool              // for each element of mapAccounts: whether the element is an account id
}

// elementAnswers finds the elements that may answer each caller. To see which element answers, it loads a copy of the document
// in which the username of each element is the element's path. The copy stays loaded. elementAnswers returns false if the
// authenticator loads more or fewer elements from the copy than from the document.
func (k *Checker) elementAnswers(v *version) (*answerIndex, bool) {
	marked := make(map[string]string)
	r := &answerIndex{by: make(map[string][]string), of: make(map[string]int)}
	for _, section := range []string{"mapRoles", "mapUsers"} {
		var list []json.RawMessage
		for _, e := range v.elements {
			if e.section == section {
				list = append(list, e.marked())
			}
		}
		if list != nil {
			text, err := json.Marshal(list)
			if err != nil {
				return nil, false
			}
			marked[section] = string(text)
		}
	}
	before := k.a.Stored()
	accounts, _ := k.a.ParseLoaded() // if a section can't be parsed, checkClean and checkLostSection report the error
	k.a.Load(marked)
	if after := k.a.Stored(); len(after.Roles) != len(before.Roles) || len(after.Users) != len(before.Users) {
		return nil, false
	}
	for _, caller := range k.forms.of(v.arns) {
		for _, answer := range k.a.Possible(caller) {
			if answer.Mapped {
				r.by[caller] = append(r.by[caller], answer.Username)
				r.of[answer.Username]++
			}
		}
	}
	for _, account := range accounts {
		r.accounts = append(r.accounts, callerARN.MatchString("arn:aws:iam::"+account+":root"))
	}
	return r, true
}

// marked returns the element with its path as the username. An element that is not a mapping stays unchanged.
func (e element) marked() json.RawMessage {
	var fields map[string]json.RawMessage
	if json.Unmarshal(e.raw, &fields) != nil || fields == nil {
		return e.raw
	}
	for key := range fields {
		if strings.EqualFold(key, "username") {
			delete(fields, key)
		}
	}
	fields["username"] = json.RawMessage(`"` + e.path() + `"`)
	raw, err := json.Marshal(fields)
	if err != nil {
		return e.raw
	}
	return raw
}

// checkNever checks a finding which says that an element never answers a caller. For conflicting-principal, the finding says that the
// element doesn't always answer.
func (k *Checker) checkNever(f validate.Finding, r *answerIndex) {
	match := elementPath.FindStringSubmatch(f.Path)
	if match == nil {
		return
	}
	path := match[0]
	switch {
	case f.Rule == "conflicting-principal":
		k.Stats.add("never " + f.Rule)
		random := false
		for _, by := range r.by {
			random = random || len(by) > 1 && slices.Contains(by, path)
		}
		if r.of[path] > 0 && !random {
			k.fail(checkNever, f.Rule, "%s: %s, but the authenticator always answers with it", f.Path, f.Message)
		}
	case !saysNeverMatches(f):
	case match[1] == "mapAccounts": // checkAccounts checks these
	default:
		k.Stats.add("never " + f.Rule)
		if r.of[path] > 0 {
			k.fail(checkNever, f.Rule, "%s: %s, but the authenticator answers with it: %v", f.Path, f.Message, r.by)
		}
	}
}

// checkReplacedWithMore checks a warning of conflicting-principal. The warning says that another entry replaces an entry without loss of
// access. So the entry that answers must have the username and all groups of the replaced entry.
func (k *Checker) checkReplacedWithMore(f validate.Finding, v *version, r *answerIndex) {
	path := elementPath.FindString(f.Path)
	i := slices.IndexFunc(v.elements, func(e element) bool { return e.path() == path })
	if f.Rule != "conflicting-principal" || f.Severity != validate.Warn || i < 0 {
		return
	}
	replaced := v.elements[i]
	for caller, paths := range r.by {
		if !strings.EqualFold(canonical(caller), replaced.arn) {
			continue
		}
		for _, winner := range v.elements {
			if !slices.Contains(paths, winner.path()) {
				continue
			}
			k.Stats.add("replaced with more")
			username, groups := replaced.access()
			if name, more := winner.access(); name != username || !subset(groups, more) {
				k.fail(checkReplaced, f.Rule, "%s: %s, but the authenticator answers %q with %q and %q", f.Path, f.Message, caller, name, more)
			}
		}
	}
}

// access returns the username and the groups of an element as the authenticator decodes them.
func (e element) access() (username string, groups []string) {
	var fields struct {
		Username string   `json:"username"`
		Groups   []string `json:"groups"`
	}
	_ = json.Unmarshal(e.raw, &fields) // if a value has a wrong type, json still decodes the other fields
	return fields.Username, fields.Groups
}

// checkAccounts checks the findings which say that an element of mapAccounts never matches. There may be at most as many such elements
// as elements that are no account ids.
func (k *Checker) checkAccounts(verdict validate.Verdict, r *answerIndex) {
	named := make(map[string]bool)
	for _, f := range verdict.Findings {
		if strings.HasPrefix(f.Path, "data.mapAccounts[") && f.Rule != "not-a-mapping" && saysNeverMatches(f) {
			k.Stats.add("never " + f.Rule)
			named[f.Path] = true
		}
	}
	useless := 0
	for _, used := range r.accounts {
		if !used {
			useless++
		}
	}
	if len(named) > useless {
		k.fail(checkNever, "accounts", "findings say that %d elements of mapAccounts never match, but %d are no account ids", len(named), useless)
	}
}

// checkClean checks a document without findings: the authenticator reports no error for it, and reads every key of its data.
func (k *Checker) checkClean(data map[string]string) {
	k.Stats.add("document clean")
	if _, err := k.a.ParseLoaded(); err != nil {
		k.fail(checkClean, "error", "there is no finding, but the authenticator reports: %v", err)
	}
	for key := range data {
		if !slices.Contains(awsauth.Sections(), awsauth.Section(key)) {
			k.fail(checkClean, "data key", "there is no finding, but the authenticator does not read the key %q", key)
		}
	}
}

// arnLine finds the ARNs of elements in a text. It finds an ARN only if the key begins the line and the ARN has no escapes.
var arnLine = regexp.MustCompile(`(?im)^\s*(?:-\s+)?["']?(?:role|user)arn["']?\s*:\s*["']?(arn:[^\s"'#,}\]\\]+)(?:[\s"'#,}\]]|$)`)

// checkCleanElements checks a document without findings. Every element answers a caller, no caller gets a random answer, and
// mapAccounts holds only account ids. Every ARN that arnLine finds belongs to an element. The last check skips a section in which
// hasMultilineQuotes is true.
func (k *Checker) checkCleanElements(v *version, r *answerIndex) {
	for _, e := range v.elements {
		k.Stats.add("element clean")
		if r.of[e.path()] == 0 {
			k.fail(checkClean, "unused "+kindOf(e.arn), "there is no finding, but the authenticator never answers with %s: %s", e.path(), e.raw)
		}
	}
	for caller, by := range r.by {
		if len(by) > 1 {
			k.fail(checkClean, "random", "there is no finding, but %s gets a random one of %v", caller, by)
		}
	}
	if slices.Contains(r.accounts, false) {
		k.fail(checkClean, "account", "there is no finding, but an element of mapAccounts is no account id")
	}
	for section, text := range v.data {
		if hasMultilineQuotes(text) {
			continue
		}
		for _, found := range arnLine.FindAllStringSubmatch(text, -1) {
			if !slices.ContainsFunc(v.elements, func(e element) bool { return startsWithARN(e.arn, found[1]) }) {
				k.fail(checkClean, "unread", "there is no finding, but no element has the ARN %s in %s", found[1], section)
			}
		}
	}
}

// startsWithARN reports whether an ARN is the one that arnLine found, or continues with a character at which arnLine stops. In a
// block scalar, for example, a name can contain a comma.
func startsWithARN(arn, found string) bool {
	if len(arn) < len(found) || !strings.EqualFold(arn[:len(found)], found) {
		return false
	}
	return len(arn) == len(found) || strings.IndexByte("\"'#,}]\\", arn[len(found)]) >= 0
}

// hasMultilineQuotes reports whether the text may have a quoted value of several lines. A line of such a value can look like a
// key.
func hasMultilineQuotes(text string) bool {
	for line := range strings.Lines(text) {
		if strings.Count(line, `"`)%2+strings.Count(line, "'")%2 > 0 {
			return true
		}
	}
	return false
}

// kindOf returns the kind of principal that an ARN names, such as role or user.
func kindOf(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	kind, _, _ := strings.Cut(parts[len(parts)-1], "/")
	return kind
}

// CheckedFindings returns the names in [Stats] of the findings that every run must check with the authenticator.
func CheckedFindings() []string {
	names := []string{"never conflicting-principal"}
	for _, rule := range slices.Sorted(maps.Keys(neverMatchRules)) {
		names = append(names, "never "+rule)
	}
	for _, rule := range lostSectionRules {
		names = append(names, "lost by "+rule)
	}
	return names
}
