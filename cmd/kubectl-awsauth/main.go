// Command kubectl-awsauth checks and explains aws-auth, and restores earlier versions. If it is in the PATH, kubectl runs
// it as the plugin kubectl awsauth.
package main

import (
	"context"
	"os"

	"github.com/awsauth-guard/awsauth-guard/internal/cli"
)

func main() {
	// A signal may stop the program at any point, because it makes at most one write.
	os.Exit(cli.Main(context.Background(), os.Args, os.Stdin, os.Stdout, os.Stderr))
}
