package monitor

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/awsauth-guard/awsauth-guard/internal/kube"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// errFault is a panic. Its own text may hold a part of aws-auth, and is never logged.
var errFault = errors.New("the guard failed; its log has the stack")

// survive runs a work on the stored object, and returns an error where it panics. Every replica sees the same object,
// so that a fault would end all of them.
func (m *Monitor) survive(name string, work func() error) (err error) {
	defer func() {
		if recover() == nil {
			return
		}
		err = errFault
		m.o.Recorder.Panicked(validate.InternalError)
		m.faultsMu.Lock()
		defer m.faultsMu.Unlock()
		throttle := m.faults[name]
		if throttle == nil {
			throttle = new(kube.Throttle)
			m.faults[name] = throttle
		}
		if throttle.ShouldLog(m.o.Now(), err) {
			m.log.Error("cannot evaluate the stored aws-auth", "work", name, "stack", string(debug.Stack()))
		}
	}()
	return work()
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
