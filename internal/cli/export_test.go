package cli

import "io"

// ShowProgress shows and clears a progress line as on a terminal.
func ShowProgress(w io.Writer, total int, done ...int) {
	p := &progress{w: w, total: total}
	for _, n := range done {
		p.show(n)
	}
	p.clear()
	p.clear()
}

// MaxFile is the bound of a file.
const MaxFile = maxFile
