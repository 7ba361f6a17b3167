package kube

import "time"

const (
	// repeatAfter is when the same text is logged again: a log may be lost in the months of a certificate.
	repeatAfter = time.Hour
	// changeAfter is the least time between two different texts: errors often hold an address that differs every time.
	changeAfter = time.Minute
)

// Throttle decides whether a condition that lasts is logged now. The zero Throttle has logged nothing.
type Throttle struct {
	text string // empty: there is nothing wrong
	at   time.Time
}

// Failed reports whether an error is to be logged now, and remembers that it is. Nil ends the condition and is never logged.
func (t *Throttle) Failed(now time.Time, err error) bool {
	if err == nil {
		t.text = ""
		return false
	}
	wait := changeAfter
	if err.Error() == t.text {
		wait = repeatAfter
	}
	if !t.at.IsZero() && now.Sub(t.at) < wait {
		return false
	}
	t.text, t.at = err.Error(), now
	return true
}

// Failing reports whether the condition of the last call of Failed lasts and was logged.
func (t *Throttle) Failing() bool { return t.text != "" }

const (
	firstPause = 500 * time.Millisecond
	maxPause   = 15 * time.Second
)

// Backoff is the pause after each of several failures in a row: it doubles from half a second to 15 seconds.
type Backoff struct{ last time.Duration }

// Next returns the pause after one more failure.
func (b *Backoff) Next() time.Duration {
	b.last = min(max(2*b.last, firstPause), maxPause)
	return b.last
}

// Reset begins anew after a success.
func (b *Backoff) Reset() { b.last = 0 }
