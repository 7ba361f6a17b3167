package awsauth_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/validate/rulecase"
)

// caseObjects returns the objects in the rules' cases, before and after each change.
func caseObjects(tb testing.TB) [][2]*awsauth.Object {
	tb.Helper()
	var all [][2]*awsauth.Object
	for _, pattern := range []string{"rules/*/*.txtar", "verdict/*.txtar"} {
		cases, err := rulecase.Glob("../validate/testdata/" + pattern)
		if err != nil {
			tb.Fatal(err)
		}
		for _, c := range cases {
			all = append(all, [2]*awsauth.Object{c.Change.Old, c.Change.New})
		}
	}
	return all
}

// texts returns the texts of the sections of an object. For nil they are empty.
func texts(o *awsauth.Object) (roles, users, accounts string) {
	if o == nil {
		return "", "", ""
	}
	return o.Data["mapRoles"], o.Data["mapUsers"], o.Data["mapAccounts"]
}

// FuzzLoad checks that all functions that load an object return the same map, and that its answers are consistent.
func FuzzLoad(f *testing.F) {
	for _, objects := range caseObjects(f) {
		for _, o := range objects {
			if o != nil {
				roles, users, accounts := texts(o)
				f.Add(roles, users, accounts)
			}
		}
	}
	f.Fuzz(func(t *testing.T, roles, users, accounts string) {
		o := object(roles, users, accounts)
		m, d := o.Load(), o.Parse()
		before, after := new(awsauth.Cache).ParseChange(object(roles, users, accounts), o)
		for name, other := range map[string]*awsauth.Map{"parsed": d.Map, "before": before, "after": after.Map} {
			if diff := cmp.Diff(m, other, cmpopts.IgnoreUnexported(awsauth.Map{}, awsauth.Entry{}), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("loaded and %s (-loaded +%s):\n%s", name, name, diff)
			}
			if changes := awsauth.DiffAccess(m, other); len(changes) > 0 {
				t.Errorf("loaded and %s differ in access: %+v", name, changes)
			}
		}
		if len(d.Roles) != len(m.Roles) || len(d.Users) != len(m.Users) || len(d.Accounts) > len(m.Accounts) {
			t.Errorf("%d roles, %d users and %d accounts have places, of %d, %d and %d", len(d.Roles), len(d.Users), len(d.Accounts), len(m.Roles), len(m.Users), len(m.Accounts))
		}
		checkPlaces(t, o, d)
		checkPrincipals(t, m)
	})
}

// checkPlaces checks that every key is in a line of its text, and that the path of each element is that of its entry. The
// unread part must be a part of the text. A section must have a fault if and only if the authenticator loads nothing from
// it. A Disagreement may replace the fault.
func checkPlaces(t *testing.T, o *awsauth.Object, d *awsauth.Document) {
	t.Helper()
	for m := range d.Mappings() {
		for _, field := range slices.Concat(m.Keys(), m.OtherKeys()) {
			if at := field.At(); at.Line < 0 || at.Line > strings.Count(o.Data[string(m.Entry.Section)], "\n")+1 {
				t.Errorf("%+v is not in a line of its text", at)
			}
		}
		if at := m.At().Path; at != m.Entry.Path() {
			t.Errorf("%s is placed at %s", m.Entry.Path(), at)
		}
	}
	for _, text := range d.Texts {
		if !strings.Contains(o.Data[string(text.Section)], text.Unread()) {
			t.Errorf("%s: the unread part %q is not in the text", text.Section, text.Unread())
		}
		lost, faulty := d.Map.LoadError(text.Section) != nil, text.Syntax != nil || text.NotAList != nil || text.TooExpensive != nil
		if faulty && !lost || lost && !faulty && text.Disagreement == nil {
			t.Errorf("%s: the section has a load error: %t, and a fault: %t", text.Section, lost, faulty)
		}
	}
}

// checkPrincipals checks that every principal resolves to its own entries, and that the authenticator keeps these
// entries.
func checkPrincipals(t *testing.T, m *awsauth.Map) {
	t.Helper()
	for _, p := range m.Principals() {
		if len(p.Matches) == 0 {
			t.Fatalf("%s has no entry", p.ARN)
		}
		for _, e := range p.Matches {
			if e.Dropped != "" || e.Shadowed() {
				t.Errorf("%s is let in by %s, which is dropped or shadowed", p.ARN, e.Path())
			}
		}
		arn, err := p.Matches[0].Principal()
		if err != nil {
			t.Errorf("%s is let in: %v", p.ARN, err)
		}
		first, second := m.Resolve(arn.String()), m.Resolve(arn.String())
		if !first.Mapped || !slices.Equal(first.Matches, p.Matches) {
			t.Errorf("%s resolves to %+v, not to %+v", arn, first, p.Matches)
		}
		if diff := cmp.Diff(first, second, cmpopts.IgnoreUnexported(awsauth.Entry{})); diff != "" {
			t.Errorf("%s has two different answers (-first +second):\n%s", arn, diff)
		}
	}
}

// FuzzDiffAccess checks that a comparison and its reverse name the same principals, and that New and Gone are right.
func FuzzDiffAccess(f *testing.F) {
	for _, objects := range caseObjects(f) {
		r1, u1, a1 := texts(objects[0])
		r2, u2, a2 := texts(objects[1])
		f.Add(r1, u1, a1, r2, u2, a2)
	}
	f.Fuzz(func(t *testing.T, r1, u1, a1, r2, u2, a2 string) {
		before, after := object(r1, u1, a1).Load(), object(r2, u2, a2).Load()
		changes, reverse := awsauth.DiffAccess(before, after), awsauth.DiffAccess(after, before)
		keys := func(changes []awsauth.AccessChange) []string {
			var list []string
			for _, c := range changes {
				list = append(list, awsauth.PrincipalKey(c.ARN))
			}
			slices.Sort(list)
			return list
		}
		if diff := cmp.Diff(keys(changes), keys(reverse)); diff != "" {
			t.Errorf("principals of the comparison and of its reverse (-comparison +reverse):\n%s", diff)
		}
		for _, c := range changes {
			if len(c.Before)+len(c.After) == 0 {
				if c.New == c.Gone {
					t.Errorf("the account %s is new and gone, or neither", c.ARN)
				}
				continue
			}
			if c.New != (len(before.MatchesOf(c.ARN)) == 0) || c.Gone != (len(after.MatchesOf(c.ARN)) == 0) {
				t.Errorf("%+v: New or Gone is wrong", c)
			}
		}
	})
}
