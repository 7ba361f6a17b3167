package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/awsauth-guard/awsauth-guard/internal/report"
)

// isTerminal reports whether an output is a terminal.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// useColours reports whether the program writes colours to an output: the output is a terminal, and NO_COLOR (https://no-color.org) is not
// set.
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

// progress shows a line with the number of finished files. The caller must call clear before it writes other text to the terminal. The
// zero value shows nothing.
type progress struct {
	w     io.Writer
	total int
	shown bool
}

// newProgress returns a progress for total files. It shows nothing if w is not a terminal or if there is only one file.
func newProgress(w io.Writer, total int) *progress {
	if total < 2 || !isTerminal(w) {
		return &progress{}
	}
	return &progress{w: w, total: total}
}

func (p *progress) show(done int) {
	if p.w != nil {
		p.shown = true
		fmt.Fprintf(p.w, "\r%d/%d files", done, p.total)
	}
}

// clear removes the line from the terminal.
func (p *progress) clear() {
	if p.shown {
		p.shown = false
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
