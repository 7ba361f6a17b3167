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

// neverRules are the rules whose findings say that an element of mapRoles, mapUsers or mapAccounts
// never lets anybody in. The value says of which findings it holds, by the value that they stand at;
// empty for all.
var neverRules = map[string]string{
	"assumed-role-arn":    "",
	"fargate-profile-arn": "",
	"leftover-template":   `\.(rolearn|userarn)$|mapAccounts\[\d+\]$`, // in usernames and groups it has other effects
	"malformed-account":   "",
	"malformed-arn":       "",
	"missing-arn":         "",
	"not-a-mapping":       "",
	"role-path":           "",
	"sso-entry":           "",
}

// lostRules are the rules whose findings say that nothing is loaded from a section. What yaml-syntax
// calls not certain is no such finding.
var lostRules = []string{"yaml-syntax", "not-a-list"}

const (
	notCertain = "is not certain"
	notAll     = "only up to this element" // what stands before it is loaded
)

var elementPath = regexp.MustCompile(`^data\.(map(?:Roles|Users|Accounts))\[\d+\]`)

// checkFindings asks the authenticator whether what the findings of a document say is true, and
// whether there is nothing to find where there are none.
func (k *Checker) checkFindings(v *version, verdict validate.Verdict) {
	for _, f := range verdict.Findings {
		k.Stats.add("finding " + f.Rule)
		if slices.Contains(lostRules, f.Rule) && !strings.Contains(f.Message, notCertain) && !strings.Contains(f.Message, notAll) {
			k.checkLost(f)
		}
	}
	if len(verdict.Failed) > 0 {
		k.fail(checkClean, "panic", "%+v\n%s", verdict.Failed[0].Panic, verdict.Failed[0].Stack)
	}
	clean := len(verdict.Findings) == 0
	said := slices.ContainsFunc(verdict.Findings, func(f validate.Finding) bool { return f.Rule == "conflicting-principal" || saysNever(f) })
	if !clean && !said {
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
	}
	k.checkAccounts(verdict, answers)
	if clean {
		k.checkCleanElements(v, answers)
	}
}

func saysNever(f validate.Finding) bool {
	at, ok := neverRules[f.Rule]
	return ok && regexp.MustCompile(at).MatchString(f.Path)
}

// checkLost holds a finding on a section as a whole against what is loaded.
func (k *Checker) checkLost(f validate.Finding) {
	k.Stats.add("lost by " + f.Rule)
	stored := k.a.Stored()
	n := map[string]int{"data.mapRoles": len(stored.Roles), "data.mapUsers": len(stored.Users), "data.mapAccounts": len(stored.Accounts)}[f.Path]
	if _, err := k.a.Read(); n > 0 || err == nil {
		k.fail(checkNever, f.Rule, "%s: %s, but the authenticator loads %d elements, error %v", f.Path, f.Message, n, err)
	}
}

// answering says which callers' answers come from which elements, by path.
type answering struct {
	by       map[string][]string // caller to the elements that may answer
	of       map[string]int      // element to the callers that it may answer
	accounts []bool              // whether an element of mapAccounts is anybody's account
}

// elementAnswers finds out which element answers whom: each is given a username that names it, and
// what has been loaded is replaced. It answers false where the elements, written down again, are not what
// they were.
func (k *Checker) elementAnswers(v *version) (*answering, bool) {
	marked := make(map[string]string)
	r := &answering{by: make(map[string][]string), of: make(map[string]int)}
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
	accounts, _ := k.a.Read() // what could not be read is checkClean's and checkLost's
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

// marked is the element with its path as username.
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

// checkNever: whom a finding calls lost is.
func (k *Checker) checkNever(f validate.Finding, r *answering) {
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
	case !saysNever(f):
	case match[1] == "mapAccounts": // see checkAccounts
	default:
		k.Stats.add("never " + f.Rule)
		if r.of[path] > 0 {
			k.fail(checkNever, f.Rule, "%s: %s, but the authenticator answers with it: %v", f.Path, f.Message, r.by)
		}
	}
}

