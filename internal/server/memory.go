package server

import (
	"log/slog"
	"math"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// limitMemory tells the garbage collector the limit of the container, less a tenth for what is not
// on the heap, so that it collects in time instead of being killed. An explicit GOMEMLIMIT wins.
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
