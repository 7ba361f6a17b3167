package cli

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/doctor"
	"github.com/awsauth-guard/awsauth-guard/internal/report"
)

// doctorView writes a diagnosis as text: each step when the step finishes, and then the cause. With another output format it only shows the
// spinner.
type doctorView struct {
	a       *app
	text    bool // the output format is text
	spinner *spinner
	err     error // the error of the first failed write
}

// marks are the signs that the output shows for the results of steps.
var marks = map[doctor.Status]string{
	doctor.StatusOK: "✔", doctor.StatusFailed: "✘", doctor.StatusWarning: "!", doctor.StatusUnknown: "?",
}

func (v *doctorView) finish(s doctor.Step) {
	v.spinner.stop()
	if v.text && v.err == nil {
		_, v.err = fmt.Fprintf(v.a.stdout, "%s %2d %-22s %s\n", marks[s.Status], s.Number, s.Name, report.OneLine(s.Found))
	}
}

// writeCause writes the cause and its commands. Each command has its own line, so that the user can copy it. Without a cause, writeCause
// writes whether nothing is wrong or doctor can't say. status is the exit status.
func (v *doctorView) writeCause(r *doctor.Report, status int) error {
	if v.err != nil {
		return v.err
	}
	var b strings.Builder
	switch c := r.Cause; {
	case c != nil:
		fmt.Fprintf(&b, "\nCause: %s (%s)\n", report.OneLine(c.Summary), c.ID)
		writeCommands(&b, c)
	case status == statusOK:
		b.WriteString("\nNothing is wrong.\n")
	default:
		b.WriteString("\nThe cause can't be found, because the steps with a question mark have no result.\n")
	}
	_, err := io.WriteString(v.a.stdout, b.String())
	return err //nolint:wrapcheck // outputError wraps it
}

// writeCommands writes the commands of a cause. Usually the user's command comes first. If it is a kubectl command, it comes after the
// administrator's command, because it succeeds only after the administrator has finished.
func writeCommands(b *strings.Builder, c *doctor.Cause) {
	user := "\nYou run:\n  " + report.OneLine(c.User) + "\n"
	last := c.Admin != "" && strings.HasPrefix(c.User, "kubectl ")
	switch {
	case c.User == "":
		user = ""
	case last:
		user = strings.Replace(user, "You run", "Then you run", 1)
	default:
		b.WriteString(user)
	}
	if c.Admin != "" {
		fmt.Fprintf(b, "\nAn administrator runs:\n  %s\n", report.OneLine(c.Admin))
	}
	if last {
		b.WriteString(user)
	}
}

// writeLine writes one line to standard output.
func (a *app) writeLine(text string) error {
	_, err := fmt.Fprintln(a.stdout, report.OneLine(text))
	return err //nolint:wrapcheck // outputError wraps it
}

// spinner is an animation on a terminal. It shows that the program is waiting. The zero value shows nothing.
type spinner struct {
	w    io.Writer // nil if the output is not a terminal
	quit chan struct{}
	done sync.WaitGroup
}

// newSpinner returns a spinner that writes to w. If w is not a terminal, the spinner shows nothing.
func newSpinner(w io.Writer) *spinner {
	if !isTerminal(w) {
		return &spinner{}
	}
	return &spinner{w: w}
}

// start shows the spinner with the name of the running step, until the next call of start or stop. For the exec plugin the spinner doesn't
// move.
func (s *spinner) start(name string) {
	s.stop()
	if s.w == nil {
		return
	}
	s.quit = make(chan struct{})
	quit := s.quit
	if name == doctor.PluginStep { // a plugin may ask a question, and an update of the spinner would erase it
		fmt.Fprintf(s.w, "⠋ %s\r", name)
		return
	}
	s.done.Go(func() {
		ticks := time.NewTicker(100 * time.Millisecond)
		defer ticks.Stop()
		for i := 0; ; i++ {
			fmt.Fprintf(s.w, "\r\x1b[K%c %s", []rune("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")[i%10], name)
			select {
			case <-quit:
				return
			case <-ticks.C:
			}
		}
	})
}

// stop removes the spinner from the terminal.
func (s *spinner) stop() {
	if s.quit != nil {
		close(s.quit)
		s.quit = nil
		s.done.Wait()
		fmt.Fprint(s.w, "\r\x1b[K")
	}
}
