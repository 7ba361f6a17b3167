package awsauth_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// TestParseChange: both versions are what they are when each is read alone.
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
			m, d := awsauth.ParseChange(versions[0], versions[1])
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

func TestPanicReachesWhoeverWaits(t *testing.T) {
	wait := awsauth.Concurrently(func() int { panic("broken") })
	defer func() {
		if got := recover(); got != "broken" {
			t.Errorf("recovered %v", got)
		}
	}()
	wait()
}
