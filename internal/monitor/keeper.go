package monitor

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/history"
	"github.com/awsauth-guard/awsauth-guard/internal/kube"
)

const (
	// maxQueued limits the number of versions that wait until this process becomes the leader. The log remembers more versions
	// than this, so the keeper recognizes each queued version that another leader has appended.
	maxQueued = 200
	// maxQueuedContent limits the contents of all queued versions together, in bytes.
	maxQueuedContent = 4 << 20
	// queuedFor is how long a version waits. An election of another leader takes less time.
	queuedFor = 10 * time.Minute
	// writeEvery is the minimum time between two writes. Versions that arrive within this time are written together.
	writeEvery = 250 * time.Millisecond
	// leaderEvery is the period in which the keeper checks whether this process is the leader. The election reports the beginning
	// of a term but not its end.
	leaderEvery = 10 * time.Second
	// keeperTimeout limits one write.
	keeperTimeout = 10 * time.Second
)

// Store reads and writes the history. A [history.Store] implements it.
type Store interface {
	// Read returns the stored log of versions.
	Read(ctx context.Context) (*history.Log, error)
	// Change reads the log, applies change to it, writes the changed log, and returns it.
	Change(ctx context.Context, change func(*history.Log) error) (*history.Log, error)
}

// KeeperRecorder records metrics. It must allow concurrent calls.
type KeeperRecorder interface {
	// Leads records whether this process is the leader.
	Leads(is bool)
	// HistoryFailed counts a failed read or write of the history.
	HistoryFailed()
}

// KeeperOptions configures [NewKeeper]. All fields are required.
type KeeperOptions struct {
	Store    Store
	Election Election
	Recorder KeeperRecorder
	Logger   *slog.Logger
	Now      func() time.Time
}

// Keeper appends the observed versions to the history while this process is the leader. In another replica it queues them for some
// minutes. If this process then becomes the leader, it appends the queued versions that the previous leader has not appended.
type Keeper struct {
	o    KeeperOptions
	wake chan struct{}

	mu    sync.Mutex
	added int      // the number of versions that Add has queued
	queue []queued // sorted from the oldest to the newest

	// Only Run uses the fields below.
	leads        bool
	writeErrors  kube.Throttle
	damagedParts kube.Throttle
	backoff      kube.Backoff
}

// queued is a version that may not be in the log yet.
type queued struct {
	history.Version

	number int       // position among all versions that Add has queued, from 1
	at     time.Time // when Add queued the version
}

// NewKeeper returns a Keeper. It writes nothing until it runs.
func NewKeeper(o KeeperOptions) *Keeper {
	k := &Keeper{o: o, wake: make(chan struct{}, 1)}
	o.Election.OnWon(k.wakeUp)
	return k
}

func (k *Keeper) wakeUp() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// Add queues the next observed version. If the contents of the queue exceed maxQueuedContent, Add removes the contents of the
// oldest versions. Add doesn't block.
func (k *Keeper) Add(v history.Version) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.o.Now()
	k.added++
	k.queue = slices.DeleteFunc(append(k.queue, queued{v, k.added, now}), func(q queued) bool { return now.Sub(q.at) > queuedFor })
	k.queue = k.queue[max(0, len(k.queue)-maxQueued):]
	room := maxQueuedContent
	for i := range slices.Backward(k.queue) {
		q := &k.queue[i]
		room -= sizeOf(&q.Version)
		if room < 0 && i < len(k.queue)-1 && q.Restorable() {
			q.Data, q.BinaryData, q.Truncated = nil, nil, true
		}
	}
	k.wakeUp()
}

// Run writes queued versions to the history until the context ends. After an error it tries again, with increasing pauses.
func (k *Keeper) Run(ctx context.Context) error {
	for {
		pause := leaderEvery
		err := k.write(ctx)
		switch {
		case ctx.Err() != nil:
			err = nil
		case err != nil:
			k.o.Recorder.HistoryFailed()
			pause = k.backoff.Next()
		default:
			k.backoff.Reset()
		}
		if k.writeErrors.ShouldLog(k.o.Now(), err) {
			k.o.Logger.Error("cannot write the history of aws-auth", "err", err.Error())
		}
		wake := k.wake
		if err != nil {
			wake = nil // a new version must not shorten the backoff
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-wake:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
		timer.Stop()
	}
}

// write appends the queued versions to the history if this process is the leader. It removes the written versions from the queue.
func (k *Keeper) write(ctx context.Context) error {
	leads := k.o.Election.IsLeader()
	k.o.Recorder.Leads(leads)
	if leads && !k.leads {
		k.o.Logger.Info("this replica writes the history of aws-auth")
	}
	k.leads = leads
	if !leads {
		return nil
	}
	select { // wait, so that versions that follow each other quickly are written together
	case <-time.After(writeEvery):
	case <-ctx.Done():
		return nil
	}
	k.mu.Lock()
	list := slices.Clone(k.queue)
	k.mu.Unlock()
	if len(list) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, keeperTimeout)
	defer cancel()
	var damaged []*history.EntryError
	if _, err := k.o.Store.Change(ctx, func(log *history.Log) error {
		damaged = log.Damaged()
		for i := range list {
			if !known(&list[i].Version, log) {
				log.Append(list[i].Version)
			}
		}
		return nil
	}); err != nil {
		return err
	}
	k.mu.Lock()
	last := list[len(list)-1].number
	k.queue = slices.DeleteFunc(k.queue, func(q queued) bool { return q.number <= last })
	k.mu.Unlock()
	if err := errors.Join(toErrors(damaged)...); k.damagedParts.ShouldLog(k.o.Now(), err) {
		k.o.Logger.Warn("cannot read a part of the history of aws-auth", "err", err.Error())
	}
	return nil
}

func toErrors(list []*history.EntryError) (errs []error) {
	for _, e := range list {
		errs = append(errs, e)
	}
	return errs
}

// known reports whether the keeper must not append a version to the log. There are three cases:
//
//   - The log is empty, and the version is a deletion.
//   - The version was found when the watch began, and has the same content as the newest version in the log. Its
//     resourceVersion may differ, because a change of annotations causes a new resourceVersion.
//   - The version was found when the watch began, is older than the newest version in the log, and has the same content
//     as any version in the log.
func known(v *history.Version, log *history.Log) bool {
	newest, ok := log.Newest()
	switch {
	case !ok:
		return v.Deleted // a history doesn't begin with a deletion
	case v.Origin != history.Found:
		return false
	case newest.Hash == v.Hash && newest.Deleted == v.Deleted:
		return true
	case !older(v.ResourceVersion, newest.ResourceVersion):
		return false
	}
	return slices.ContainsFunc(log.Versions(), func(other history.Version) bool { return other.Hash == v.Hash })
}

// older reports whether the resourceVersion a is older than b. Both are numbers if they come from the API server
// (kubernetes KEP-5504, "Comparable Resource Version"). If a or b is not a number, older returns false.
func older(a, b string) bool {
	x, errX := strconv.ParseUint(a, 10, 64)
	y, errY := strconv.ParseUint(b, 10, 64)
	return errX == nil && errY == nil && x < y
}

func sizeOf(v *history.Version) (size int) {
	for key, value := range v.Data {
		size += len(key) + len(value)
	}
	for key, value := range v.BinaryData {
		size += len(key) + len(value)
	}
	return size
}
