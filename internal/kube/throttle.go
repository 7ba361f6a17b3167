package kube

import "time"

const (
	// repeatAfter is when the same text is logged again. An old log may be lost while a condition lasts for months.
	repeatAfter = time.Hour
	// changeAfter is the minimum time between two different texts. Many errors contain an address that differs every time.
	changeAfter = time.Minute
)

// Throttle limits how often a lasting condition is logged. The zero Throttle has logged nothing.
type Throttle struct {
	text string // empty: the condition has ended
	at   time.Time
}

// ShouldLog reports whether an error is to be logged now. The caller must log it then. A nil error ends the condition and is
// never logged.
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

// Reset is called after a success. The next pause is the shortest again.
func (b *Backoff) Reset() { b.last = 0 }
