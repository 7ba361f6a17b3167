package kube

import "time"

const (
	// repeatAfter is the minimum time before the log repeats the same text. The log repeats a text at all, because a
	// condition can last for months, and old logs may be deleted.
	repeatAfter = time.Hour
	// changeAfter is the minimum time before the log has another text. Many errors contain an address that differs every time.
	changeAfter = time.Minute
)

// Throttle limits how often a condition that lasts, such as an unreachable server, is logged. The zero Throttle is ready to
// use.
type Throttle struct {
	text string    // the last logged text; empty if the condition has ended
	at   time.Time // when the last text was logged
}

// ShouldLog reports whether the caller must log err now. If it returns true, it counts err as logged. A nil error means that
// the condition has ended. For a nil error ShouldLog returns false.
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

// Backoff computes the pauses between attempts. The first pause is 0.5 s. The pause doubles with each failure, up to 15 s.
type Backoff struct{ last time.Duration }

// Next returns the pause after one more failure.
func (b *Backoff) Next() time.Duration {
	b.last = min(max(2*b.last, firstBackoff), maxBackoff)
	return b.last
}

// Reset makes the next pause 0.5 s again. The caller calls it after a success.
func (b *Backoff) Reset() { b.last = 0 }
