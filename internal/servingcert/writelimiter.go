package servingcert

import (
	"slices"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/kube"
)

// writeBurst is how many writes of one object within a minute are not delayed. A rotation needs one or two writes a minute.
const writeBurst = 4

// writeLimiter limits how often the leader writes one object. Without it, a client that undoes each write would make the leader
// write without a pause and load the API server.
type writeLimiter struct {
	writes   []time.Time   // the times of the writes in the last minute
	conflict kube.Throttle // throttles the log of the other client
}

// wait returns how long the next write must wait. The first writeBurst writes within a minute don't wait. A further write waits
// until one resync period after the previous write.
func (l *writeLimiter) wait(now time.Time, resync time.Duration) time.Duration {
	l.writes = slices.DeleteFunc(l.writes, func(at time.Time) bool { return now.Sub(at) >= time.Minute })
	n := len(l.writes)
	if n < writeBurst {
		return 0
	}
	return max(0, resync-now.Sub(l.writes[n-1]))
}

// record records a write at the time now.
func (l *writeLimiter) record(now time.Time) { l.writes = append(l.writes, now) }
