package server

import (
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/config"
	"github.com/awsauth-guard/awsauth-guard/internal/eks"
	"github.com/awsauth-guard/awsauth-guard/internal/kube"
	"github.com/awsauth-guard/awsauth-guard/internal/metrics"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// accessEntries reads the cluster's access entries and adds them to the policy.
type accessEntries struct {
	*eks.Snapshot
	inUse    *configuration
	recorder *metrics.Recorder
	log      *slog.Logger
	absent   kube.Throttle // throttles the log line about declared access entries that EKS doesn't have
	read     []func()      // functions to call after each successful read
}

// newAccessEntries returns the accessEntries of this process's cluster. ownCA returns the CA certificates of the
// cluster's API server.
func newAccessEntries(inUse *configuration, ownCA func() ([]byte, error), recorder *metrics.Recorder, log *slog.Logger) *accessEntries {
	a := &accessEntries{inUse: inUse, recorder: recorder, log: log}
	a.Snapshot = eks.NewSnapshot(eks.SnapshotOptions{
		Settings: func() eks.Settings { return settingsOf(inUse.current().EKS) },
		OwnCA:    ownCA, Read: a.useRead, Recorder: recorder, Logger: log, Now: time.Now, //nolint:forbidigo // the real clock
	})
	return a
}

func settingsOf(c config.EKS) eks.Settings { return eks.Settings(c) }

// policy returns the policy in use, with the access entries of the last successful read. If they are missing or too
// old, the policy says why.
func (a *accessEntries) policy() validate.Policy {
	p := a.inUse.policy()
	cluster, err := a.Cluster()
	p.Cluster = cluster
	if err != nil {
		p.ClusterUnknown = publicReason(err)
	}
	return p
}

// publicReason returns the text of an error for requesters. It uses the method Public of an error that has one, because
// the full text is only for the log.
func publicReason(err error) string {
	var public interface{ Public() string }
	if errors.As(err, &public) {
		return public.Public()
	}
	return err.Error()
}

// onRead registers a function to call after each successful read. The caller must call onRead before Run starts.
func (a *accessEntries) onRead(read func()) { a.read = append(a.read, read) }

func (a *accessEntries) useRead(cluster *access.Cluster) {
	a.compare(cluster)
	for _, read := range a.read {
		read()
	}
}

// compare counts the access entries that the configuration declares and those that EKS has. It logs the declared access
// entries that EKS doesn't have. It logs them again when they change, and otherwise once an hour.
func (a *accessEntries) compare(cluster *access.Cluster) {
	entries, declared := access.NewEntries(cluster, nil), 0
	var absent []string
	for _, arn := range a.inUse.current().AccessEntries {
		if entries.Has(arn) {
			declared++
		} else {
			absent = append(absent, arn)
		}
	}
	a.recorder.AccessEntries(declared, len(cluster.AccessEntries)-declared, len(absent))
	var err error
	if len(absent) > 0 {
		err = errors.New(strings.Join(absent, ", "))
	}
	if a.absent.ShouldLog(time.Now(), err) { //nolint:forbidigo // the real clock
		a.log.Warn("the configuration declares access entries that EKS doesn't have", "principals", absent)
	}
}
