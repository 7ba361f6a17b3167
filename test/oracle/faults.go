package oracle

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// preexistingNote is the note at the end of the message of a pre-existing finding.
const preexistingNote = "the old version has this fault too"

// checkNewFaults checks that the guard denies a change if a rule finds more faults in the new version than in the old one. It checks only
// changes with a pre-existing finding. It skips a change if the old version has text that the authenticator does not read, because a fault in
// such text can be pre-existing, too.
func (k *Checker) checkNewFaults(change validate.Change, policy validate.Policy, verdict validate.Verdict, old, now *version) {
	preexisting := func(f validate.Finding) bool { return strings.Contains(f.Message, preexistingNote) }
	if verdict.Action == validate.ActionDeny || change.Old == nil || change.New == nil || !slices.ContainsFunc(verdict.Findings, preexisting) || k.hasUnreadText(change.Old) {
		return
	}
	k.Stats.add("changes with faults of the old version")
	// byRule counts the faults by rule. It leaves out accessRules, which checkNewAccessFaults checks. A fault of such a rule is pre-existing for
	// every element that gives an access of the old version. So the new version may have more pre-existing faults than the old version has
	// faults.
	byRule := func(faults map[string]int) map[string]int {
		count := make(map[string]int)
		for fault, n := range faults {
			if rule, _, _ := strings.Cut(fault, " "); !slices.Contains(accessRules, rule) {
				count[rule] += n
			}
		}
		return count
	}
	policy.Protected = nil
	was, is := byRule(faults(change.Old, old, policy)), byRule(faults(change.New, now, policy))
	for _, rule := range slices.Sorted(maps.Keys(is)) {
		if is[rule] > was[rule] {
			k.fail(checkNewFaults, rule, "the old version has %d faults, the new one %d, and the verdict is %s%s", was[rule], is[rule], verdict.Action, findings(verdict))
		}
	}
	k.checkNewAccessFaults(change, policy, verdict, old, now)
}

// checkNewAccessFaults checks that the guard denies a change if an element has a fault about access and gives a new access: no old element
// gave its principal the same username and at least the same groups.
func (k *Checker) checkNewAccessFaults(change validate.Change, policy validate.Policy, verdict validate.Verdict, old, now *version) {
	if hasReplacementCharacter(change.Old) {
		return // the guard does not know whether the old element gave access
	}
	elements := make(map[string]element)
	for _, e := range now.elements {
		elements[e.path()] = e
	}
	for _, f := range validate.Evaluate(validate.Change{New: change.New}, policy).Findings {
		e, ok := elements[elementPath.FindString(f.Path)]
		if !ok || f.Severity != validate.Deny || !isAboutAccess(f) {
			continue
		}
		username, groups := e.access()
		if !slices.ContainsFunc(old.elements, func(was element) bool {
			wasUsername, wasGroups := was.access()
			return strings.EqualFold(was.arn, e.arn) && wasUsername == username && subset(groups, wasGroups)
		}) {
			k.fail(checkNewFaults, f.Rule+" of an access", "no old element gave this access, and the verdict is %s%s", verdict.Action, findings(verdict))
			return
		}
	}
}

// checkNewlyFaultyElements checks that the guard denies a change that makes an element faulty. The element is new, or it did not have the fault
// in the old version. A fault that moves from one element to another is new, although the number of faults stays the same.
func (k *Checker) checkNewlyFaultyElements(change validate.Change, policy validate.Policy, verdict validate.Verdict, old, now *version) {
	if verdict.Action == validate.ActionDeny || change.Old == nil || change.New == nil || hasReplacementCharacter(change.Old) {
		return // the guard does not know the faults of a section with U+FFFD
	}
	policy.Protected = nil
	was, is := rulesOfElements(change.Old, old, policy), rulesOfElements(change.New, now, policy)
	corrected := false // a faulty element may have another ARN now
	for arn, before := range was {
		corrected = corrected || len(before.rules) > 0 && is[arn].count < before.count
	}
	for arn, after := range is {
		before := was[arn]
		if len(after.rules) == 0 || after.count > 1 || before.count > 1 {
			continue
		}
		if before.count == 0 && (corrected || names(change.Old, arn)) { // the authenticator may not have read the element
			continue
		}
		if before.count > 0 && k.hasUnreadText(change.Old) { // the guard may have found no faults of the old elements
			continue
		}
		for _, rule := range after.rules {
			if !slices.Contains(before.rules, rule) {
				k.Stats.add("changes with a newly faulty element")
				k.fail(checkNewFaults, rule+" of an element", "%s had the faults %q, has %q, and the verdict is %s%s", arn, before.rules, after.rules, verdict.Action, findings(verdict))
				return
			}
		}
	}
}

