package oracle

import (
	"fmt"
	"maps"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
	"github.com/awsauth-guard/awsauth-guard/test/oracle/authenticator"
	"github.com/awsauth-guard/awsauth-guard/test/oracle/generate"
)

// Failure is a disagreement between the guard and the authenticator.
type Failure struct {
	// Check is the broken promise. Class distinguishes failures of one check.
	Check, Class string
	Detail       string
}

func (f Failure) kind() string { return f.Check + ": " + f.Class }

// The checks, and the promise that each of them tests.
const (
	checkResolve   = "resolve"    // Resolve gives the authenticator's answer
	checkNever     = "never"      // if a finding says that an entry never matches, the authenticator never returns the entry
	checkReplaced  = "replaced"   // if a warning says that one entry replaces another, the principal keeps the username and groups of the replaced entry
	checkClean     = "clean"      // the authenticator loads a document without findings completely
	checkStyle     = "style"      // the authenticator reads the generator's model from the generator's text
	checkFault     = "fault"      // a document without faults is not denied
	checkLockout   = "lockout"    // a change that locks a principal out is denied
	checkHarmless  = "harmless"   // a change that takes no access away and has no new fault is not denied
	checkNewFaults = "new faults" // a change with new faults is denied
	checkRequired  = "required"   // a change has the required finding
	checkSequence  = "sequence"   // in a sequence, the guard denies lockouts, admits EKS and break-glass of admins, and warns of added finalizers and owners
	checkBytes     = "bytes"      // a text is denied if bytes that are not UTF-8 give the stored text other mappings than the reviewed text
	checkManifest  = "manifest"   // the guard reads a manifest as the API server does
)

// Checker checks changes, one at a time. It serves one goroutine at a time.
type Checker struct {
	a        *authenticator.Authenticator
	forms    forms
	Stats    Stats
	failures []Failure
	cause    string // the result of causeOf for the change
	grants   bool   // the result of grantsBypass for the change
}

// NewChecker starts an authenticator for the checker. [Checker.Close] stops it.
func NewChecker() (*Checker, error) {
	a, err := authenticator.New()
	if err != nil {
		return nil, err
	}
	return &Checker{a: a, forms: make(forms), Stats: make(Stats)}, nil
}

// Close stops the authenticator.
func (k *Checker) Close() { k.a.Close() }

func (k *Checker) statistics() Stats { return k.Stats }

// Check returns the disagreements of the guard and the authenticator on a change. A panic is a disagreement, too.
func (k *Checker) Check(c *generate.Change) (failures []Failure) {
	k.failures, k.grants, k.cause = nil, false, causeOf(c)
	defer func() {
		if panicked := recover(); panicked != nil {
			k.fail("panic", fmt.Sprint(panicked), "%s", debug.Stack())
			failures = k.failures
		}
	}()
	for _, done := range c.Origin {
		k.Stats.add(done)
	}
	object, now := k.object(c), newVersion(c.New)
	if !validUTF8(c.New) || !validUTF8(c.Old) {
		k.Stats.add("changes with bytes that are not UTF-8")
	}
	if c.Old != nil || slices.Contains(c.Origin, "edit create") {
		k.checkChange(c, now, object)
	} else {
		k.a.Load(c.New)
	}
	if c.New != nil {
		k.checkDocument(c, now, object)
	}
	return k.failures
}

func (k *Checker) fail(check, class, format string, args ...any) {
	class += k.cause
	k.failures = append(k.failures, Failure{check, class, fmt.Sprintf(format, args...)})
}

// special matches names of breaks, edits and styles. The disagreements on a change that one of these made have a class of
// their own.
var special = regexp.MustCompile(`raw-|tail$|comment-with-signs|commas|account-|folded|instance-group|template-group|replacement|directive`)

// causeOf returns a suffix for the class of a change's disagreements. The suffix names the special break, edit or style of
// the change. For a change without such a part, it says that a protected principal only has to log in, or names the form of
// the extra fields. For any other change, it is empty.
func causeOf(c *generate.Change) string {
	for _, done := range c.Origin {
		what, name, _ := strings.Cut(done, " ")
		if found := special.FindString(name); found != "" && what != "form" {
			return ", with " + strings.Trim(found, "-")
		}
	}
	if slices.ContainsFunc(slices.Collect(maps.Values(c.Protected)), func(groups []string) bool { return slices.Equal(groups, []string{loggedIn}) }) {
		return ", protected to log in"
	}
	if c.Form != generate.FullExtra {
		return ", extra " + c.Form
	}
	return ""
}

// object returns the new version as the guard reads it: from a manifest or from the API server. It is nil for a
// deletion.
func (k *Checker) object(c *generate.Change) *awsauth.Object {
	if c.New == nil {
		return nil
	}
	live := &awsauth.Object{Data: replaceInvalidUTF8(c.New)}
	text, ok := c.ManifestText()
	if !ok || !validUTF8(c.New) {
		return live
	}
	k.Stats.add("shown " + c.Manifest)
	manifests, errs := awsauth.ParseManifests(text)
	if len(errs) > 0 || len(manifests) != 1 {
		k.fail(checkManifest, c.Manifest, "%d objects, %v", len(manifests), errs)
		return live
	}
	if got := manifests[0].Object; !got.SameContent(live) {
		k.fail(checkManifest, c.Manifest, "read as %q", got.Data)
		return live
	}
	return manifests[0].Object
}

