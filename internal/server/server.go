// Package server runs the webhook as a process. It reads the flags, starts the components, serves three ports and shuts
// down.
package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	crlog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/awsauth-guard/awsauth-guard/internal/admission"
	"github.com/awsauth-guard/awsauth-guard/internal/metrics"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
	"github.com/awsauth-guard/awsauth-guard/internal/version"
)

// Exit statuses.
const (
	exitOK    = 0
	exitError = 1 // the process could not start, or failed later
	exitUsage = 2 // the command line is invalid
)

// program is the name of the installed binary.
const program = "awsauth-guard-webhook"

// Main runs the webhook until the context ends, and returns the exit status of the process. It logs to stderr. When it
// serves a port, it logs the message "serving" with the address.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o := DefaultOptions()
	fs := pflag.NewFlagSet(program, pflag.ContinueOnError)
	fs.SortFlags = false
	fs.Usage = func() { usage(stdout, fs) }
	o.AddFlags(fs)
	err := fs.Parse(args)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return exitOK
	case err == nil && o.ShowVersion:
		fmt.Fprintf(stdout, "awsauth-guard %s\n", version.String())
		return exitOK
	case err == nil && fs.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", fs.Arg(0))
	case err == nil:
		err = o.Complete()
	}
	if err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			fmt.Fprintf(stderr, "%s: %s\n", program, line)
		}
		fmt.Fprintf(stderr, "Run '%s --help' for usage.\n", program)
		return exitUsage
	}
	log := o.logger(stderr)
	if err := Run(ctx, o, log); err != nil {
		for _, err := range split(err) {
			log.Error("the guard stops because of an error", "err", err.Error())
		}
		return exitError
	}
	log.Info("stopped")
	return exitOK
}

func usage(w io.Writer, fs *pflag.FlagSet) {
	fmt.Fprintf(w, `%[1]s is the admission webhook of awsauth-guard. It evaluates every
change of the ConfigMap kube-system/aws-auth and refuses those that lock people out of the cluster.

Usage:
  %[1]s --cert-dir FOLDER [flags]
  %[1]s --cert-secret NAMESPACE/NAME --webhook-configuration NAME --service NAMESPACE/NAME [flags]
  %[1]s helm-test [flags]  # what helm test runs: is a faulty aws-auth refused?

Flags:
%[2]s`, program, fs.FlagUsages())
}

// Run serves until the context ends or a part of the process fails. The caller must have called [Options.Complete].
func Run(ctx context.Context, o *Options, log *slog.Logger) error {
	setDefaultLoggers(log)
	recorder := metrics.New(ruleIDs())
	recorder.BuildInfo(version.String())
	cfg, err := newConfiguration(o.ConfigFile, o.BypassGroup, recorder, log)
	if err != nil {
		return err
	}
	log.Info("starting", append([]any{"version", version.String(), "config", o.ConfigFile}, cfg.attrs()...)...)
	limitMemory(log)
	principals, entries := newDirectory(cfg.current, recorder, log), newAccessEntries(cfg, o.ownCA, recorder, log)
	partsCtx, stopParts := context.WithCancel(context.WithoutCancel(ctx))
	defer stopParts()
	parts, err := assemble(partsCtx, o, cfg, principals, entries, recorder, log)
	if err != nil {
		return err
	}
	cfg.onUse(principals.prepare)
	cfg.onUse(entries.Reload)
	entries.onRead(parts.stored.entriesRead)
	cfg.onUse(parts.stored.reconfigured)
	principals.prepare()
	background := append([]func(context.Context) error{cfg.watch, principals.announce, entries.Run}, parts.run...)
	handler := admission.New(admission.Options{
		Policy: entries.policy, Recorder: recorder, Logger: log, Directory: principals, Notifier: parts.stored.notifier, Self: parts.stored.self, Replaced: parts.stored.replaced, Authorizer: parts.stored.authorizer,
		Restores: func() bool { return cfg.current().Restore.Enabled },
	})
	webhook, err := newReviews(ctx, o, parts.certs, handler, log)
	if err != nil {
		return err
	}
	measured, err := listen(ctx, "metrics", o.MetricsAddress, metricsMux(recorder, log), log)
	if err != nil {
		return errors.Join(err, webhook.close())
	}
	details := append([]fmt.Stringer{cfg}, parts.stored.lines...)
	if described, ok := parts.certs.(fmt.Stringer); ok {
		details = append(details, described)
	}
	ready := newReadiness([]check{{"certificate", func() error { return parts.certs.Ready(nil) }}, {"webhook", func() error { return webhook.started(nil) }}}, details...)
	health, err := listen(ctx, "health", o.HealthAddress, healthMux(ready), log)
	if err != nil {
		return errors.Join(err, webhook.close(), measured.close())
	}
	webhook.onShutdown = func() {
		ready.shuttingDown.Store(true)
		log.Info("stopping", "delay_seconds", o.ShutdownDelay.Seconds())
	}
	return serve(ctx, webhook.serve, append(background, measured.serve, health.serve)...)
}

// serve runs all functions until the context ends or one of them returns. Then it ends the context of first, and waits
// until first returns. Only then does it end the context of the others, so that the others still run while first
// finishes its work. serve returns the joined errors.
func serve(ctx context.Context, first func(context.Context) error, others ...func(context.Context) error) error {
	firstCtx, stopFirst := context.WithCancel(ctx)
	defer stopFirst()
	othersCtx, stopOthers := context.WithCancel(context.WithoutCancel(ctx))
	defer stopOthers()
	errs := make([]error, len(others)+1)
	var running sync.WaitGroup
	for i, other := range others {
		running.Go(func() {
			defer stopFirst()
			errs[i+1] = other(othersCtx)
		})
	}
	errs[0] = first(firstCtx)
	stopOthers()
	running.Wait()
	return errors.Join(errs...)
}

func ruleIDs() []string {
	var ids []string
	for _, rule := range validate.Rules() {
		ids = append(ids, rule.ID)
	}
	return ids
}

// split returns the errors that an error joins, so that each of them gets its own log line.
func split(err error) []error {
	var list []error
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			list = append(list, split(e)...)
		}
		return list
	}
	return []error{err}
}

// routeOnce makes setDefaultLoggers set the loggers once, because setting controller-runtime's logger twice is a data
// race.
var routeOnce sync.Once

// setDefaultLoggers sends the logs of libraries to this logger: the logs of controller-runtime, and those through the
// packages log and log/slog.
func setDefaultLoggers(log *slog.Logger) {
	routeOnce.Do(func() {
		crlog.SetLogger(logr.FromSlogHandler(log.Handler()))
		slog.SetDefault(log)
	})
}
