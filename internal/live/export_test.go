package live

import (
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/history"
)

// Attests asks a replica about one change.
func Attests(r *history.Replica, at time.Time, version, before, hash string) error {
	return attests(r, []*sighting{{at: at, version: version, before: before, hash: hash}})
}
