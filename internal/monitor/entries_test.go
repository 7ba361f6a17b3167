package monitor_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/kube"
	"github.com/awsauth-guard/awsauth-guard/internal/monitor"
)

var entryStates = []string{"ok", "stale", "missing", "unknown"}

// entryOf returns an access entry for the role with this name. created is the time at which the access entry was created.
func entryOf(name string, created time.Time) access.AccessEntry {
	return access.AccessEntry{PrincipalARN: iamPrefix + "role/team/" + name, Type: "STANDARD", Created: created}
}

// states returns the number of access entries in each state: ok, stale, missing and unknown. The number is -1 if the
// metric has no series.
func (r *replica) states() (list []float64) {
	for _, state := range entryStates {
		list = append(list, r.value("entry "+state))
	}
	return list
}

// The leader compares the access entries with IAM every hour. One Event names the access entries that match no
// principal any more. No later Event names them again.
func TestAccessEntriesAreComparedWithIAM(t *testing.T) {
	t.Parallel()
	run(t, roles(admin+node), func(w *world) {
		created := time.Now().Add(-time.Hour)
		cluster := func(entries ...access.AccessEntry) *access.Cluster {
			return &access.Cluster{Mode: access.ModeAPIAndConfigMap, AccessEntries: entries}
		}
		r := w.start(func(r *replica, _ *monitor.Options) {
			r.principals, r.settings.Enabled = true, false
			r.ids = map[string]string{"Admin": "AROA1", "Node": "AROA2", "Same": "AROA3", "Again": "AROA4", "Gone": "", "Dateless": "AROA5"}
			r.created = map[string]time.Time{"Admin": created.Add(-time.Second), "Same": created, "Again": created.Add(time.Second)}
		})
		after(time.Minute)
		want(t, "before the access entries are read", r.states(), []float64{-1, -1, -1, -1})
		want(t, "calls for the stored principals", len(r.calls()), 2)
		r.change(func() {
			r.policy.Cluster = cluster(entryOf("Admin", created), entryOf("Same", created), entryOf("Again", created), entryOf("Gone", created),
				entryOf("Denied", created), entryOf("Dateless", created), access.AccessEntry{PrincipalARN: "x"})
		})
		after(time.Minute)
		want(t, "after they are read", r.states(), []float64{2, 1, 1, 3})
		r.spaced(t)
		want(t, "Events", r.event(kube.AccessEntryStale, "2 access entries match no principal in IAM: "+iamPrefix+"role/team/Again (stale), "+iamPrefix+"role/team/Gone (missing)"), 1)
		for _, line := range []string{
			`msg="an access entry matches no caller: its principal was deleted and created again with the same name" principal=` + iamPrefix + "role/team/Again",
			`msg="an access entry names a principal that does not exist in IAM" principal=` + iamPrefix + "role/team/Gone",
			`msg="cannot determine whether an access entry matches its principal" principal=` + iamPrefix + "role/team/Denied",
		} {
			if !strings.Contains(r.logged.String(), line) {
				t.Errorf("no %s in the log:\n%s", line, &r.logged)
			}
		}
		after(2 * time.Hour)
		want(t, "Events two hours later", r.event(kube.AccessEntryStale, ""), 1)
		r.change(func() { r.created["Same"] = created.Add(time.Hour) })
		after(2 * time.Hour)
		want(t, "one more", r.states(), []float64{1, 2, 1, 3})
		want(t, "its Event", r.event(kube.AccessEntryStale, "1 access entry matches no principal in IAM: "+iamPrefix+"role/team/Same (stale)"), 1)
		r.change(func() {
			r.policy.Cluster = cluster(entryOf("Admin", created), entryOf("Again", created.Add(3*time.Hour)))
		})
		after(2 * time.Hour)
		want(t, "created again", r.states(), []float64{2, 0, 0, 0})
		r.change(func() { r.policy.Cluster = nil })
		after(time.Minute)
		want(t, "unknown access entries", r.states(), []float64{-1, -1, -1, -1})
		r.change(func() { r.policy.Cluster = cluster(entryOf("Again", created)) })
		after(time.Minute)
		want(t, "known again", r.states(), []float64{0, 1, 0, 0})
		second := w.start(func(*replica, *monitor.Options) {})
		second.lead()
		after(time.Minute)
		want(t, "of a replica that doesn't lead", r.states(), []float64{-1, -1, -1, -1})
		want(t, "with IAM off", second.states(), []float64{-1, -1, -1, -1})
	})
}

