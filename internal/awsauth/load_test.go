package awsauth_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// TestParseChange checks that both versions of a change decode to the same values as each version alone.
func TestParseChange(t *testing.T) {
	role := func(name string) string {
		return `[{rolearn: "` + account + `role/` + name + `", username: ` + name + `}]`
	}
	before := object(role("old"), role("same"), "[x, \"111122223333\"]")
	for name, after := range map[string]*awsauth.Object{
		"one section changed": object(role("new"), role("same"), "[x, \"111122223333\"]"),
		"all changed":         object(role("a"), role("b"), "[]"),
		"emptied":             object("", "''", "~"),
		"the same":            before,
		"deleted":             nil,
	} {
		for _, versions := range [][2]*awsauth.Object{{before, after}, {after, before}} {
			m, d := new(awsauth.Cache).ParseChange(versions[0], versions[1])
			for _, pair := range [][2]*awsauth.Map{{m, versions[0].Load()}, {d.Map, versions[1].Load()}} {
				got, want := pair[0], pair[1]
				if diff := cmp.Diff(describe(want), describe(got)); diff != "" {
					t.Errorf("%s (-alone +together):\n%s", name, diff)
				}
			}
		}
	}
}

func describe(m *awsauth.Map) []string {
	list := append([]string{}, m.AllowedAccounts()...)
	for _, p := range m.Principals() {
		list = append(list, p.ARN+" "+p.Matches[0].Username+" "+p.Matches[0].Path())
	}
	return list
}

// TestCacheAnswersAsIfItWereEmpty checks that a cache with earlier versions returns the same maps as an empty cache.
func TestCacheAnswersAsIfItWereEmpty(t *testing.T) {
	var cache awsauth.Cache
	version := func(i int) *awsauth.Object {
		return object(fmt.Sprintf(`[{rolearn: "%srole/r%d", username: r, groups: [b, a, b]}]`, account, i%13), fmt.Sprintf(`[{userarn: "%suser/u%d", username: u}]`, account, i%3), "")
	}
	var running sync.WaitGroup
	for range 4 { // requests share a cache
		running.Go(func() {
			for i := range 200 {
				before, after := cache.ParseChange(version(i), version(i+1))
				oldAlone, newAlone := new(awsauth.Cache).ParseChange(version(i), version(i+1))
				if diff := cmp.Diff(describe(oldAlone), describe(before)); diff != "" {
					t.Errorf("old version %d (-alone +cached):\n%s", i, diff)
				}
				if diff := cmp.Diff(describe(newAlone.Map), describe(after.Map)); diff != "" {
					t.Errorf("new version %d (-alone +cached):\n%s", i+1, diff)
				}
				if changes := awsauth.DiffAccess(before, after.Map); i%13 == 12 && len(changes) == 0 {
					t.Errorf("version %d: no principal changes", i)
				}
			}
		})
	}
	running.Wait()
}

// TestAccountsUpToTheFirstInvalidElement checks the elements of mapAccounts if yaml.v2 can't decode one of them. The
// authenticator keeps the elements before the invalid element, and reads it and the elements after it as empty texts
// (configmap.go, ParseMap). It keeps no element of a text that does not parse.
func TestAccountsUpToTheFirstInvalidElement(t *testing.T) {
	for _, test := range []struct {
		about, text           string
		kept, placed, ignored []string
		stops                 string // the path of the invalid element
		lost                  bool
	}{
		{
			about: "a text with the tag of an integer", text: "- \"111122223333\"\n- !!int x\n- \"444455556666\"\n",
			kept: []string{"111122223333", "", ""}, placed: []string{"111122223333"}, stops: "data.mapAccounts[1]",
		},
		{
			about: "a broken binary first", text: "- !!binary x\n- \"444455556666\"\n",
			kept: []string{"", ""}, stops: "data.mapAccounts[0]",
		},
		{
			about: "elements that are left out before", text: "- {a: b}\n- \"111122223333\"\n- [c]\n- ~\n- !!float x\n- {d: e}\n",
			kept: []string{"111122223333", "", "", "", "", ""}, placed: []string{"111122223333", ""}, ignored: []string{"data.mapAccounts[0]", "data.mapAccounts[2]"}, stops: "data.mapAccounts[4]",
		},
		{
			about: "elements that are left out", text: "- \"111122223333\"\n- {a: b}\n- \"444455556666\"\n",
			kept: []string{"111122223333", "444455556666"}, placed: []string{"111122223333", "444455556666"}, ignored: []string{"data.mapAccounts[1]"},
		},
		{
			about: "by an alias", text: "- &a !!str 111122223333\n- *a\n- !!bool 1\n",
			kept: []string{"111122223333", "111122223333", ""}, placed: []string{"111122223333", "111122223333"}, stops: "data.mapAccounts[2]",
		},
		{about: "an unknown alias does not parse", text: "- \"111122223333\"\n- *a\n", lost: true},
		{about: "one value that fails", text: "!!int x\n", lost: true},
	} {
		d := object("", "", test.text).Parse()
		if diff := cmp.Diff(test.kept, d.Map.Accounts, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: kept (-want +got):\n%s", test.about, diff)
		}
		var placed, ignored []string
		for _, f := range d.Accounts {
			placed = append(placed, f.Value)
		}
		for _, f := range d.BadAccounts {
			ignored = append(ignored, f.At().Path)
		}
		if diff := cmp.Diff([][]string{test.placed, test.ignored}, [][]string{placed, ignored}); diff != "" {
			t.Errorf("%s: placed and ignored (-want +got):\n%s", test.about, diff)
		}
		stops := ""
		if f := d.Texts[0].Stop; f != nil {
			stops = f.Path
		}
		if lost := d.Map.LoadError(awsauth.MapAccounts) != nil; stops != test.stops || lost != test.lost || (d.Texts[0].Syntax != nil) != lost || d.Texts[0].Disagreement != nil {
			t.Errorf("%s: stops at %q, has a load error: %t, syntax is %v, disagreement is %v", test.about, stops, lost, d.Texts[0].Syntax, d.Texts[0].Disagreement)
		}
		if got := d.Map.Resolve("arn:aws:iam::111122223333:user/x").Mapped; got != slices.Contains(test.kept, "111122223333") {
			t.Errorf("%s: a user of the account is mapped: %t", test.about, got)
		}
	}
}
