package cli

import "io"

// ShowProgress shows a progress line for each number of files in done, as on a terminal. Then it clears the line twice.
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
