// Command kubectl-awsauth checks and explains aws-auth manifests. In a folder of the PATH it is also the kubectl plugin
// kubectl awsauth.
package main

import (
	"context"
	"os"

	"github.com/awsauth-guard/awsauth-guard/internal/cli"
)

func main() {
	// Each command makes at most one write, so a signal may end the process at any time.
	os.Exit(cli.Main(context.Background(), os.Args, os.Stdin, os.Stdout, os.Stderr))
}
