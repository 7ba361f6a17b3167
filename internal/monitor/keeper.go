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
	// maxQueued bounds the versions that wait for a leader: fewer than a log remembers to have seen, so that none
	// of them is appended twice.
	maxQueued = 200
	// maxQueuedContent bounds their contents together, in bytes.
	maxQueuedContent = 4 << 20
	// queuedFor is how long a version waits, longer than it takes to elect another leader.
	queuedFor = 10 * time.Minute
	// writeEvery is the least time between two writes, in which versions are collected.
	writeEvery = 250 * time.Millisecond
	// leaderEvery is how often the lead is looked at: losing it is not announced.
	leaderEvery = 10 * time.Second
	// keeperTimeout bounds one write.
	keeperTimeout = 10 * time.Second
)

// Store is the log of versions; a [history.Store].
type Store interface {
	Read(ctx context.Context) (*history.Log, error)
	Change(ctx context.Context, change func(*history.Log) error) (*history.Log, error)
}

// KeeperRecorder counts. Its methods are called concurrently.
type KeeperRecorder interface {
	Leads(is bool)
	HistoryFailed()
}

// KeeperOptions are what [NewKeeper] needs.
type KeeperOptions struct {
	Store    Store
	Election Election
	Recorder KeeperRecorder
	Logger   *slog.Logger
	Now      func() time.Time
}

// Keeper appends the versions that this process observes to the log while it is the leader. Until then it keeps them,
// so that the next leader lacks none.
type Keeper struct {
	o    KeeperOptions
	wake chan struct{}

	mu    sync.Mutex
	added int
	queue []queued // oldest first

	// Used by Run alone.
	leads   bool
	failing kube.Throttle
	damaged kube.Throttle
	backoff kube.Backoff
}

// queued is a version that the log may not have yet.
type queued struct {
	history.Version

	number int // counts the versions that were added
	at     time.Time
}

// NewKeeper returns a Keeper, which writes nothing before it runs.
func NewKeeper(o KeeperOptions) *Keeper {
	k := &Keeper{o: o, wake: make(chan struct{}, 1)}
	o.Election.OnWon(k.poke)
	return k
}

func (k *Keeper) poke() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// Add takes in the next version that was observed. It doesn't block.
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
	k.poke()
}

// Run writes until the context ends.
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
		if k.failing.ShouldLog(k.o.Now(), err) {
			k.o.Logger.Error("cannot write the history of aws-auth", "err", err.Error())
		}
		wake := k.wake
		if err != nil {
			wake = nil // no version makes it sooner
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

// write appends what is queued.
func (k *Keeper) write(ctx context.Context) error {
	leads := k.o.Election.IsLeader()
	k.o.Recorder.Leads(leads)
	if leads && !k.leads {
		k.o.Logger.Info("this replica keeps the history of aws-auth")
	}
	k.leads = leads
	if !leads {
		return nil
	}
	select { // collects versions that come close together
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
	if err := errors.Join(asErrors(damaged)...); k.damaged.ShouldLog(k.o.Now(), err) {
		k.o.Logger.Warn("cannot read a part of the history of aws-auth", "err", err.Error())
	}
	return nil
}

func asErrors(list []*history.EntryError) (errs []error) {
	for _, e := range list {
		errs = append(errs, e)
	}
	return errs
}

// known reports whether a log needs no version of its own for one that was found when the watch began: it has the
// content already, under another resourceVersion because annotations have changed since.
func known(v *history.Version, log *history.Log) bool {
	newest, ok := log.Newest()
	switch {
	case !ok:
		return v.Deleted // a history doesn't begin with nothing
	case v.Origin != history.Found:
		return false
	case newest.Hash == v.Hash && newest.Deleted == v.Deleted:
		return true
	case !older(v.ResourceVersion, newest.ResourceVersion):
		return false
	}
	return slices.ContainsFunc(log.Versions(), func(other history.Version) bool { return other.Hash == v.Hash })
}

// older compares resource versions, which are numbers (kubernetes KEP-5504, "Comparable Resource Version").
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
