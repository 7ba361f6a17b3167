package servingcert

import (
	"slices"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/kube"
)

// freeWrites of an object may follow each other at once. A rotation needs one or two a minute.
const freeWrites = 4

// pace keeps a fight over an object from becoming a load on the API server.
type pace struct {
	writes []time.Time // of the last minute
	fight  kube.Throttle
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
