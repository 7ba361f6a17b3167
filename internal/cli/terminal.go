package cli

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

// isTerminal reports whether an output is a terminal.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// useColours reports whether to colour an output. It honours NO_COLOR (https://no-color.org).
func useColours(w io.Writer) bool {
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && isTerminal(w)
}

// progress shows a line with the number of finished files. Call clear before you print anything else. The zero value
// shows nothing.
type progress struct {
	w     io.Writer
	total int
	shown bool
}

// newProgress returns a progress for total files. It shows nothing unless w is a terminal and there are several files.
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

// clear removes the line.
func (p *progress) clear() {
	if p.shown {
		p.shown = false
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
