package live

import "time"

// told is what was logged last. What lasts is said again every hour, and something else at most once a
// minute, because the texts of errors hold addresses that are different every time.
type told struct {
	text string // empty when all is well again
	at   time.Time
}

// tell reports whether an error is to be logged now, and remembers that it is; nil is that all is well.
func (t *told) tell(now time.Time, err error) bool {
	if err == nil {
		t.text = ""
		return false
	}
	wait := time.Minute
	if err.Error() == t.text {
		wait = time.Hour
	}
	if !t.at.IsZero() && now.Sub(t.at) < wait {
		return false
	}
	t.text, t.at = err.Error(), now
	return true
}

const (
	firstPause = 500 * time.Millisecond
	maxPause   = 15 * time.Second
)

// pause is how long is waited after each of several failures in a row.
type pause struct{ last time.Duration }

// next is the pause after one more failure.
func (p *pause) next() time.Duration {
	p.last = min(max(2*p.last, firstPause), maxPause)
	return p.last
}

func (p *pause) reset() { p.last = 0 }
