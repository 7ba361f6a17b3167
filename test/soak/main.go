// Command soak runs the real webhook under full load. It sends reviews of every kind and broken bodies, while the
// certificate and the configuration change. It needs no API server. It prints its counts. It fails if a request gets no
// response or a wrong one, if the process needs too much memory or leaks memory or goroutines, or if its log has a panic.
//
// The tests run a short soak and a rolling restart.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	o := options{
		reviews:        10_000, // memoryTarget is defined for this number
		denseDocuments: true,
		now:            time.Now, //nolint:forbidigo // the clock itself
	}
	flag.DurationVar(&o.duration, "duration", 5*time.Minute, "duration of the load")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	failures, err := run(ctx, o, os.Stdout)
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
	}
	if err != nil || len(failures) > 0 {
		os.Exit(1) //nolint:forbidigo // this is main
	}
}
