package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/awsauth-guard/awsauth-guard/internal/report"
)

// isTerminal reports whether an output, or standard input, is a terminal.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// useColours reports whether the program writes colours to an output: the output is a terminal, TERM is not dumb, and NO_COLOR
// (https://no-color.org) is not set.
func useColours(w io.Writer) bool {
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && isTerminal(w)
}

// ask asks a question at the terminal. yes reports whether the answer is yes. If standard input is not a terminal, ask doesn't ask, and
// asked is false.
func (a *app) ask(question string) (yes, asked bool, err error) {
	if f, ok := a.stdin.(*os.File); !ok || !isTerminal(f) {
		return false, false, nil
	}
	fmt.Fprintf(a.stderr, "%s [y/N] ", report.OneLine(question))
	line, err := bufio.NewReader(a.stdin).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return false, true, fmt.Errorf("reading the answer: %w", err)
	}
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "y" || answer == "yes", true, nil
}

// progress shows the number of finished files, clusters or regions. On a terminal it shows one line, which the caller must remove with
// clear before it writes other text to the terminal. The zero value shows nothing.
type progress struct {
	w     io.Writer
	unit  string // such as files or clusters
	total int
	shown bool
	lines bool // w is not a terminal, and each call of show writes a line
}

// newProgress returns a progress for total files. It shows nothing if w is not a terminal or if there is only one file.
func newProgress(w io.Writer, total int) *progress {
	if total < 2 || !isTerminal(w) {
		return &progress{}
	}
	return &progress{w: w, unit: "files", total: total}
}

// newFleetProgress returns a progress for total clusters, or for another unit. It shows nothing if total is less than 2.
func newFleetProgress(w io.Writer, unit string, total int) *progress {
	if total < 2 {
		return &progress{}
	}
	return &progress{w: w, unit: unit, total: total, lines: !isTerminal(w)}
}

// interval returns the time between two calls of show: short enough to look continuous on a terminal, and long enough for a few lines in a
// log.
func (p *progress) interval() time.Duration {
	if p.lines {
		return 5 * time.Second
	}
	return 100 * time.Millisecond
}

func (p *progress) show(done int) {
	switch {
	case p.w == nil:
	case p.lines:
		fmt.Fprintf(p.w, "%d of %d %s\n", done, p.total, p.unit)
	default:
		p.shown = true
		fmt.Fprintf(p.w, "\r%d/%d %s", done, p.total, p.unit)
	}
}

// clear removes the line from the terminal.
func (p *progress) clear() {
	if p.shown {
		p.shown = false
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
