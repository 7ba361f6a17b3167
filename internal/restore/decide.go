package restore

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

const (
	// settle is how long the stored version must stand: a person or a tool that repairs it does so in this time.
	settle = 3 * time.Second
	// maxSettle bounds the wait while aws-auth is written again and again, so that writes can't hold a restore back.
	maxSettle = 8 * time.Second
	// limitedTo is the time in which a number of versions may be restored.
	limitedTo = time.Hour
	// maxAge is how long after a loss a version may be restored: long enough for the next attempt where the limit
	// was reached, and no longer. What has stood for longer may be meant by now.
	maxAge = limitedTo + 15*time.Minute
	// retryAfter is the time between two attempts to write the same version, after the API server refused one.
	retryAfter = time.Minute
	// clockSkew is how far the clocks of two replicas may differ.
	clockSkew = 5 * time.Second
)

// Settings are what the operator has configured.
type Settings struct {
	Enabled    bool
	MaxPerHour int
}

// Loss is a stored version in which something is lost, and how it came about.
type Loss struct {
	// Good is the last good version: the one that would be restored.
	Good *corev1.ConfigMap
	// Stored is nil where aws-auth was deleted. Version is its resourceVersion.
	Stored  *corev1.ConfigMap
	Version string
	Manager string
	// Since is when the first version after Good was observed, and Changed when Stored was.
	Since, Changed time.Time
	// Enforced reports whether a restore was enabled in mode enforce when the loss was observed.
	Enforced bool
}

// Situation is all that decides about a restore.
type Situation struct {
	Now      time.Time
	Settings Settings
	Policy   validate.Policy
	Leader   bool
	Loss     *Loss // nil: nothing is lost
	// Restores are the times of earlier restores.
	Restores []time.Time
	// Attempted is when this process tried last to replace Loss.Stored, and AttemptDone that the API server stored it.
	Attempted   time.Time
	AttemptDone bool
}

// Action is what is to be done.
type Action int

// The actions. Wait decides again after Decision.After; Decline does nothing and says why.
const (
	Nothing Action = iota
	Wait
	Decline
	Restore
)

// Decision is an action and its reason.
type Decision struct {
	Action  Action
	After   time.Duration // of Wait
	Reason  string        // of Decline
	Limited bool          // of Decline: the limit per hour is the reason
	Lost    []string      // of Restore: the rules that refuse what is stored
}

// Decide says whether the last good version is restored.
func Decide(s Situation) Decision {
	l := s.Loss
	switch {
	case l == nil || !s.Leader || !s.Settings.Enabled || s.Policy.Mode == validate.WarnMode || !l.Enforced:
		return Decision{}
	case s.AttemptDone || s.Now.Sub(l.Since) > maxAge:
		return Decision{}
	}
	c := Compare(l.Good, l.Stored, l.Manager, s.Policy, s.Now) // by the policy of now
	switch {
	case len(c.Lost) == 0:
		return Decision{}
	case c.Intended != "":
		return Decision{Action: Decline, Reason: c.Intended}
	}
	due := l.Changed.Add(settle)
	if latest := l.Since.Add(maxSettle); latest.Before(due) {
		due = latest
	}
	if again := s.Attempted.Add(retryAfter); !s.Attempted.IsZero() && again.After(due) {
		due = again
	}
	if wait := due.Sub(s.Now); wait > 0 {
		return Decision{Action: Wait, After: wait}
	}
	if n := recent(s.Restores, s.Now); n >= s.Settings.MaxPerHour {
		return Decision{Action: Decline, Limited: true, Reason: fmt.Sprintf("%d versions were restored within the hour, which is the limit", n)}
	}
	return Decision{Action: Restore, Lost: c.Lost}
}

// recent counts the restores of the last hour.
func recent(restores []time.Time, now time.Time) (n int) {
	for _, at := range restores {
		if age := now.Sub(at); age < limitedTo && age > -clockSkew {
			n++
		}
	}
	return n
}

// NotReady says why a loss would not be restored now; empty means that it would.
func NotReady(s Situation, observed bool) string {
	switch {
	case !s.Settings.Enabled:
		return "restore.enabled is false"
	case s.Policy.Mode == validate.WarnMode:
		return "restore needs mode enforce, and the mode is warn"
	case !s.Leader:
		return "another replica is the leader"
	case !observed:
		return "aws-auth has not been observed yet"
	case recent(s.Restores, s.Now) >= s.Settings.MaxPerHour:
		return fmt.Sprintf("the limit of %d restores an hour is reached", s.Settings.MaxPerHour)
	}
	return ""
}

// describe names what is lost, for people.
func describe(rules []string) string { return strings.Join(rules, ", ") }
