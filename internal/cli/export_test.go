package cli

import (
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// ShowProgress shows and clears a progress line as on a terminal.
func ShowProgress(w io.Writer, total int, done ...int) {
	p := &progress{w: w, total: total}
	for _, n := range done {
		p.show(n)
	}
	p.clear()
	p.clear()
}

// MaxFile is the limit on the size of a file, in bytes.
const MaxFile = maxFile

// RootCommand returns the commands of the program.
func RootCommand() *cobra.Command {
	return (&app{name: "kubectl awsauth", stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard}).rootCommand()
}
