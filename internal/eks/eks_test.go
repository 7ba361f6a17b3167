package eks_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/eks"
	"github.com/awsauth-guard/awsauth-guard/internal/eks/ekstest"
)

const role = "arn:aws:iam::111122223333:role/"

func read(t *testing.T, cluster string) (*access.Cluster, error) {
	t.Helper()
	client, err := eks.New(t.Context(), cluster, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	return client.Read(t.Context())
}

func TestReadReturnsEveryAccessEntryWithItsPolicies(t *testing.T) {
	server := ekstest.New(t)
	namespaced := ekstest.Entry(role + "b")
	namespaced.Groups = []string{"viewers"}
	namespaced.Policies = []access.AccessPolicy{{ARN: "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy", Scope: "namespace", Namespaces: []string{"team-*"}}}
	node := access.AccessEntry{PrincipalARN: role + "path/node", Type: "EC2_LINUX", Created: namespaced.Created}
	want := []access.AccessEntry{ekstest.Entry(role+"a", access.ClusterAdminPolicy), namespaced, node}
	server.Set(access.ModeAPIAndConfigMap, want...)
	got, err := read(t, ekstest.Name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got.AccessEntries, cmpopts.EquateEmpty()); diff != "" || got.Mode != access.ModeAPIAndConfigMap {
		t.Errorf("mode %s, -want +got:\n%s", got.Mode, diff)
	}
	if n := server.Calls("ListAssociatedAccessPolicies"); n != 2 {
		t.Errorf("%d calls for policies, want none for nodes", n)
	}
}

func TestReadFollowsAllPages(t *testing.T) {
	server := ekstest.New(t)
	var entries []access.AccessEntry
	for i := range 3000 {
		entries = append(entries, access.AccessEntry{PrincipalARN: fmt.Sprintf("%snode-%04d", role, i), Type: "EC2_LINUX"})
	}
	server.Set(access.ModeAPI, entries...)
	got, err := read(t, ekstest.Name)
	if err != nil || len(got.AccessEntries) != len(entries) || server.Calls("ListAccessEntries") != 30 {
		t.Errorf("got %d access entries in %d pages: %v", len(got.AccessEntries), server.Calls("ListAccessEntries"), err)
	}
}

func TestReadOfModeConfigMapListsNoAccessEntries(t *testing.T) {
	server := ekstest.New(t)
	server.Set(access.ModeConfigMap)
	if got, err := read(t, ekstest.Name); err != nil || got.Mode != access.ModeConfigMap || server.Calls("ListAccessEntries") > 0 {
		t.Errorf("%d lists: %v", server.Calls("ListAccessEntries"), err)
	}
}

func TestReadRetriesThrottledCalls(t *testing.T) {
	server := ekstest.New(t)
	server.Set(access.ModeAPI, ekstest.Entry(role+"a"))
	var once sync.Once
	server.Answer("DescribeAccessEntry", nil)
	throttle := ekstest.Throttled()
	server.Answer("ListAccessEntries", func(w http.ResponseWriter, r *http.Request) {
		once.Do(func() { server.Answer("ListAccessEntries", nil) })
		throttle(w, r)
	})
	if got, err := read(t, ekstest.Name); err != nil || len(got.AccessEntries) != 1 {
		t.Errorf("got %v", err)
	}
}

func TestReadLeavesOutAnAccessEntryThatIsDeletedMeanwhile(t *testing.T) {
	server := ekstest.New(t)
	server.Set(access.ModeAPI, ekstest.Entry(role+"a"), ekstest.Entry(role+"b"))
	server.Answer("ListAssociatedAccessPolicies", func(w http.ResponseWriter, r *http.Request) {
		server.Answer("ListAssociatedAccessPolicies", nil)
		ekstest.Error(404, "ResourceNotFoundException", "gone")(w, r)
	})
	if got, err := read(t, ekstest.Name); err != nil || len(got.AccessEntries) != 1 {
		t.Errorf("got %d access entries: %v", len(got.AccessEntries), err)
	}
}

func TestFailedReadNamesTheCallAndTheCause(t *testing.T) {
	server := ekstest.New(t)
	server.Set(access.ModeAPI, ekstest.Entry(role+"a"))
	for _, action := range []string{"DescribeCluster", "ListAccessEntries", "DescribeAccessEntry", "ListAssociatedAccessPolicies"} {
		server.Answer(action, ekstest.AccessDenied(action))
		if _, err := read(t, ekstest.Name); err == nil || err.Error() != "eks:"+action+": access denied (AccessDeniedException)" {
			t.Errorf("%s: got %v", action, err)
		}
		server.Answer(action, nil)
	}
	if _, err := read(t, "other"); err == nil || !strings.Contains(err.Error(), "there is no cluster of this name in this region and account") {
		t.Errorf("another cluster: got %v", err)
	}
	server.Set("LATER_MODE")
	if _, err := read(t, ekstest.Name); err == nil || !strings.Contains(err.Error(), `"LATER_MODE" is unknown`) {
		t.Errorf("an unknown mode: got %v", err)
	}
}

// New returns an error if no region is configured. It doesn't guess a region, because another region may have a cluster
// of the same name.
func TestClientNeedsARegion(t *testing.T) {
	ekstest.New(t)
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "config"))
	if _, err := eks.New(t.Context(), ekstest.Name, "", nil); err == nil || !strings.Contains(err.Error(), "eks.region") {
		t.Errorf("without a region: got %v", err)
	}
	if _, err := eks.New(t.Context(), ekstest.Name, "eu-west-1", nil); err != nil {
		t.Errorf("with a region: %v", err)
	}
}