// checkAccounts: of the elements that the authenticator keeps, findings name those that are no accounts.
func (k *Checker) checkAccounts(verdict validate.Verdict, r *answering) {
	named := make(map[string]bool)
	for _, f := range verdict.Findings {
		if strings.HasPrefix(f.Path, "data.mapAccounts[") && f.Rule != "not-a-mapping" && saysNever(f) {
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
		k.fail(checkNever, "accounts", "%d elements of mapAccounts are said to match nobody, and %d do", len(named), useless)
	}
}

// checkClean: the authenticator reads everything in a document without findings.
func (k *Checker) checkClean(data map[string]string) {
	k.Stats.add("document clean")
	if _, err := k.a.Read(); err != nil {
		k.fail(checkClean, "error", "there is no finding, and the authenticator says: %v", err)
	}
	for key := range data {
		if !slices.Contains(awsauth.Sections(), awsauth.Section(key)) {
			k.fail(checkClean, "data key", "there is no finding, and nothing reads %q", key)
		}
	}
}

// written finds the ARNs of elements in a text: behind their key at the beginning of a line, without escapes.
var written = regexp.MustCompile(`(?im)^\s*(?:-\s+)?["']?(?:role|user)arn["']?\s*:\s*["']?(arn:[^\s"'#,}\]\\]+)(?:[\s"'#,}\]]|$)`)

// checkCleanElements: in a document without findings every element lets somebody in, and nobody's
// answer is random.
func (k *Checker) checkCleanElements(v *version, r *answering) {
	for _, e := range v.elements {
		k.Stats.add("element clean")
		if r.of[e.path()] == 0 {
			k.fail(checkClean, "unused "+kindOf(e.arn), "there is no finding, and the authenticator never answers with %s: %s", e.path(), e.raw)
		}
	}
	for caller, by := range r.by {
		if len(by) > 1 {
			k.fail(checkClean, "random", "there is no finding, and %s gets one of %v", caller, by)
		}
	}
	if slices.Contains(r.accounts, false) {
		k.fail(checkClean, "account", "there is no finding, and in mapAccounts stands what is no account")
	}
	for section, text := range v.data {
		if quotesOverLines(text) {
			continue
		}
		for _, found := range written.FindAllStringSubmatch(text, -1) {
			if !slices.ContainsFunc(v.elements, func(e element) bool { return begins(e.arn, found[1]) }) {
				k.fail(checkClean, "unread", "there is no finding, and %s in %s is no element's", found[1], section)
			}
		}
	}
}

// begins reports whether an ARN is the one that was found in a text, or goes on with what ends it in
// some styles: in a block a name may hold a comma.
func begins(arn, found string) bool {
	if len(arn) < len(found) || !strings.EqualFold(arn[:len(found)], found) {
		return false
	}
	return len(arn) == len(found) || strings.IndexByte("\"'#,}]\\", arn[len(found)]) >= 0
}

// quotesOverLines reports whether a text in quotes may go on in the next line, where what looks like a
// key is none.
func quotesOverLines(text string) bool {
	for line := range strings.Lines(text) {
		if strings.Count(line, `"`)%2+strings.Count(line, "'")%2 > 0 {
			return true
		}
	}
	return false
}

// kindOf is what an ARN names: role, user, and so on.
func kindOf(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	kind, _, _ := strings.Cut(parts[len(parts)-1], "/")
	return kind
}

// Claims names, as [Stats] counts them, the findings that a run must have held against the authenticator.
func Claims() []string {
	names := []string{"never conflicting-principal"}
	for _, rule := range slices.Sorted(maps.Keys(neverRules)) {
		names = append(names, "never "+rule)
	}
	for _, rule := range lostRules {
		names = append(names, "lost by "+rule)
	}
	return names
}
