package election

import (
	"context"
	"time"

	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// throttledLock is a Lease lock that the leader renews at most once in the period every. client-go has one setting,
// RetryPeriod, for two things: how often the leader renews the Lease, and how often the other candidates read it. The
// candidates must read it more often than the leader has to renew it.
type throttledLock struct {
	resourcelock.Interface

	every time.Duration
	now   func() time.Time

	written time.Time                         // when this process last wrote the Lease; zero if the last write failed
	record  resourcelock.LeaderElectionRecord // the record of that write
}

// Update writes the Lease. Within the period every after the last write, it skips a write that would change only the
// renewal time.
func (l *throttledLock) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	now, renewal := l.now(), record
	renewal.RenewTime = l.record.RenewTime
	if record.HolderIdentity == l.Identity() && renewal == l.record && now.Sub(l.written) < l.every {
		return nil
	}
	l.written = time.Time{}
	if err := l.Interface.Update(ctx, record); err != nil {
		return err
	}
	l.written, l.record = now, record
	return nil
}
