package election

import (
	"context"
	"time"

	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// throttledLock is a Lease lock whose holder renews it at most once in the period every. client-go has only one setting for
// how often the holder renews the Lease and how often the other candidates read it, but the reads must be more frequent.
type throttledLock struct {
	resourcelock.Interface

	every time.Duration
	now   func() time.Time

	written time.Time // time of the holder's last successful write; zero after a failure or another write
	record  resourcelock.LeaderElectionRecord
}

// Update writes the Lease. It skips the write if it would change nothing but the renewal time, and the last write is more
// recent than every.
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
