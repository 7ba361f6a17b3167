package validate

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDecide(t *testing.T) {
	deny, warn := Finding{Rule: "last-admin", Severity: Deny}, Finding{Rule: "admin-grant", Severity: Warn}
	type result struct {
		Action     Action
		WouldDeny  []string
		BrokeGlass bool
		Severities []Severity
	}
	denied := result{Action: ActionDeny, Severities: []Severity{Deny, Warn}}
	admitted := result{Action: ActionWarn, WouldDeny: []string{"last-admin"}, Severities: []Severity{Warn, Warn}}
	overruled := result{Action: ActionWarn, BrokeGlass: true, Severities: []Severity{Warn, Warn}}
	for _, test := range []struct {
		name     string
		c        circumstances
		findings []Finding
		override bool
		want     result
	}{
		{"nothing found", circumstances{}, nil, false, result{Action: ActionAllow}},
		{"nothing found, and a node role's removal acknowledged", circumstances{}, nil, true, result{Action: ActionWarn}},
		{"warning alone", circumstances{}, []Finding{warn}, false, result{Action: ActionWarn, Severities: []Severity{Warn}}},
		{"denial", circumstances{}, []Finding{warn, deny}, false, denied},
		{"denial, in spite of an acknowledged removal", circumstances{}, []Finding{warn, deny}, true, denied},
		{"denial in mode enforce", circumstances{mode: Enforce}, []Finding{warn, deny}, false, denied},
		{"mode warn", circumstances{mode: WarnMode}, []Finding{warn, deny}, false, admitted},
		{"EKS", circumstances{eks: true}, []Finding{warn, deny}, false, admitted},
		{"observing path, as of the bypass group", circumstances{observed: true}, []Finding{warn, deny}, false, admitted},
		{"restore by the guard", circumstances{restore: true}, []Finding{warn, deny}, false, admitted},
		{"break-glass", circumstances{breakGlass: "incident"}, []Finding{warn, deny}, false, overruled},
		{"break-glass without a finding", circumstances{breakGlass: "incident"}, nil, false, result{Action: ActionWarn, BrokeGlass: true}},
		{"break-glass in mode warn", circumstances{breakGlass: "incident", mode: WarnMode}, []Finding{warn, deny}, false, overruled},
		{"exempt without a denial", circumstances{eks: true}, []Finding{warn}, false, result{Action: ActionWarn, Severities: []Severity{Warn}}},
	} {
		findings := append([]Finding(nil), test.findings...)
		d := decide(test.c, findings, test.override)
		got := result{d.action, d.wouldDeny, d.brokeGlass, nil}
		for _, f := range findings {
			got.Severities = append(got.Severities, f.Severity)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func TestGuardAsksIAMUnlessTheChangeIsExempt(t *testing.T) {
	for _, test := range []struct {
		c    circumstances
		mode Severity
		want bool
	}{
		{circumstances{}, "", false},
		{circumstances{}, Off, false},
		{circumstances{}, Warn, true},
		{circumstances{}, Deny, true},
		{circumstances{mode: WarnMode}, Deny, true},
		{circumstances{breakGlass: "incident"}, Deny, true},
		{circumstances{eks: true}, Deny, false},
		{circumstances{observed: true}, Deny, false},
		{circumstances{restore: true}, Deny, false},
	} {
		if got := test.c.asksIAM(test.mode); got != test.want {
			t.Errorf("%+v in mode %q: the guard asks IAM: %t, want %t", test.c, test.mode, got, test.want)
		}
	}
}
