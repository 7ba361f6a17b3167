package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// reaper is a shell script that kills the remaining processes and removes the folder when its standard input ends. So
// the processes end even if this process is killed. Each line of its standard input is a process id, or "none" after
// all processes have ended.
const reaper = `
trap '' INT TERM HUP
pids=
while read -r pid; do
	case $pid in none) pids= ;; *) pids="$pids $pid" ;; esac
done
[ -z "$pids" ] || kill -9 $pids
rm -rf "$1" || { sleep 1; rm -rf "$1"; }
`

// processes are running programs, with the folder into which they write. stop ends the programs and removes the
// folder.
type processes struct {
	dir     string
	started []*process
	reaper  *exec.Cmd
	pids    io.WriteCloser
}

func newProcesses() (*processes, error) {
	dir, err := os.MkdirTemp("", "awsauth-guard-")
	if err != nil {
		return nil, fmt.Errorf("making a temporary folder: %w", err)
	}
	// The reaper must outlive every context. It ends when its standard input is closed.
	cmd := exec.CommandContext(context.Background(), "sh", "-c", reaper, "reaper", dir) //nolint:gosec // the script is a constant
	pids, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting the reaper of %s: %w", dir, err), os.RemoveAll(dir))
	}
	return &processes{dir: dir, reaper: cmd, pids: pids}, nil
}

// stop kills the programs and removes the folder. The programs have no data that must be kept.
func (ps *processes) stop() error {
	for _, p := range ps.started {
		p.kill()
	}
	_, err := io.WriteString(ps.pids, "none\n")
	return errors.Join(err, ps.pids.Close(), ps.reaper.Wait())
}

// process is a running program.
type process struct {
	name string
	log  string // the file with its output
	cmd  *exec.Cmd
	done chan struct{} // closed after the program has ended
	err  error         // the result of the program, after done is closed
}

// Program is another program on the host. The host kills it when the host stops.
type Program struct{ *process }

// StartProgram starts a program. env has environment variables in addition to those of this process. name names the program
// in errors, and its log.
func (h *Host) StartProgram(ctx context.Context, name string, env []string, path string, args ...string) (*Program, error) {
	p, err := h.startWith(ctx, name, env, path, args...)
	return &Program{p}, err
}

// WaitUntil waits until check returns no error. It returns an error if the program ends before, or after
// startTimeout.
func (p *Program) WaitUntil(ctx context.Context, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return p.ready(ctx, check)
}

// LogEnd returns the last lines of the program's output.
func (p *Program) LogEnd() string { return p.logEnd() }

// start starts a program. The program runs until it ends by itself, a caller stops it, or ctx ends.
func (ps *processes) start(ctx context.Context, name, path string, args ...string) (*process, error) {
	return ps.startWith(ctx, name, nil, path, args...)
}

// startWith starts a program with additional environment variables. Its output goes to a log file, and the reaper knows it.
func (ps *processes) startWith(ctx context.Context, name string, env []string, path string, args ...string) (*process, error) {
	p := &process{name: name, log: filepath.Join(ps.dir, name+".log"), done: make(chan struct{})}
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the log of %s: %w", name, err)
	}
	defer out.Close()
	p.cmd = exec.CommandContext(ctx, path, args...) //nolint:gosec // the caller names the program
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.Env = append(os.Environ(), env...)
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	ps.started = append(ps.started, p)
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	if _, err := fmt.Fprintln(ps.pids, p.cmd.Process.Pid); err != nil {
		return nil, fmt.Errorf("telling the reaper about %s: %w", name, err)
	}
	return p, nil
}

// ready waits until check returns no error. It returns an error if the program ends before.
func (p *process) ready(ctx context.Context, check func(context.Context) error) error {
	err := Poll(ctx, func(ctx context.Context) error {
		select {
		case <-p.done:
			return final{fmt.Errorf("it ended: %w", p.err)}
		default:
			return check(ctx)
		}
	})
	if err != nil {
		return fmt.Errorf("waiting for %s: %w; its log ends\n%s", p.name, err, p.logEnd())
	}
	return nil
}

// terminate sends SIGTERM, waits for the end of the program, and returns its result.
func (p *process) terminate(ctx context.Context) error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stopping %s: %w", p.name, err)
	}
	select {
	case <-p.done:
		return p.wait()
	case <-ctx.Done():
		p.kill()
		return fmt.Errorf("%s did not end: %w; its log ends\n%s", p.name, ctx.Err(), p.logEnd())
	}
}

// wait waits for the end of the program and returns its result.
func (p *process) wait() error {
	<-p.done
	if p.err != nil {
		return fmt.Errorf("%s: %w; its log ends\n%s", p.name, p.err, p.logEnd())
	}
	return nil
}

// kill kills the program and waits for its end.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // an error only says that the program has ended
	<-p.done
}

// logEnd returns the last lines of the program's output.
func (p *process) logEnd() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}

// final is an error after which Poll makes no other attempt.
type final struct{ error }

func (f final) Unwrap() error { return f.error }

// pollEvery is the time between two attempts of Poll. It is short compared with the usual wait of a second or more, and long
// compared with one attempt.
const pollEvery = 50 * time.Millisecond

// Poll calls check until check returns no error or a final one, and returns this result. If ctx ends first, Poll returns
// the error of ctx with the last error of check.
func Poll(ctx context.Context, check func(context.Context) error) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := check(ctx)
		if err == nil || errors.As(err, new(final)) {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		}
	}
}
