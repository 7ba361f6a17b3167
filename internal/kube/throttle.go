package kube

import "time"

const (
	// repeatAfter is how long after a text the same text is logged again: a condition can last for months, and old logs may be
	// deleted meanwhile.
	repeatAfter = time.Hour
	// changeAfter is the minimum time between two different texts. Many errors contain an address that differs every time.
	changeAfter = time.Minute
)

// Throttle limits how often a condition that lasts, such as an unreachable server, is logged. The zero Throttle is ready to use.
type Throttle struct {
	text string // empty: the condition has ended
	at   time.Time
}

// ShouldLog reports whether the caller must log err now. It counts an error for which it returns true as logged. A nil error
// means that the condition has ended, and ShouldLog returns false.
func (t *Throttle) ShouldLog(now time.Time, err error) bool {
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

const (
	firstBackoff = 500 * time.Millisecond
	maxBackoff   = 15 * time.Second
)

// Backoff computes the pause after each of several failures in a row. The pause doubles from 0.5 s to 15 s.
type Backoff struct{ last time.Duration }

// Next returns the pause after one more failure.
func (b *Backoff) Next() time.Duration {
	b.last = min(max(2*b.last, firstBackoff), maxBackoff)
	return b.last
}

// Reset makes the next pause the shortest one again. Call it after a success.
func (b *Backoff) Reset() { b.last = 0 }
