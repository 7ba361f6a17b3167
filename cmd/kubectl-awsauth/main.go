// Command kubectl-awsauth checks and explains aws-auth, rolls it back to earlier versions, and helps with the migration to
// access entries. If the program is in the PATH, kubectl runs it as the plugin kubectl awsauth.
package main

import (
	"context"
	"os"

	"github.com/awsauth-guard/awsauth-guard/internal/cli"
)

func main() {
	// The program handles no signals, so a signal ends it at once.
	os.Exit(cli.Main(context.Background(), os.Args, os.Stdin, os.Stdout, os.Stderr))
}
