package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/test/controlplane"
)

// gauges holds the values of three metrics of the webhook. Each value is the sum over all series of its metric.
type gauges struct {
	goroutines, generation, reloads float64
}

func scrape(ctx context.Context, w *controlplane.Webhook) (gauges, error) {
	body, err := w.Get(ctx, w.Metrics)
	if err != nil {
		return gauges{}, err
	}
	var g gauges
	for line := range strings.Lines(body) {
		series, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		name, _, _ := strings.Cut(series, "{")
		var sum *float64
		switch name {
		case "go_goroutines":
			sum = &g.goroutines
		case "awsauth_guard_config_generation":
			sum = &g.generation
		case "awsauth_guard_config_reloads_total":
			sum = &g.reloads
		default:
			continue
		}
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return gauges{}, fmt.Errorf("reading %s: %w", series, err)
		}
		*sum += value
	}
	return g, nil
}

// memory is the memory of a process according to the kernel, in bytes.
type memory struct{ resident, peak int64 }

func readMemory(pid int) (memory, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return memory{}, fmt.Errorf("reading the memory of the webhook: %w", err)
	}
	var m memory
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
		name, text, _ := strings.Cut(lines.Text(), ":")
		var value *int64
		switch name {
		case "VmRSS":
			value = &m.resident
		case "VmHWM":
			value = &m.peak
		default:
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(text), " kB"), 10, 64)
		if err != nil {
			return memory{}, fmt.Errorf("reading %s of the webhook: %w", name, err)
		}
		*value = kib << 10
	}
	return m, nil
}

// sample is the state of the webhook after a number of requests.
type sample struct {
	requests   int64
	resident   int64
	goroutines float64
}

// mean returns the mean resident memory of samples, in bytes. It returns 0 if there are no samples.
func mean(samples []sample) int64 {
	if len(samples) == 0 {
		return 0
	}
	var sum int64
	for _, s := range samples {
		sum += s.resident
	}
	return sum / int64(len(samples))
}

func mib(size int64) string { return fmt.Sprintf("%.1f MiB", float64(size)/(1<<20)) }
