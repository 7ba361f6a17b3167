// Command soak keeps the real webhook busy: reviews of every kind at full load, while its
// certificate and its configuration change and clients send what is no review. It needs no API
// server. It prints what it counted, and fails when a review was lost or judged wrongly, or when
// the process holds on to memory or goroutines.
//
// Its tests are a short form of the same, and a rolling restart.
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
		reviews: 10_000, // what the memory target is stated for
		hostile: true,
		now:     time.Now, //nolint:forbidigo // the clock itself
	}
	flag.DurationVar(&o.duration, "duration", 5*time.Minute, "how long the load lasts")
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