// Every hour the leader compares principals with IAM. In such a round it looks up a principal once, even if both aws-auth and an
// access entry name the principal. It looks up a limited number of principals.
func TestLookupsOfAccessEntriesAreLimited(t *testing.T) {
	t.Parallel()
	run(t, roles(admin+node), func(w *world) {
		created := time.Now()
		r := w.start(func(r *replica, _ *monitor.Options) {
			r.principals, r.settings.Enabled = true, false
			r.ids, r.created = map[string]string{"Admin": "AROA1", "Node": "AROA2"}, map[string]time.Time{"Admin": created.Add(-time.Hour)}
			entries := []access.AccessEntry{entryOf("Admin", created)}
			for i := range 2000 {
				name := fmt.Sprintf("role-%04d", i)
				entries = append(entries, entryOf(name, created))
				r.ids[name], r.created[name] = "AROA", created.Add(-time.Hour)
			}
			r.policy.Cluster = &access.Cluster{Mode: access.ModeAPI, AccessEntries: entries}
		})
		after(50 * time.Minute)
		want(t, "calls", len(r.calls()), 1800)
		r.spaced(t)
		want(t, "states", r.states(), []float64{1 + 1798, 0, 0, 202})
		want(t, "log lines about the limit", strings.Count(r.logged.String(), "cannot compare all access entries with IAM"), 1)
		want(t, "log lines about unknown ones", strings.Count(r.logged.String(), "cannot determine"), 0)
	})
}

// An Event reports a node role that loses the access of nodes: its access entry was deleted or is no longer for nodes, and
// aws-auth has no entry for it. A node role in aws-auth loses this access by an access entry of type STANDARD, and in mode API.
func TestNodeRoleLostByAnAccessEntryIsReported(t *testing.T) {
	t.Parallel()
	run(t, roles(admin+node), func(w *world) {
		entry := func(name, kind string) access.AccessEntry {
			return access.AccessEntry{PrincipalARN: iamPrefix + "role/team/" + name, Type: kind}
		}
		r := w.start(func(r *replica, _ *monitor.Options) {
			r.settings.Enabled = false
			r.policy.Cluster = &access.Cluster{Mode: access.ModeAPIAndConfigMap, AccessEntries: []access.AccessEntry{entry("Fargate", "FARGATE_LINUX"), entry("Auto", "EC2")}}
		})
		read := func(mode access.Mode, entries ...access.AccessEntry) []int {
			r.change(func() { r.policy.Cluster = &access.Cluster{Mode: mode, AccessEntries: entries} })
			r.AccessEntriesRead()
			after(time.Second)
			return []int{int(r.value("nodes")), r.count("lost node-role"), r.event(kube.AccessEntryLost, "get the access of nodes any more")}
		}
		const both = access.ModeAPIAndConfigMap
		want(t, "node roles of both sources", r.value("nodes"), 3)
		want(t, "one is in both sources", read(both, entry("Fargate", "FARGATE_LINUX"), entry("Auto", "EC2"), entry("Node", "EC2_LINUX")), []int{3, 0, 0})
		want(t, "the one is only in aws-auth again", read(both, entry("Fargate", "FARGATE_LINUX"), entry("Auto", "EC2")), []int{3, 0, 0})
		want(t, "two are gone", read(both), []int{1, 1, 1})
		want(t, "their Event", r.event(kube.AccessEntryLost, "2 node roles do not get the access of nodes any more from their changed access entries or aws-auth: "+iamPrefix+"role/team/Auto, "+iamPrefix+"role/team/Fargate"), 1)
		want(t, "still gone", read(both), []int{1, 1, 1})
		want(t, "an access entry for people takes over", read(both, entry("Node", "STANDARD")), []int{0, 2, 2})
		want(t, "without it", read(both), []int{1, 2, 2})
		want(t, "aws-auth has no effect any more", read(access.ModeAPI, entry("Other", "EC2")), []int{1, 3, 3})
	})
}