// names reports whether an object's data contain an ARN. It ignores case, white space and escapes, as the guard does when it searches for an
// element in text that the authenticator did not read. It also returns true for any text in base64, because that may be the ARN.
func names(o *awsauth.Object, arn string) bool {
	for _, text := range o.Data {
		if strings.Contains(text, "!!binary") || strings.Contains(strings.ToLower(awsauth.Squeeze(unescape(text))), awsauth.Squeeze(arn)) {
			return true
		}
	}
	return false
}

// escaped matches the escapes of quoted YAML texts that give the number of a character.
var escaped = regexp.MustCompile(`\\(x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8})`)

func unescape(text string) string {
	return escaped.ReplaceAllStringFunc(text, func(s string) string {
		n, err := strconv.ParseInt(s[2:], 16, 32)
		if err != nil {
			return s
		}
		return string(rune(n))
	})
}

// elementRules are the rules that deny elements with one ARN.
type elementRules struct {
	count int // elements with this ARN
	rules []string
}

// rulesOfElements returns the elementRules of each ARN in mapRoles and mapUsers. The keys are ARNs in lower case. It leaves out accessRules.
func rulesOfElements(object *awsauth.Object, v *version, policy validate.Policy) map[string]elementRules {
	byPath, elements := make(map[string]string), make(map[string]elementRules)
	for _, e := range v.elements {
		if arn := strings.ToLower(e.arn); arn != "" {
			byPath[e.path()] = arn
			elements[arn] = elementRules{count: elements[arn].count + 1}
		}
	}
	for _, f := range validate.Evaluate(validate.Change{New: object}, policy).Findings {
		arn := byPath[elementPath.FindString(f.Path)]
		if e := elements[arn]; f.Severity == validate.Deny && arn != "" && !slices.Contains(accessRules, f.Rule) && !slices.Contains(e.rules, f.Rule) {
			e.rules = append(e.rules, f.Rule)
			elements[arn] = e
		}
	}
	return elements
}

// accessRules are the rules about the access that an element gives. A finding about access is pre-existing if an element of the old version
// gave the same principal the same username and at least the same groups.
var accessRules = []string{"node-shape", "reserved-username"}

// isAboutAccess reports whether a finding of accessRules is about access that the element gives. The other findings of node-shape say that the
// nodes of an element can't work. Such a finding is pre-existing for an edited element, too, even if the authenticator dropped the old element.
func isAboutAccess(f validate.Finding) bool {
	return f.Rule == "reserved-username" ||
		f.Rule == "node-shape" && (strings.Contains(f.Message, "would have the admin group") || strings.Contains(f.Message, "is for EC2 instances"))
}

// hasUnreadText reports whether an object may have text that the authenticator does not read: a section from which it loads nothing, text
// after the end of a section, or a section under another key.
func (k *Checker) hasUnreadText(o *awsauth.Object) bool {
	unread := []string{"yaml-syntax", "not-a-list", "trailing-content", "misspelt-data-key", "unknown-data-key"}
	return slices.ContainsFunc(validate.Evaluate(validate.Change{New: o}, validate.Policy{}).Rules(), func(rule string) bool { return slices.Contains(unread, rule) })
}