// recorder is a Recorder that sends the error of each read to a channel. If EKS is not used, it sends errUnused.
type recorder struct {
	reads chan error
	known atomic.Bool // the last value of EKSKnown
}

func (r *recorder) EKSRead(err error, _ time.Time) { r.reads <- err }
func (r *recorder) EKSKnown(known bool)            { r.known.Store(known) }
func (r *recorder) EKSUnused()                     { r.reads <- errUnused }

var errUnused = errors.New("unused")

// clock is a clock that tests can advance.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// settings are Settings that tests can change.
type settings struct {
	mu sync.Mutex
	eks.Settings
}

func (s *settings) get() eks.Settings {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Settings
}

func (s *settings) change(change func(*eks.Settings)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.Settings)
}

// start runs a Snapshot until the test ends. The guard has the same CA as the cluster of the server.
func start(t *testing.T, server *ekstest.Server, in *settings) (*eks.Snapshot, *recorder, *clock) {
	t.Helper()
	ca := newCA(t)
	server.SetCA(ca)
	return startWith(t, in, func() ([]byte, error) { return ca, nil })
}

// startWith runs a Snapshot until the test ends. ownCA returns the CA of the guard's API server.
func startWith(t *testing.T, in *settings, ownCA func() ([]byte, error)) (*eks.Snapshot, *recorder, *clock) {
	t.Helper()
	recorder, now := &recorder{reads: make(chan error)}, &clock{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	s := eks.NewSnapshot(eks.SnapshotOptions{Settings: in.get, OwnCA: ownCA, Read: func(*access.Cluster) {}, Recorder: recorder, Logger: slog.New(slog.DiscardHandler), Now: now.Now})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		for {
			select {
			case <-recorder.reads: //nolint:errcheck // the error of a read doesn't matter here
			case err := <-done:
				if err != nil {
					t.Error(err)
				}
				return
			}
		}
	})
	return s, recorder, now
}

