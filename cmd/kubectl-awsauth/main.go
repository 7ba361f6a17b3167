// Command kubectl-awsauth judges and explains aws-auth manifests. In a folder of the PATH it is
// also the kubectl plugin kubectl awsauth.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/awsauth-guard/awsauth-guard/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := cli.Main(ctx, os.Args, os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}
