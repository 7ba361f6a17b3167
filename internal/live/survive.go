package live

import (
	"errors"
	"runtime/debug"
	"sync"

	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// errFault is a panic. What it says may hold a part of aws-auth, and is said nowhere.
var errFault = errors.New("a fault of the guard, which is logged with its stack")

// faults are those that were logged last, by the name of the work.
type faults struct {
	mu   sync.Mutex
	told map[string]*told
}

// survive does a work on what is stored. Every replica sees the same, so that a fault in it would end them all.
func (l *Live) survive(name string, work func() error) (err error) {
	defer func() {
		if recover() == nil {
			return
		}
		err = errFault
		l.o.Recorder.Panicked(validate.InternalError)
		l.faults.mu.Lock()
		defer l.faults.mu.Unlock()
		last := l.faults.told[name]
		if last == nil {
			last = new(told)
			l.faults.told[name] = last
		}
		if last.tell(l.now(), err) {
			l.log.Error("the guard has failed at what is stored", "work", name, "stack", string(debug.Stack()))
		}
	}()
	return work()
}
