package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/awsauth-guard/awsauth-guard/test/controlplane"
)

const (
	// connections is the number of connections of a load, and streams the number of concurrent requests on each. Two cores
	// can't evaluate so many reviews at once, so reviews must wait.
	connections = 4
	streams     = 4
	// warmUp is the number of requests before the measurement. During these, the heap grows to its working size.
	warmUp = 1000
	// samples is the approximate number of samples in the mixed load. From the rate of the warm-up, the soak computes the
	// number of requests between two samples.
	samples = 60
	// shutdownTimeout limits the time in which the goroutines of the load end, and the time in which the webhook ends after
	// SIGTERM.
	shutdownTimeout = 30 * time.Second
)

// The mean resident memory in the last third of the samples may exceed the mean in the second third by the larger of flatShare
// of the second mean, and flatBytes. The mean varies with the pace of the garbage collector.
const (
	flatShare = 0.10
	flatBytes = 4 << 20
)

// memoryTarget limits the resident memory after options.reviews reviews of 100 entries, in bytes.
const memoryTarget = 64 << 20

type options struct {
	duration       time.Duration
	reviews        int  // number of reviews of 100 entries before the memory is measured
	denseDocuments bool // also measure the memory for documents with extremely many values
	now            func() time.Time
}

// soak is one run of the command.
type soak struct {
	options
	host *controlplane.Host
	failures
	table
}

// failures are the messages about unmet expectations.
type failures []string

// expect adds a message if ok is false.
func (f *failures) expect(ok bool, format string, args ...any) {
	if !ok {
		*f = append(*f, fmt.Sprintf(format, args...))
	}
}

// run runs all measurements and prints their results. It returns the messages about unmet expectations.
func run(ctx context.Context, o options, out io.Writer) (_ []string, err error) {
	host, err := controlplane.NewHost(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, host.Stop()) }()
	s := &soak{options: o, host: host}
	defer func() { err = errors.Join(err, s.print(out)) }()
	steps := []func(context.Context) error{s.measureHundredEntries, s.measureLargest, s.measureMixedLoad}
	if controlplane.Race() {
		steps = steps[2:] // the race detector needs many times the webhook's memory
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return s.failures, err
		}
	}
	return s.failures, nil
}

// start starts a webhook, and returns a function that terminates the webhook.
func (s *soak) start(ctx context.Context, config string) (*controlplane.Webhook, func() error, error) {
	w, err := s.host.StartWebhook(ctx, config, "--shutdown-delay=0s")
	if err != nil {
		return nil, nil, err
	}
	return w, func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		return w.Terminate(ctx)
	}, nil
}

func (s *soak) newLoad(w *controlplane.Webhook, schedule []scheduled) *load {
	return &load{url: w.URL + "?timeout=" + reviewTimeout.String(), newClient: func() *http.Client { return s.host.Client(time.Second) }, schedule: schedule, now: s.now}
}

// measureHundredEntries measures the resident memory after many reviews of 100 entries.
func (s *soak) measureHundredEntries(ctx context.Context) (err error) {
	w, end, err := s.start(ctx, configA)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	text := adminEntry + nodeEntry + teams(98)
	l := s.newLoad(w, []scheduled{{review: &reviewCase{
		name: "100 entries", want: allow, body: newBody(operator, awsAuth(text, ""), awsAuth(text+ciEntry, "")),
	}}})
	l.setConfig(usesA)
	l.sendAll(ctx, s.reviews)
	m, err := readMemory(w.PID())
	if err != nil {
		return err
	}
	met := "met"
	if m.resident > memoryTarget {
		met = "MISSED"
	}
	s.row(fmt.Sprintf("resident after %d reviews of 100 entries", s.reviews), "%s (target %s: %s), peak %s", mib(m.resident), mib(memoryTarget), met, mib(m.peak))
	s.addFailures(l)
	s.expect(m.resident <= memoryTarget, "%s are resident after %d reviews of 100 entries", mib(m.resident), s.reviews)
	return nil
}

// measureMixedLoad runs the mixed load with disturbances. It checks every response, and that the process leaks no memory and
// no goroutines.
func (s *soak) measureMixedLoad(ctx context.Context) (err error) {
	w, end, err := s.start(ctx, configA)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	cases, err := newCases()
	if err != nil {
		return err
	}
	schedule := newSchedule(cases, newBroken())
	warm := s.newLoad(w, schedule)
	warm.setConfig(usesA)
	baseline, err := goroutinesAtRest(ctx, w)
	if err != nil {
		return err
	}
	warmStarted := s.now()
	warm.sendAll(ctx, warmUp)
	perSecond := warmUp / s.now().Sub(warmStarted).Seconds()
	s.addFailures(warm)

	l := s.newLoad(w, schedule)
	l.setConfig(usesA)
	l.every = max(1, int64(perSecond*s.duration.Seconds()/samples))
	var taken []sample
	var sampling sync.Mutex
	l.sample = func() {
		sampling.Lock()
		defer sampling.Unlock()
		g, err := scrape(ctx, w)
		m, err2 := readMemory(w.PID())
		if err := errors.Join(err, err2); err != nil {
			l.failed(&l.lost, "lost: a sample: %v", err)
			return
		}
		taken = append(taken, sample{l.done.Load(), m.resident, g.goroutines})
	}
	d := &disturber{webhook: w, load: l, tls: s.host.TLS(), now: s.now}
	took, err := s.runDisturbed(ctx, l, d)
	if err != nil {
		return err
	}
	s.report(l, d, taken, took)
	return s.checkAtRest(ctx, w, baseline)
}