// checkDocument checks the evaluation of the new version. The authenticator must have loaded this version.
func (k *Checker) checkDocument(c *generate.Change, now *version, object *awsauth.Object) {
	verdict := validate.Evaluate(validate.Change{New: object}, validate.Policy{})
	if !validUTF8(c.New) { // the guard's commands and its monitor read the stored bytes
		k.checkResolve(now, (&awsauth.Object{Data: c.New}).Load())
		k.checkBytes(now, object, verdict)
		return
	}
	k.checkResolve(now, object.Load())
	k.checkModel(c)
	k.checkFindings(now, verdict)
	if c.Model == nil {
		return
	}
	k.Stats.add("document faultless")
	if verdict.Action == validate.ActionDeny {
		k.fail(checkFault, strings.Join(verdict.Denied(), ","), "a document without faults is denied: %s", findings(verdict))
	}
}

// checkResolve compares the answers of the guard and of the authenticator to each caller. The callers are the ARNs in
// the text, the same ARNs in lower and in upper case, the callers that the ARNs may mean, and some callers that the
// text doesn't name.
func (k *Checker) checkResolve(v *version, m *awsauth.Map) {
	callers := append(k.forms.of(v.arns), "arn:aws:iam::999999999999:role/absent", "arn:aws:iam::111122223333:user/absent", "")
	for _, arn := range v.arns {
		callers = append(callers, arn, strings.ToLower(arn), strings.ToUpper(arn))
	}
	for _, caller := range callers {
		got, want := m.Resolve(caller), k.a.Possible(caller)
		k.Stats.add("callers asked")
		switch {
		case got.Unknown != "": // the guard does not decode the text; the rule too-expensive denies it
			k.Stats.add("callers unknown")
			if !mayPassLimit(v.data) {
				k.fail(checkResolve, "unknown", "%q: %s", caller, got.Unknown)
				return
			}
			continue
		case got.CanonicalARN != want[0].Canonical || got.Mapped != want[0].Mapped:
			k.fail(checkResolve, "mapped", "%q: %+v, the authenticator: %+v", caller, got, want)
			return
		case !got.Mapped:
			continue
		}
		k.Stats.add("callers answered")
		if len(want) > 1 {
			k.Stats.add("callers answered at random")
		}
		guard := answersOf(got)
		if len(guard) != len(want) || slices.ContainsFunc(want, func(a authenticator.Answer) bool { return !slices.ContainsFunc(guard, a.Equal) }) {
			k.fail(checkResolve, "answer", "%q: %+v, the authenticator: %+v", caller, guard, want)
			return
		}
		if ambiguous := slices.ContainsFunc(want, func(a authenticator.Answer) bool { return !sameAccess(a, want[0]) }); got.Ambiguous != ambiguous {
			k.fail(checkResolve, "ambiguous", "%q: ambiguous %t, the authenticator: %+v", caller, got.Ambiguous, want)
			return
		}
	}
}

// answersOf returns the answers that are possible according to the guard, without duplicates.
func answersOf(r awsauth.Resolution) []authenticator.Answer {
	if len(r.Matches) == 0 {
		return []authenticator.Answer{{Canonical: r.CanonicalARN, Mapped: true, Username: r.Username, Groups: r.Groups}}
	}
	var answers []authenticator.Answer
	for _, e := range r.Matches {
		a := authenticator.Answer{Canonical: r.CanonicalARN, Mapped: true, Username: e.Username, Groups: e.Groups}
		if !slices.ContainsFunc(answers, a.Equal) {
			answers = append(answers, a)
		}
	}
	return answers
}

func sameAccess(a, b authenticator.Answer) bool {
	return a.Username == b.Username && subset(a.Groups, b.Groups) && subset(b.Groups, a.Groups)
}

// checkModel compares the authenticator's answers with the entries of the generator's model. It doesn't check mapAccounts.
func (k *Checker) checkModel(c *generate.Change) {
	if c.Model == nil {
		return
	}
	for _, e := range slices.Concat(c.Model.Roles, c.Model.Users) {
		for _, caller := range callersOf(e.ARN) {
			if !strings.EqualFold(canonical(caller), e.ARN) {
				continue
			}
			if got := k.a.Resolve(caller); !got.Mapped || got.Username != e.Username || !slices.Equal(got.Groups, e.Groups) {
				k.fail(checkStyle, fmt.Sprint(c.Origin), "%q is %+v, and should be %+v", caller, got, e)
			}
		}
	}
}

// canonical returns the ARN of a session's role. It returns any other ARN unchanged.
func canonical(caller string) string {
	head, rest, ok := strings.Cut(caller, ":assumed-role/")
	if !ok {
		return caller
	}
	return strings.Replace(head, ":sts:", ":iam:", 1) + ":role/" + rest[:strings.LastIndexByte(rest, '/')]
}

func findings(v validate.Verdict) string {
	var b strings.Builder
	for _, f := range v.Findings {
		fmt.Fprintf(&b, "\n  %s: %s: %s [%s]", f.Path, f.Severity, f.Message, f.Rule)
	}
	return b.String()
}
