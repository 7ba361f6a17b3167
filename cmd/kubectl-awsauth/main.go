// Command kubectl-awsauth judges and explains aws-auth manifests. In a folder of the PATH it is
// also the kubectl plugin kubectl awsauth.
package main

import (
	"context"
	"os"

	"github.com/awsauth-guard/awsauth-guard/internal/cli"
)

func main() {
	// It makes at most one write, so that a signal may end it anywhere.
	os.Exit(cli.Main(context.Background(), os.Args, os.Stdin, os.Stdout, os.Stderr))
}
