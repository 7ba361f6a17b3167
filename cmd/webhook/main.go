// Command webhook is the admission webhook of awsauth-guard. With the argument helm-test it runs the program of
// `helm test`.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/awsauth-guard/awsauth-guard/internal/helmtest"
	"github.com/awsauth-guard/awsauth-guard/internal/server"
)

func main() {
	run, args := server.Main, os.Args[1:]
	if len(args) > 0 && args[0] == "helm-test" {
		run, args = helmtest.Main, args[1:]
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, args, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}
