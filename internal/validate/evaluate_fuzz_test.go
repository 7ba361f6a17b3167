package validate_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
	"github.com/awsauth-guard/awsauth-guard/internal/validate/rulecase"
)

// unrelated is an entry for a principal that no test case names.
const unrelated = "- userarn: arn:aws:iam::555566667777:user/unrelated\n  username: unrelated\n  groups: [readers]\n"

// FuzzEvaluate evaluates any change. No rule may panic. The verdict must be the same every time and fit its findings. A
// change that leaves the data as it is must be allowed.
func FuzzEvaluate(f *testing.F) {
	for _, pattern := range []string{"testdata/rules/*/*.txtar", "testdata/verdict/*.txtar"} {
		cases, err := rulecase.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, c := range cases {
			old, now := dataOf(c.Change.Old), dataOf(c.Change.New)
			f.Add(old["mapRoles"], old["mapUsers"], now["mapRoles"], now["mapUsers"], now["mapAccounts"], c.Change.Requester.ARN())
		}
	}
	f.Fuzz(func(t *testing.T, oldRoles, oldUsers, newRoles, newUsers, accounts, requester string) {
		old := &awsauth.Object{Data: map[string]string{"mapRoles": oldRoles, "mapUsers": oldUsers, "mapAccounts": accounts}}
		now := &awsauth.Object{Data: map[string]string{"mapRoles": newRoles, "mapUsers": newUsers, "mapAccounts": accounts}}
		who := validate.Requester{Username: "admin", Groups: []string{"system:masters"}, Extra: map[string][]string{"canonicalArn": {requester}}}
		policy := validate.Policy{Protected: []access.Protected{{ARN: requester, Groups: []string{"system:masters"}}}}
		evaluate := func(c validate.Change, p validate.Policy) validate.Verdict {
			v := validate.Evaluate(c, p)
			checkVerdict(t, c, v)
			return v
		}
		update := validate.Change{Operation: validate.Update, Old: old, New: now, Requester: who}
		verdict := evaluate(update, policy)
		if diff := cmp.Diff(text(verdict), text(evaluate(update, policy))); diff != "" {
			t.Errorf("the same change, evaluated again (-first +second):\n%s", diff)
		}
		checkLenient(t, update, policy, verdict)
		evaluate(validate.Change{Operation: validate.Create, New: now, Requester: who}, policy)
		evaluate(validate.Change{Operation: validate.Delete, Old: now, Requester: who}, policy)
		checkHarmless(t, evaluate, update, policy)
	})
}

func dataOf(o *awsauth.Object) map[string]string {
	if o == nil {
		return nil
	}
	return o.Data
}

// checkVerdict checks that no rule panicked and that a verdict fits its findings. Each finding must have a message, a rule
// and a path. Denials must precede warnings.
func checkVerdict(t *testing.T, c validate.Change, v validate.Verdict) {
	t.Helper()
	if len(v.Failed) > 0 {
		t.Fatalf("%s failed: %v\n%s", v.Failed[0].Rule, v.Failed[0].Panic, v.Failed[0].Stack)
	}
	if refused := v.Action == validate.ActionDeny; refused != (len(v.Denied()) > 0) {
		t.Errorf("%s: %s with the denials %v", c.Operation, v.Action, v.Denied())
	}
	denials := true
	for _, f := range v.Findings {
		if f.Message == "" || f.Rule == "" || f.Path == "" {
			t.Errorf("%s: a finding lacks a message, a rule or a path: %+v", c.Operation, f)
		}
		if f.Severity == validate.Deny && !denials {
			t.Errorf("%s: a denial follows a warning: %+v", c.Operation, f)
		}
		denials = f.Severity == validate.Deny
	}
}

// checkLenient checks three promises. Mode warn admits the change, and reports the rules that would have refused it.
// EKS is never refused. A document rule refuses an update only if it also refuses the new document alone.
func checkLenient(t *testing.T, c validate.Change, policy validate.Policy, verdict validate.Verdict) {
	t.Helper()
	warn := policy
	warn.Mode = validate.WarnMode
	lenient := validate.Evaluate(c, warn)
	if diff := cmp.Diff(verdict.Denied(), lenient.WouldDeny); diff != "" || lenient.Action == validate.ActionDeny {
		t.Errorf("mode warn: %s (-denied +would deny):\n%s", lenient.Action, diff)
	}
	c.Requester = validate.Requester{Username: "eks:node-manager"}
	if v := validate.Evaluate(c, policy); v.Action == validate.ActionDeny {
		t.Errorf("EKS is refused: %v", v.Denied())
	}
	alone := validate.Evaluate(validate.Change{New: c.New}, policy).Denied()
	for _, id := range verdict.Denied() {
		at := slices.IndexFunc(validate.Rules(), func(r *validate.Rule) bool { return r.ID == id })
		if validate.Rules()[at].Scope == validate.OfDocument && !slices.Contains(alone, id) {
			t.Errorf("the change is refused by %s, and the document alone by %v", id, alone)
		}
	}
}

// checkHarmless checks two changes of an object that may have faults already. A change of an annotation alone must be
// allowed without a warning. A change that adds an unrelated entry must not be refused.
func checkHarmless(t *testing.T, evaluate func(validate.Change, validate.Policy) validate.Verdict, c validate.Change, policy validate.Policy) {
	t.Helper()
	for _, o := range []*awsauth.Object{c.Old, c.New} {
		c.Old, c.New = o, &awsauth.Object{Data: maps.Clone(o.Data), Annotations: map[string]string{"a": "b"}}
		if v := evaluate(c, policy); v.Action != validate.ActionAllow {
			t.Errorf("an unchanged object: %s\n%s", v.Action, text(v))
		}
		if strings.TrimSpace(o.Data["mapUsers"]) != "" || strings.Contains(o.Data["mapRoles"], "unrelated") {
			continue
		}
		if strings.Contains(o.Data["mapRoles"]+o.Data["mapAccounts"], awsauth.ReplacementCharacter) {
			continue // the rule replacement-character refuses such a section even if its fault is pre-existing
		}
		c.New = &awsauth.Object{Data: maps.Clone(o.Data)}
		c.New.Data["mapUsers"] = unrelated
		if v := evaluate(c, policy); v.Action == validate.ActionDeny {
			t.Errorf("an unrelated entry is added: %s\n%s", v.Action, text(v))
		}
	}
}