// checkHarmless checks that the guard does not deny a change that takes no access away and adds no fault. The caller makes sure, with
// access.covers, that the change takes no access away. locked reports whether the change causes a lockout all the same. This is possible,
// because covers accepts random answers. The statistics call a change that takes no access away a superset.
func (k *Checker) checkHarmless(change validate.Change, policy validate.Policy, verdict validate.Verdict, locked bool, old, now *version) {
	k.Stats.add("superset changes")
	if change.New == nil || locked { // with a random answer, the requester may be locked out
		k.Stats.add("superset without object, or random")
		return
	}
	if verdict.Action != validate.ActionDeny {
		k.Stats.add("changes harmless")
		k.Stats.add("superset let through")
		return
	}
	if hasReplacementCharacter(change.New) || change.Old != nil && hasReplacementCharacter(change.Old) {
		k.Stats.add("superset with a replacement character")
		return
	}
	k.Stats.add("superset refused")
	if pastLimit(change.Old) || pastLimit(change.New) { // the guard does not evaluate the text
		k.Stats.add("superset past a limit")
		return
	}
	policy.Protected = nil
	if k.grants {
		k.Stats.add("superset that grants the bypass group")
		return
	}
	fresh := faults(change.New, now, policy)
	if change.Old != nil {
		for fault, n := range faults(change.Old, old, policy) {
			fresh[fault] -= n
		}
	}
	for _, n := range fresh {
		if n > 0 {
			k.Stats.add("superset with a new fault refused")
			return
		}
	}
	k.fail(checkHarmless, strings.Join(verdict.Denied(), ","), "no access is lost and no fault is new%s", findings(verdict))
}

// mayPassLimit reports whether the texts may be past a limit: more than 16 directives, aliases that could expand to a large
// document, or very many elements and keys. Comments don't count. It ignores the limit on ARNs that differ only in case, because
// no generated text has so many.
func mayPassLimit(data map[string]string) bool {
	directives, tokens, aliases := 0, 0, false
	for _, text := range data {
		for line := range strings.Lines(text) {
			line = strings.TrimSpace(line)
			switch {
			case strings.HasPrefix(line, "#") && utf8.ValidString(text) && !strings.ContainsAny(line, `"'`): // otherwise the line may be part of a quoted text
			case strings.HasPrefix(line, "%"):
				directives++
			default:
				tokens += strings.Count(line, ",") + strings.Count(line, ":") + strings.Count(line, "-") + strings.Count(line, "[") + strings.Count(line, "{")
			}
		}
		aliases = aliases || len(text) > 1<<12 && strings.Contains(text, "&") && strings.Contains(text, "*")
	}
	return directives > 16 || tokens > 60_000 || aliases
}

// pastLimit reports whether the guard does not decode a section because the section is past a limit.
func pastLimit(o *awsauth.Object) bool {
	if o == nil {
		return false
	}
	m := o.Load()
	return mayPassLimit(o.Data) && slices.ContainsFunc(awsauth.Sections(), func(s awsauth.Section) bool { return m.Unknown(s) != nil })
}

// faults counts the denied findings in one version, by rule, element and field. Elements with the same JSON count as one element. For
// accessRules, elements with the same ARN, username and groups count as one. faults leaves out bypass-grant, because grantsBypass computes
// the grants from the authenticator's answers.
func faults(object *awsauth.Object, v *version, policy validate.Policy) map[string]int {
	elements := make(map[string]element)
	for _, e := range slices.Concat(v.elements, v.accounts) {
		elements[e.path()] = e
	}
	count := make(map[string]int)
	for _, f := range validate.Evaluate(validate.Change{New: object}, policy).Findings {
		if f.Severity != validate.Deny || f.Rule == "bypass-grant" {
			continue
		}
		fault := f.Rule + " " + f.Path
		if path := elementPath.FindString(f.Path); path != "" {
			e := elements[path]
			raw := string(e.raw)
			if slices.Contains(accessRules, f.Rule) {
				username, groups := e.access()
				slices.Sort(groups)
				raw = fmt.Sprintf("%s %q %q", strings.ToLower(e.arn), username, slices.Compact(groups))
			}
			fault = f.Rule + " " + e.section + " " + raw + " " + indexes.ReplaceAllString(f.Path[len(path):], "")
		}
		count[fault]++
	}
	return count
}

var indexes = regexp.MustCompile(`\[\d+\]`)
