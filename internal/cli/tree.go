package cli

import (
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// RootCommand returns the commands of the program as documentation describes them. Running one of them reads and
// writes nothing.
func RootCommand() *cobra.Command {
	return (&app{name: "kubectl awsauth", stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard}).rootCommand()
}
