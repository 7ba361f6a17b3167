package monitor

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/awsauth-guard/awsauth-guard/internal/kube"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// errPanicked stands for a panic. The panic's own text may contain a part of aws-auth and is never logged.
var errPanicked = errors.New("the guard failed; its log has the stack")

// recoverPanic runs a task on the stored object and returns an error if it panics. Every replica processes the same object, so a panic
// would end all of them.
func (m *Monitor) recoverPanic(name string, work func() error) (err error) {
	defer func() {
		if recover() == nil {
			return
		}
		err = errPanicked
		m.o.Recorder.Panicked(validate.InternalError)
		m.panicLogsMu.Lock()
		defer m.panicLogsMu.Unlock()
		throttle := m.panicLogs[name]
		if throttle == nil {
			throttle = new(kube.Throttle)
			m.panicLogs[name] = throttle
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
