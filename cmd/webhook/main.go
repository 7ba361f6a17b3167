// Command webhook is the admission webhook of awsauth-guard.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/awsauth-guard/awsauth-guard/internal/server"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := server.Main(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}
