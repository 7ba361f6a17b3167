package monitor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/kube"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// The states of an access entry, compared with its principal in IAM.
const (
	entryOK      = "ok"
	entryStale   = "stale"   // the principal was deleted and created again, so the access entry matches no caller
	entryMissing = "missing" // IAM has no principal with this ARN
	entryUnknown = "unknown" // the guard could not find out which of the other states applies
)

// maxNamed limits the number of principals that an Event names.
const maxNamed = 5

var errNoPrincipal = errors.New("the access entry has no ARN of a role or user")

// reportEntryLosses compares the baselines before and after a read of the access entries. For each kind of loss it increments a metric
// and writes an Event.
func (m *Monitor) reportEntryLosses(before, after *baseline) {
	const source = " from their changed access entries or aws-auth"
	report := func(kind, message string) {
		m.o.Recorder.AccessEntryLost(kind)
		m.o.Events.Warn(kube.AccessEntryLost, message)
	}
	if before.losesProtected(after) {
		report("protected-principal", lacking(len(after.missing))+source)
	}
	if before.admins > 0 && after.admins == 0 {
		report("last-admin", "no principal gets an admin group"+source)
	}
	var lost []string
	for key, arn := range before.nodeRoles {
		if after.nodeRoles[key] == "" {
			lost = append(lost, arn)
		}
	}
	slices.Sort(lost) // map iteration order is random
	if len(lost) > 0 {
		report("node-role", counted(len(lost), "node role does", "node roles do")+" not get the access of nodes any more"+source+": "+named(lost))
	}
}

// lookUpEntries compares the access entries with IAM. It returns the states of the stale and missing access entries, by the ARN of the
// principal. It writes one Event for all access entries that became stale or missing since the last call. before is the result of that
// call. If this process is no longer the leader, lookUpEntries returns before and writes no Event.
func (r *round) lookUpEntries(ctx context.Context, entries []access.AccessEntry, before map[string]string) map[string]string {
	counts, broken, unasked := make(map[string]int), make(map[string]string), 0
	var news []string
	for i := range entries {
		e := &entries[i]
		state, facts, err := r.stateOf(ctx, e)
		if !r.stillLeads(ctx) {
			return before // the next leader starts again
		}
		counts[state]++
		switch {
		case state == entryMissing:
			r.log.Warn("an access entry names a principal that does not exist in IAM", "principal", e.PrincipalARN)
		case state == entryStale:
			r.log.Warn("an access entry matches no caller: its principal was deleted and created again with the same name",
				"principal", e.PrincipalARN, "entry_created", e.Created, "principal_created", facts.Created)
		case errors.Is(err, errTooMany):
			unasked++
		case err != nil && !errors.Is(err, context.Canceled):
			r.log.Info("cannot determine whether an access entry matches its principal", "principal", e.PrincipalARN, "err", err.Error())
		}
		if state == entryMissing || state == entryStale {
			broken[e.PrincipalARN] = state
			if before[e.PrincipalARN] != state {
				news = append(news, e.PrincipalARN+" ("+state+")")
			}
		}
	}
	if unasked > 0 {
		r.log.Warn("cannot compare all access entries with IAM", "unknown", unasked, "err", errTooMany.Error())
	}
	r.o.Recorder.AccessEntryStates(counts)
	if len(news) > 0 {
		r.o.Events.Warn(kube.AccessEntryStale, counted(len(news), "access entry matches no principal in IAM: ", "access entries match no principal in IAM: ")+named(news))
	}
	return broken
}

// stateOf returns the state of an access entry, and what IAM knows about its principal. If the state is entryUnknown, the error is the
// reason; otherwise it is nil.
func (r *round) stateOf(ctx context.Context, e *access.AccessEntry) (state string, facts access.IAMFacts, err error) {
	arn, err := awsauth.ParseARN(e.PrincipalARN)
	if err != nil || arn.Service != "iam" {
		return entryUnknown, facts, errNoPrincipal
	}
	a := r.lookUp(ctx, arn)
	switch {
	case a.existence == validate.Missing:
		return entryMissing, a.facts, nil
	case a.existence != validate.Exists:
		return entryUnknown, a.facts, a.err
	}
	switch e.Freshness(a.facts) {
	case access.Stale:
		return entryStale, a.facts, nil
	case access.Fresh:
		return entryOK, a.facts, nil
	case access.FreshnessUnknown:
	}
	return entryUnknown, a.facts, access.ErrNoCreationTime
}

// named returns at most maxNamed of the names in one line. The end of the line says how many names are missing.
func named(names []string) string {
	if more := len(names) - maxNamed; more > 0 {
		return strings.Join(names[:maxNamed], ", ") + fmt.Sprintf(" and %d more", more)
	}
	return strings.Join(names, ", ")
}
