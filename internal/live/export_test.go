package live

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/history"
)

// Attests asks a replica about one change.
func Attests(r *history.Replica, at time.Time, version, before, hash string) error {
	return attests(r, []*sighting{{at: at, version: version, before: before, hash: hash}})
}

// WriterOf is who has made the difference between two versions.
func WriterOf(before, after *corev1.ConfigMap) string { return writer(before, after) }

// Sighting is a content that a watch has shown, as far as the run of the newest depends on it.
type Sighting struct {
	Gap, Inherit bool
	How          history.How
}

// RunOf is how many of the newest contents nobody has admitted.
func RunOf(list []Sighting) int {
	var l ledger
	for _, s := range list {
		l.list = append(l.list, &sighting{gap: s.Gap, inherit: s.Inherit, how: s.How})
	}
	return len(l.run())
}

// Witnessed are those of the versions of a history that a process may put back that has seen some contents.
func Witnessed(versions []history.Version, seen ...string) []history.Version {
	return (&ledger{seen: seen}).witnessed(versions)
}
