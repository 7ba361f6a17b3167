package restore_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/internal/restore"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// Decide restores only if every condition holds. The loss was observed at the epoch, four seconds ago unless a case changes the time.
func TestDecideNeedsEveryCondition(t *testing.T) {
	t.Parallel()
	at := epoch.Add
	restored := restore.Decision{Action: restore.Restore, Lost: []string{"node-role-removed"}}
	wait := func(d time.Duration) restore.Decision { return restore.Decision{Action: restore.Wait, After: d} }
	limited := restore.Decision{Action: restore.Decline, Limited: true, Reason: "3 versions were restored within the last hour, which is the limit"}
	for name, tt := range map[string]struct {
		change func(*restore.Input)
		want   restore.Decision
	}{
		"all holds":        {func(*restore.Input) {}, restored},
		"nothing is lost":  {func(s *restore.Input) { s.Loss = nil }, restore.Decision{}},
		"not the leader":   {func(s *restore.Input) { s.Leader = false }, restore.Decision{}},
		"off":              {func(s *restore.Input) { s.Settings.Enabled = false }, restore.Decision{}},
		"mode warn":        {func(s *restore.Input) { s.Policy.Mode = validate.WarnMode }, restore.Decision{}},
		"mode warn before": {func(s *restore.Input) { s.Loss.Enforced = false }, restore.Decision{}},
		"the rule is off by now": {func(s *restore.Input) {
			s.Policy.Rules = map[string]validate.Severity{"node-role-removed": validate.Off}
		}, restore.Decision{}},
		"an access entry by now":               {func(s *restore.Input) { s.Policy.AccessEntries = []string{nodeARN} }, restore.Decision{}},
		"the access entries are not known yet": {func(s *restore.Input) { s.Policy.ClusterUnknown = "not read yet" }, wait(116 * time.Second)},
		"the access entries stay unknown": {func(s *restore.Input) {
			s.Policy.ClusterUnknown, s.Now = "access denied", at(2*time.Minute)
		}, restored},
		"EKS": {func(s *restore.Input) { s.Loss.Manager = "eks" }, restore.Decision{
			Action: restore.Decline, Reason: "EKS wrote it, with the field manager eks",
		}},
		"just now":                  {func(s *restore.Input) { s.Now = at(0) }, wait(3 * time.Second)},
		"a moment too early":        {func(s *restore.Input) { s.Now = at(2999 * time.Millisecond) }, wait(time.Millisecond)},
		"written again just now":    {func(s *restore.Input) { s.Loss.Changed = s.Now }, wait(3 * time.Second)},
		"written again and again":   {func(s *restore.Input) { s.Now = at(7 * time.Second); s.Loss.Changed = s.Now }, wait(time.Second)},
		"written for eight seconds": {func(s *restore.Input) { s.Now = at(8 * time.Second); s.Loss.Changed = s.Now }, restored},
		"three within the hour": {func(s *restore.Input) {
			s.Restores = []time.Time{at(-time.Minute), at(-2 * time.Minute), at(-59 * time.Minute)}
		}, limited},
		"two, and one before": {func(s *restore.Input) {
			s.Restores = []time.Time{at(-time.Minute), at(-2 * time.Minute), at(-time.Hour)}
		}, restored},
		"times of the future": {func(s *restore.Input) {
			s.Restores = []time.Time{at(time.Hour), at(2 * time.Hour), at(3 * time.Hour)}
		}, restored},
		"by a clock that goes before": {func(s *restore.Input) {
			s.Restores = []time.Time{at(6 * time.Second), at(7 * time.Second), at(8 * time.Second)}
		}, limited},
		"stored already":       {func(s *restore.Input) { s.AttemptDone = true }, restore.Decision{}},
		"refused a moment ago": {func(s *restore.Input) { s.Attempted = s.Now }, wait(time.Minute)},
		"refused a minute ago": {func(s *restore.Input) { s.Attempted, s.Now = at(0), at(time.Minute) }, restored},
		"an hour old":          {func(s *restore.Input) { s.Now = at(75 * time.Minute) }, restored},
		"older":                {func(s *restore.Input) { s.Now = at(75*time.Minute + 1) }, restore.Decision{}},
		"deleted": {func(s *restore.Input) { s.Loss.Stored = nil }, restore.Decision{
			Action: restore.Restore, Lost: []string{"deleted", "last-admin", "node-role-removed", "protected-principal"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := restore.Input{
				Now: at(4 * time.Second), Settings: restore.Settings{Enabled: true, MaxPerHour: 3}, Policy: policy(), Leader: true,
				Loss: &restore.Loss{Good: object(admin + node), Stored: object(admin), Version: "8", Manager: "kubectl-edit", Since: epoch, Changed: epoch, Enforced: true},
			}
			tt.change(&s)
			if diff := cmp.Diff(tt.want, restore.Decide(s)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// NotReady returns "" if the guard would restore after a loss, and otherwise the reason.
func TestNotReadyNamesReason(t *testing.T) {
	t.Parallel()
	ready := restore.Input{Now: epoch, Settings: restore.Settings{Enabled: true, MaxPerHour: 1}, Policy: policy(), Leader: true}
	for want, change := range map[string]func(*restore.Input){
		"":                         func(*restore.Input) {},
		"restore.enabled is false": func(s *restore.Input) { s.Settings.Enabled = false },
		"a restore needs mode enforce, but the mode is warn": func(s *restore.Input) { s.Policy.Mode = validate.WarnMode },
		"another replica is the leader":                      func(s *restore.Input) { s.Leader = false },
		"the limit of 1 restores an hour is reached":         func(s *restore.Input) { s.Restores = []time.Time{epoch} },
	} {
		s := ready
		change(&s)
		if got := restore.NotReady(s, true); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := restore.NotReady(ready, false); got != "aws-auth has not been observed yet" {
		t.Errorf("%q", got)
	}
}
