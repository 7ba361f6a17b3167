package election

import (
	"context"
	"time"

	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// throttledLock is a Lease lock that its holder writes at most once in a period. client-go uses one period for the renewals of
// the holder and for the reads of the other candidates, and the reads must be more frequent.
type throttledLock struct {
	resourcelock.Interface

	every time.Duration
	now   func() time.Time

	written time.Time // time of the holder's last successful write; zero after a failure or another write
	record  resourcelock.LeaderElectionRecord
}

// Update skips a renewal that follows soon after another one.
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
