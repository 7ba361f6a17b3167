package election

import (
	"context"
	"time"

	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// rarely is a Lease that its holder writes less often than it looks after its term: client-go knows one
// period for both, and for those who wait to hold it.
type rarely struct {
	resourcelock.Interface

	every time.Duration
	now   func() time.Time

	written time.Time // zero where the last write failed, or was not by the holder
	record  resourcelock.LeaderElectionRecord
}

// Update leaves out a renewal soon after another one.
func (l *rarely) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
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