// runDisturbed runs the load and the disturbances concurrently for the duration of the options. It returns how long the
// load ran.
func (s *soak) runDisturbed(ctx context.Context, l *load, d *disturber) (time.Duration, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := make(chan struct{})
	timer := time.AfterFunc(s.duration, func() { close(stop) })
	defer timer.Stop()
	var running sync.WaitGroup
	var errs [3]error
	for i, step := range []func(context.Context, int) error{d.swap, d.reload, d.cutConnection} {
		running.Go(func() {
			if errs[i] = d.repeat(ctx, stop, step); errs[i] != nil {
				cancel(errs[i])
			}
		})
	}
	started := s.now()
	l.run(ctx, connections, streams, stop)
	took := s.now().Sub(started)
	running.Wait()
	return took, context.Cause(ctx)
}

// sendAll sends n requests, and those that are under way when the n-th is done.
func (l *load) sendAll(ctx context.Context, n int) {
	stop := make(chan struct{})
	l.every, l.sample = int64(n), sync.OnceFunc(func() { close(stop) })
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l.run(ctx, connections, streams, stop)
}

// report adds the results of the mixed load to the table and to the failures.
func (s *soak) report(l *load, d *disturber, taken []sample, took time.Duration) {
	s.row("load", "%s, %d connections with %d reviews at a time each", took.Round(time.Second), connections, streams)
	s.row("reviews", "%d, %.0f per second", l.reviews, float64(l.reviews)/took.Seconds())
	s.row("latency", "p50 %s, p99 %s", l.percentile(.5).Round(10*time.Microsecond), l.percentile(.99).Round(10*time.Microsecond))
	s.row("broken bodies", "%d", l.broken)
	s.row("certificate swaps", "%d", d.swaps.Load())
	s.row("configurations", "%d good, %d bad", d.reloads.Load(), d.refused.Load())
	s.row("connections cut", "%d", d.cuts.Load())
	s.row("slowest detection of a change", "%s", time.Duration(d.slowest.Load()).Round(time.Millisecond))
	s.addFailures(l)
	s.row("lost", "%d", l.lost)
	s.row("wrong verdicts", "%d", l.wrong)

	second, last := taken[len(taken)/3:2*len(taken)/3], taken[2*len(taken)/3:]
	limit := mean(second) + max(flatBytes, int64(flatShare*float64(mean(second))))
	s.row("resident, by thirds of the load", "%s, %s, %s (the last at most %s); %d samples, one after %d requests",
		mib(mean(taken[:len(taken)/3])), mib(mean(second)), mib(mean(last)), mib(limit), len(taken), l.every)
	s.expect(len(taken) >= 6, "only %d samples of the memory were taken", len(taken))
	s.expect(controlplane.Race() || mean(last) <= limit, "memory grows: %s in the second third of the load, %s in the last", mib(mean(second)), mib(mean(last)))
	most := 0.0
	for _, x := range taken {
		most = max(most, x.goroutines)
	}
	s.row("goroutines under load", "at most %.0f", most)
}

// addFailures adds the failures of a load to those of the run.
func (s *soak) addFailures(l *load) {
	s.expect(l.lost == 0, "%d requests were lost", l.lost)
	s.expect(l.wrong == 0, "%d verdicts are wrong", l.wrong)
	s.failures = append(s.failures, l.examples...)
}

// goroutinesAtRest returns the number of goroutines of a webhook before the load.
func goroutinesAtRest(ctx context.Context, w *controlplane.Webhook) (float64, error) {
	g, err := scrape(ctx, w)
	return g.goroutines, err
}

// checkAtRest waits until the webhook has at most baseline goroutines, because those of the load have ended. It reports a
// failure if this takes longer than shutdownTimeout, or if the log has a panic.
func (s *soak) checkAtRest(ctx context.Context, w *controlplane.Webhook, baseline float64) error {
	ctx, cancel := context.WithTimeout(ctx, shutdownTimeout)
	defer cancel()
	var left float64
	err := controlplane.Poll(ctx, func(ctx context.Context) error {
		g, err := scrape(ctx, w)
		if err != nil {
			return err
		}
		if left = g.goroutines; left > baseline {
			return fmt.Errorf("%.0f goroutines", left)
		}
		return nil
	})
	s.row("goroutines", "%.0f before the load, %.0f after it", baseline, left)
	s.expect(err == nil, "goroutines are left: %.0f before the load, %.0f after it: %v", baseline, left, err)
	m, err := readMemory(w.PID())
	if err != nil {
		return err
	}
	s.row("resident at rest", "%s, peak %s", mib(m.resident), mib(m.peak))
	log, err := os.ReadFile(w.Log())
	if err != nil {
		return fmt.Errorf("reading the log: %w", err)
	}
	s.row("log", "%s", mib(int64(len(log))))
	s.expect(!bytes.Contains(log, []byte("panic")), "the log contains a panic")
	return nil
}

// table holds the results that soak.print prints at the end of the run.
type table struct{ rows [][2]string }

func (t *table) row(name, format string, args ...any) {
	t.rows = append(t.rows, [2]string{name, fmt.Sprintf(format, args...)})
}

func (s *soak) print(out io.Writer) error {
	var b bytes.Buffer
	for _, row := range s.rows {
		fmt.Fprintf(&b, "%-56s %s\n", row[0], row[1])
	}
	for _, failure := range s.failures {
		fmt.Fprintf(&b, "FAILED: %s\n", failure)
	}
	_, err := out.Write(b.Bytes())
	return err
}
