package server

import (
	"log/slog"
	"math"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// limitMemory sets the memory limit of the Go runtime to 90 percent of the container's limit. So the garbage collector
// runs before the kernel kills the process. The remaining 10 percent are for memory outside the Go heap. If the
// environment variable GOMEMLIMIT is set, its value is the limit instead.
func limitMemory(log *slog.Logger) {
	limit, err := memlimit.Set(memlimit.WithRatio(0.9))
	switch {
	case err != nil:
		log.Warn("the container's memory limit cannot be read", "err", err.Error())
	case limit == math.MaxInt64:
		log.Info("memory is not limited")
	default:
		log.Info("memory is limited", "gomemlimit_bytes", limit)
	}
}
