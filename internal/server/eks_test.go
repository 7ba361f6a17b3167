package server_test

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/logtest"
	"github.com/awsauth-guard/awsauth-guard/internal/metrics"
	"github.com/awsauth-guard/awsauth-guard/internal/server"
)

// The guard logs the declared access entries that EKS doesn't have. It logs them when they change, and not at each read.
func TestAbsentAccessEntriesAreLoggedOnChange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const role = "arn:aws:iam::111122223333:role/"
		file := filepath.Join(t.TempDir(), "guard.yaml")
		guard(t, file, "accessEntries: ["+role+"A, "+role+"B]")
		var log logtest.Log
		compare, err := server.CompareAccessEntries(file, metrics.New(nil), slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		for _, read := range []struct {
			name string
			has  []string
			want int // lines in the log
		}{
			{"both are absent", nil, 1},
			{"still", nil, 1},
			{"one of them", []string{"A"}, 2},
			{"still", []string{"A"}, 2},
			{"none", []string{"A", "B"}, 2},
			{"one again", []string{"B"}, 3},
		} {
			cluster := &access.Cluster{Mode: access.ModeAPIAndConfigMap}
			for _, name := range read.has {
				cluster.AccessEntries = append(cluster.AccessEntries, access.AccessEntry{PrincipalARN: role + name})
			}
			compare(cluster)
			if got := strings.Count(log.String(), "the configuration declares access entries that EKS doesn't have"); got != read.want {
				t.Errorf("%s: %d lines, want %d:\n%s", read.name, got, read.want, &log)
			}
			time.Sleep(5 * time.Minute)
		}
	})
}
