package integration_test

import (
	"testing"
	"time"
)

// The API server caches logins, so the login of a requester may come from an entry that a change has just replaced.
// Every replica knows this entry from its watch, and refuses a change that locks the requester out.
func TestCachedLoginDoesNotHideALockout(t *testing.T) {
	mine := entry("Me", "me", "system:masters")
	g := newGuarded(t, base().with("mapRoles", admin+node+mine), guardConfig, quick())
	replicas := g.run(t, 2)
	g.wantCalled(t)
	c := as(t, loggedIn("me", "system:masters"))
	renamed := base().with("mapRoles", admin+node+entry("Me", "you", "system:masters")+ci)
	wantAdmitted(t, c, update(t.Context(), c, renamed), "self-lockout")
	for _, r := range replicas {
		r.wantMetric(t, `awsauth_guard_live_entries{section="mapRoles"}`, 4, 10*time.Second)
	}
	wantRefused(t, update(t.Context(), c, base().with("mapRoles", admin+node)), "self-lockout")
	// Some requesters, such as the cluster's creator, don't log in by a version of aws-auth. They may remove the
	// entry.
	creator := as(t, loggedIn("creator", "system:masters"))
	wantAdmitted(t, creator, update(t.Context(), creator, base().with("mapRoles", admin+node)))
}
