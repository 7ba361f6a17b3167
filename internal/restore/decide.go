package restore

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

const (
	// settleTime is how long the stored version must be unchanged before a restore. In this time a person or a tool can repair
	// aws-auth first.
	settleTime = 3 * time.Second
	// maxSettleTime limits the wait while aws-auth keeps changing, so that writes can't prevent a restore.
	maxSettleTime = 8 * time.Second
	// entriesTime limits the wait while this process doesn't know the access entries. Without them, a change that
	// another replica rightly admitted can look like a loss: it removes an access from aws-auth that an access entry
	// also gives. A new process reads the access entries within seconds, and repeats a failed read after at most a
	// minute.
	entriesTime = 2 * time.Minute
	// limitWindow is the period in which the guard may restore Settings.MaxPerHour versions.
	limitWindow = time.Hour
	// maxAge is how long after a loss the guard may restore. After a longer time people may rely on the stored version. The limit
	// per hour can prevent a restore for an hour, and maxAge leaves time for an attempt after that.
	maxAge = limitWindow + 15*time.Minute
	// retryAfter is the minimum time between two attempts to replace the same version, if the first attempt failed.
	retryAfter = time.Minute
	// clockSkew is the maximum difference between the clocks of two replicas.
	clockSkew = 5 * time.Second
)

// Settings is the configuration of restores.
type Settings struct {
	Enabled    bool
	MaxPerHour int
}

// Loss is a stored version that lacks access of the last good version.
type Loss struct {
	// Good is the last good version. A restore writes the content of this version.
	Good *corev1.ConfigMap
	// Stored is the stored version. It is nil if aws-auth was deleted. Version is the resourceVersion of the last change, and
	// Manager its field manager.
	Stored  *corev1.ConfigMap
	Version string
	Manager string
	// Since is when the guard observed the first version with this loss. Changed is when it observed Stored.
	Since, Changed time.Time
	// Enforced reports whether restores were enabled, in mode enforce, when the guard observed the first version with this loss.
	Enforced bool
}

// Input is the input of [Decide].
type Input struct {
	Now      time.Time
	Settings Settings
	Policy   validate.Policy
	Leader   bool
	Loss     *Loss // nil if there is no loss
	// Restores are the times of earlier restores.
	Restores []time.Time
	// Attempted is when this process last tried to replace Loss.Stored. It is zero if there was no attempt. AttemptDone
	// reports whether this attempt succeeded.
	Attempted   time.Time
	AttemptDone bool
}

// Action is the result of a decision.
type Action int

// The actions.
const (
	Nothing Action = iota // there is nothing to restore, or this process may not restore
	Wait                  // the caller decides again after Decision.After
	Decline               // the caller doesn't restore, and reports Decision.Reason
	Restore               // the caller restores the last good version
)

// Decision is an action and its reason.
type Decision struct {
	Action  Action
	After   time.Duration // set for Wait: the time until the caller decides again
	Reason  string        // set for Decline: why the caller doesn't restore
	Limited bool          // set for Decline: the limit per hour is the reason
	Lost    []string      // set for Restore: the rules that refuse the stored version
}

// Decide decides whether this process restores the last good version now.
func Decide(s Input) Decision {
	l := s.Loss
	switch {
	case l == nil || !s.Leader || !s.Settings.Enabled || s.Policy.Mode == validate.WarnMode || !l.Enforced:
		return Decision{}
	case s.AttemptDone || s.Now.Sub(l.Since) > maxAge:
		return Decision{}
	}
	c := Compare(l.Good, l.Stored, l.Manager, s.Policy, s.Now) // with the present policy
	switch {
	case len(c.Lost) == 0:
		return Decision{}
	case c.Intended != "":
		return Decision{Action: Decline, Reason: c.Intended}
	}
	due := l.Changed.Add(settleTime)
	if latest := l.Since.Add(maxSettleTime); latest.Before(due) {
		due = latest
	}
	if nextAttempt := s.Attempted.Add(retryAfter); !s.Attempted.IsZero() && nextAttempt.After(due) {
		due = nextAttempt
	}
	if known := l.Since.Add(entriesTime); s.Policy.ClusterUnknown != "" && known.After(due) {
		due = known
	}
	if wait := due.Sub(s.Now); wait > 0 {
		return Decision{Action: Wait, After: wait}
	}
	if n := countRecent(s.Restores, s.Now); n >= s.Settings.MaxPerHour {
		return Decision{Action: Decline, Limited: true, Reason: fmt.Sprintf("%d versions were restored within the last hour, which is the limit", n)}
	}
	return Decision{Action: Restore, Lost: c.Lost}
}

// countRecent returns the number of restores within limitWindow before now.
func countRecent(restores []time.Time, now time.Time) (n int) {
	for _, at := range restores {
		if age := now.Sub(at); age < limitWindow && age > -clockSkew {
			n++
		}
	}
	return n
}

// NotReady returns the reason why this process would not restore after a loss now. It returns "" if the process would restore. observed
// reports whether the process has observed aws-auth.
func NotReady(s Input, observed bool) string {
	switch {
	case !s.Settings.Enabled:
		return "restore.enabled is false"
	case s.Policy.Mode == validate.WarnMode:
		return "a restore needs mode enforce, but the mode is warn"
	case !s.Leader:
		return "another replica is the leader"
	case !observed:
		return "aws-auth has not been observed yet"
	case countRecent(s.Restores, s.Now) >= s.Settings.MaxPerHour:
		return fmt.Sprintf("the limit of %d restores an hour is reached", s.Settings.MaxPerHour)
	}
	return ""
}

// joinRules returns the rules as a list for a message.
func joinRules(rules []string) string { return strings.Join(rules, ", ") }
