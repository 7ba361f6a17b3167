package monitor

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/awsauth-guard/awsauth-guard/internal/kube"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// errPanicked replaces the value of a panic, because this value may contain a part of aws-auth. The monitor never logs that value.
var errPanicked = errors.New("the guard failed; its log has the stack")

// recoverPanic runs a task on the stored object and returns the error of the task. If the task panics, recoverPanic logs the stack and
// returns errPanicked. Every replica processes the same object, so a panic would otherwise end all replicas. name is the name of the
// task in the log.
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
