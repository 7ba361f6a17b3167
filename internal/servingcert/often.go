package servingcert

import (
	"slices"
	"time"
)

// told is what was logged last. What lasts is said again every hour, because a certificate has
// months in which a log is lost; and something else at most once a minute, because the texts of
// errors hold addresses that are different every time.
type told struct {
	text string // empty when all is well again
	at   time.Time
}

// tell reports whether a text is to be logged now, and remembers that it is.
func (t *told) tell(now time.Time, text string) bool {
	wait := time.Minute
	if text == t.text {
		wait = time.Hour
	}
	if !t.at.IsZero() && now.Sub(t.at) < wait {
		return false
	}
	t.text, t.at = text, now
	return true
}

// failed is tell for an error; nil is that all is well.
func (t *told) failed(now time.Time, err error) bool {
	if err == nil {
		t.text = ""
		return false
	}
	return t.tell(now, err.Error())
}

// freeWrites of an object may follow each other at once. A rotation needs one or two a minute.
const freeWrites = 4

// pace keeps a fight over an object from becoming a load on the API server.
type pace struct {
	writes []time.Time // of the last minute
	fight  told
}

// wait is how long the next write should wait: there were many within a minute, and one just now.
func (p *pace) wait(now time.Time, resync time.Duration) time.Duration {
	p.writes = slices.DeleteFunc(p.writes, func(at time.Time) bool { return now.Sub(at) >= time.Minute })
	n := len(p.writes)
	if n < freeWrites {
		return 0
	}
	return max(0, resync-now.Sub(p.writes[n-1]))
}

func (p *pace) wrote(now time.Time) { p.writes = append(p.writes, now) }