func TestSnapshotIsUnknownAfterThreeRefreshesWithoutARead(t *testing.T) {
	server := ekstest.New(t)
	server.Set(access.ModeAPI, ekstest.Entry(role+"a"))
	in := &settings{Settings: eks.Settings{Enabled: true, Cluster: ekstest.Name, Refresh: time.Hour}}
	s, recorder, now := start(t, server, in)
	if err := <-recorder.reads; err != nil {
		t.Fatal(err)
	}
	server.Answer("DescribeCluster", ekstest.AccessDenied("DescribeCluster"))
	s.Reload()
	if err := <-recorder.reads; err == nil {
		t.Fatal("the read did not fail")
	}
	now.advance(3 * time.Hour)
	s.Reload()
	if err := <-recorder.reads; err == nil || !recorder.known.Load() {
		t.Error("after three refresh periods the metric doesn't say that the access entries are known")
	}
	if c, err := s.Cluster(); err != nil || c == nil || len(c.AccessEntries) != 1 {
		t.Errorf("after three refresh periods: %v", err)
	}
	now.advance(time.Second)
	if c, err := s.Cluster(); err == nil || c != nil || !strings.Contains(err.Error(), "access denied") {
		t.Errorf("later: got %v", err)
	}
	s.Reload()
	if err := <-recorder.reads; err == nil || recorder.known.Load() {
		t.Error("later the metric says that the access entries are known")
	}
	server.Answer("DescribeCluster", nil)
	s.Reload()
	if err := <-recorder.reads; err != nil || !recorder.known.Load() {
		t.Errorf("after the next read the metric doesn't say that the access entries are known: %v", err)
	}
}

// The age of a snapshot counts from the beginning of its read, because the read of many access entries can take most of
// a refresh period.
func TestSnapshotIsAsOldAsTheBeginningOfItsRead(t *testing.T) {
	server := ekstest.New(t)
	server.Set(access.ModeConfigMap)
	in := &settings{Settings: eks.Settings{Enabled: true, Cluster: ekstest.Name, Refresh: time.Hour}}
	reading, advanced := make(chan struct{}), make(chan struct{})
	server.Answer("DescribeCluster", func(w http.ResponseWriter, r *http.Request) {
		server.Answer("DescribeCluster", nil)
		close(reading)
		<-advanced
		ekstest.Throttled()(w, r)
	})
	s, recorder, now := start(t, server, in)
	<-reading
	now.advance(time.Minute)
	close(advanced)
	if err := <-recorder.reads; err != nil {
		t.Fatal(err)
	}
	now.advance(3*time.Hour - time.Second)
	if c, err := s.Cluster(); c != nil || err == nil {
		t.Error("the snapshot counts more than three refresh periods after its read began")
	}
}

func TestSnapshotFollowsTheSettings(t *testing.T) {
	server := ekstest.New(t)
	server.Set(access.ModeAPI)
	in := &settings{}
	s, recorder, _ := start(t, server, in)
	if err := <-recorder.reads; !errors.Is(err, errUnused) {
		t.Fatal(err)
	}
	if c, err := s.Cluster(); c != nil || err != nil {
		t.Errorf("not enabled: got %v", err)
	}
	in.change(func(s *eks.Settings) { *s = eks.Settings{Enabled: true, Cluster: ekstest.Name, Refresh: time.Hour} })
	if _, err := s.Cluster(); err == nil || !strings.Contains(err.Error(), "just started") {
		t.Errorf("before the first read: got %v", err)
	}
	s.Reload()
	if err := <-recorder.reads; err != nil {
		t.Fatal(err)
	}
	if c, err := s.Cluster(); c == nil || err != nil {
		t.Errorf("enabled: got %v", err)
	}
	in.change(func(s *eks.Settings) { s.Cluster = "other" })
	if c, err := s.Cluster(); c != nil || err == nil {
		t.Error("the snapshot of another cluster counts")
	}
	s.Reload()
	if err := <-recorder.reads; err == nil {
		t.Error("the other cluster does not exist")
	}
	if _, err := s.Cluster(); err == nil || !strings.Contains(err.Error(), "there is no cluster of this name") {
		t.Errorf("another cluster: got %v", err)
	}
}

func TestHungEKSDelaysNoReader(t *testing.T) {
	server := ekstest.New(t)
	server.Set(access.ModeAPI)
	in := &settings{Settings: eks.Settings{Enabled: true, Cluster: ekstest.Name, Refresh: time.Hour}}
	hanging := make(chan struct{})
	server.Answer("DescribeCluster", func(w http.ResponseWriter, r *http.Request) {
		close(hanging)
		server.Hang()(w, r)
	})
	s, _, _ := start(t, server, in)
	<-hanging
	if _, err := s.Cluster(); err == nil || !strings.Contains(err.Error(), "just started") {
		t.Errorf("got %v", err)
	}
}
