package cli

import (
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// RootCommand returns the commands of the program, from which documentation reads the names, flags and help texts. If a caller runs one of
// them, its standard input is empty and its output is discarded.
func RootCommand() *cobra.Command {
	return (&app{name: "kubectl awsauth", stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard}).rootCommand()
}
