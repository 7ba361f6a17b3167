package cli

import "io"

// ShowProgress shows and clears a progress line as on a terminal.
func ShowProgress(w io.Writer, total int, done ...int) {
	p := &progress{w: w, unit: "files", total: total}
	for _, n := range done {
		p.show(n)
	}
	p.clear()
	p.clear()
}

// MaxFile is the limit on the size of a file, in bytes.
const MaxFile = maxFile
