// Command fleet runs kubectl awsauth over many stub API servers, each with a port of its own: some answer slowly, refuse the credentials,
// never answer, or send a body without an end. It prints the time and the memory of the program, and compares them with the limits in
// docs/reference/limits.md. It fails if a cluster has the wrong result, or if a limit is exceeded.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/fleet"
)

// options are the flags of the command, and its output.
type options struct {
	clusters, concurrency int
	timeout               time.Duration
	flood                 bool
	out                   io.Writer
}

func main() {
	o := options{out: os.Stdout}
	flag.IntVar(&o.clusters, "clusters", 200, "number of API servers")
	flag.IntVar(&o.concurrency, "concurrency", fleet.DefaultConcurrency, "value of --concurrency")
	flag.DurationVar(&o.timeout, "timeout", 15*time.Second, "value of --cluster-timeout")
	flag.BoolVar(&o.flood, "flood", false, "every API server sends a body without an end")
	flag.Parse()
	if err := run(context.Background(), o); err != nil {
		fmt.Fprintln(os.Stderr, "fleet:", err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

// kind is the behaviour of a stub API server. Its value completes the sentence "The server should ...".
type kind string

const (
	healthy      kind = "answer"
	unauthorized kind = "answer 401"
	hangs        kind = "never answer"
	floods       kind = "send a body without an end"
)

// kindOf returns the behaviour of the server with an index. Of 20 servers one hangs, one sends a body without an end, and two answer 401.
// With -flood, every server sends a body without an end.
func (o options) kindOf(i int) kind {
	switch {
	case o.flood, i%20 == 7:
		return floods
	case i%20 == 3:
		return hangs
	case i%10 == 5:
		return unauthorized
	}
	return healthy
}

// latency returns the time before each response of the server with an index. It is 20 to 210 ms, as for clusters on several continents.
func latency(i int) time.Duration { return time.Duration(20+i%20*10) * time.Millisecond }

// stubs are the running API servers.
type stubs struct {
	servers      []*httptest.Server
	lists        map[string][]byte // the responses for the resources of RBAC
	requests     atomic.Int64      // requests in progress
	mostRequests atomic.Int64      // the largest value of requests
	bytes        atomic.Int64      // bytes of all responses
}

func (s *stubs) start(o options) {
	for i := range o.clusters {
		server := httptest.NewUnstartedServer(s.handler(o.kindOf(i), i))
		server.EnableHTTP2 = true
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		server.StartTLS()
		s.servers = append(s.servers, server)
	}
}

func (s *stubs) stop() {
	for _, server := range s.servers {
		server.CloseClientConnections()
		server.Close()
	}
}

// handler returns the handler of the server with an index. It counts the requests and the bytes of the responses.
func (s *stubs) handler(k kind, i int) http.HandlerFunc {
	object, err := awsAuth(i)
	lists := s.lists
	return func(w http.ResponseWriter, r *http.Request) {
		now := s.requests.Add(1)
		defer s.requests.Add(-1)
		for most := s.mostRequests.Load(); now > most && !s.mostRequests.CompareAndSwap(most, now); {
			most = s.mostRequests.Load()
		}
		if err != nil || k == hangs {
			<-r.Context().Done()
			return
		}
		time.Sleep(latency(i))
		w.Header().Set("Content-Type", "application/json")
		body := object
		switch {
		case k == unauthorized:
			w.WriteHeader(http.StatusUnauthorized)
			body = []byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401}`)
		case k == floods:
			body = bytes.Repeat([]byte(" "), 1<<20)
		case strings.Contains(r.URL.Path, "/rbac.authorization.k8s.io/"):
			body = lists[r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]]
		}
		for {
			n, err := w.Write(body)
			s.bytes.Add(int64(n))
			if k != floods || err != nil {
				return
			}
		}
	}
}

// awsAuth returns the aws-auth of the cluster with an index, as JSON. It has 20 roles that are the same in all clusters. The first cluster
// has another role, which is an admin.
func awsAuth(i int) ([]byte, error) {
	var b strings.Builder
	for role := range 20 {
		fmt.Fprintf(&b, "- rolearn: arn:aws:iam::111122223333:role/team-%d\n  username: team-%[1]d\n  groups: [group-%[1]d]\n", role)
	}
	if i == 0 {
		b.WriteString("- rolearn: arn:aws:iam::111122223333:role/odd\n  username: odd\n  groups: [system:masters]\n")
	}
	return json.Marshal(map[string]any{"kind": "ConfigMap", "apiVersion": "v1", "metadata": map[string]any{"name": "aws-auth", "namespace": "kube-system"}, "data": map[string]string{"mapRoles": b.String()}})
}

// rbacList returns a list of 500 objects of a resource, as an API server of a large cluster returns one page.
func rbacList(resource string) []byte {
	item, list := `{"metadata":{"name":"object-%d","namespace":"ns"},"rules":[{"verbs":["get","list"],"apiGroups":["example.com"],"resources":["things"]}]}`, "RoleList"
	switch resource {
	case "clusterroles":
		list = "ClusterRoleList"
	case "clusterrolebindings", "rolebindings":
		item = `{"metadata":{"name":"object-%[1]d","namespace":"ns"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"object-%[1]d"},"subjects":[{"kind":"Group","name":"group-%[1]d"}]}`
		list = map[string]string{"clusterrolebindings": "ClusterRoleBindingList", "rolebindings": "RoleBindingList"}[resource]
	}
	var items []string
	for i := range 500 {
		items = append(items, fmt.Sprintf(item, i))
	}
	return []byte(`{"kind":"` + list + `","apiVersion":"rbac.authorization.k8s.io/v1","metadata":{},"items":[` + strings.Join(items, ",") + `]}`)
}

// kubeconfig writes a kubeconfig with a context for each server.
func (s *stubs) kubeconfig(file string) error {
	var clusters, contexts []map[string]any
	for i, server := range s.servers {
		name := fmt.Sprintf("cluster-%03d", i)
		ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
		clusters = append(clusters, map[string]any{"name": name, "cluster": map[string]any{"server": server.URL, "certificate-authority-data": ca}})
		contexts = append(contexts, map[string]any{"name": name, "context": map[string]any{"cluster": name, "user": "u"}})
	}
	text, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "cluster-000", "clusters": clusters, "contexts": contexts,
		"users": []any{map[string]any{"name": "u", "user": map[string]any{"token": "t"}}},
	})
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o600)
}

// maxMemory returns the limit for the memory of the program over these servers, in bytes. It is the sum of a base for the program with its
// results, and of three times fleet.MaxResponseBytes for each cluster that the program reads at the same time. The factor is three because
// Go doubles a growing buffer, and the decoded objects are in memory beside the buffer. Other servers can make the program use more, because
// small objects take more memory than their response.
func maxMemory(concurrency int) int64 {
	return 128<<20 + int64(concurrency)*3*fleet.MaxResponseBytes
}

func run(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp("", "fleet")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	program, file := filepath.Join(dir, "kubectl-awsauth"), filepath.Join(dir, "kubeconfig")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", program, "./cmd/kubectl-awsauth").CombinedOutput(); err != nil { //nolint:gosec // the path is that of a temporary folder
		return fmt.Errorf("building kubectl-awsauth: %w\n%s", err, out)
	}
	s := &stubs{lists: make(map[string][]byte)}
	for _, resource := range []string{"clusterroles", "clusterrolebindings", "roles", "rolebindings"} {
		s.lists[resource] = rbacList(resource)
	}
	s.start(o)
	defer s.stop()
	if err := s.kubeconfig(file); err != nil {
		return err
	}
	counts, times := map[kind]int{}, map[kind]time.Duration{}
	for i := range o.clusters {
		counts[o.kindOf(i)]++
		times[healthy] += 5 * latency(i) // a command makes at most five requests to a cluster
	}
	var failures []error
	for _, command := range []string{"get", "lint"} {
		failures = append(failures, o.measure(ctx, s, command, program, file, counts, times[healthy]))
	}
	return errors.Join(failures...)
}

// measure runs a command over all servers, and prints its time and memory. It returns an error if a cluster has the wrong result, or if a
// limit is exceeded. answering is the time of the requests to all clusters if every server answers.
func (o options) measure(ctx context.Context, s *stubs, command, program, kubeconfig string, counts map[kind]int, answering time.Duration) error {
	s.mostRequests.Store(0)
	s.bytes.Store(0)
	cmd := exec.CommandContext(ctx, program, command, //nolint:gosec // the program that run built
		"--kubeconfig", kubeconfig, "--contexts", "all", "-o", "json",
		"--concurrency", fmt.Sprint(o.concurrency), "--cluster-timeout", o.timeout.String())
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	start := time.Now() //nolint:forbidigo // the clock itself
	err := cmd.Run()
	took := time.Since(start)
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return err
	}
	var result struct {
		Clusters []struct {
			State  string   `json:"state"`
			Errors []string `json:"errors"`
		} `json:"clusters"`
	}
	if err := json.Unmarshal(stdout.Bytes(), &result); err != nil {
		return fmt.Errorf("%s: decoding the output: %w\n%s", command, err, &stderr)
	}
	if len(result.Clusters) != o.clusters {
		return fmt.Errorf("%s: the output has %d clusters, want %d\n%s", command, len(result.Clusters), o.clusters, &stderr)
	}
	known, wrong := 0, []error{}
	for i, c := range result.Clusters {
		if c.State == string(fleet.StateOK) {
			known++
		}
		if (c.State == string(fleet.StateOK)) != (o.kindOf(i) == healthy) {
			wrong = append(wrong, fmt.Errorf("%s: cluster %d, whose server should %s, has the state %s: %v", command, i, o.kindOf(i), c.State, c.Errors))
		}
	}
	memory := int64(0)
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		memory = usage.Maxrss << 10
	}
	// limit is the time of all clusters together, divided by the number of clusters at a time, plus the time of the cluster that begins
	// last. worst is the same limit if no server answers. Only worst must hold.
	slow := time.Duration(counts[hangs]+counts[floods]) * (o.timeout + time.Second)
	limit := (answering+slow)/time.Duration(o.concurrency) + o.timeout + time.Second
	worst := time.Duration(o.clusters)*(o.timeout+time.Second)/time.Duration(o.concurrency) + o.timeout + time.Second
	fmt.Fprintf(o.out, "%s: %d clusters, of which %d answer, %d answer 401, %d never answer and %d send a body without an end; %d at a time, --cluster-timeout %s\n",
		command, o.clusters, counts[healthy], counts[unauthorized], counts[hangs], counts[floods], o.concurrency, o.timeout)
	fmt.Fprintf(o.out, "  %d known, %d unknown, exit status %d\n", known, o.clusters-known, cmd.ProcessState.ExitCode())
	fmt.Fprintf(o.out, "  time    %6.1f s, %.2f of the limit for these servers (%.1f s); the limit for any servers is %.0f s\n", took.Seconds(), took.Seconds()/limit.Seconds(), limit.Seconds(), worst.Seconds())
	fmt.Fprintf(o.out, "  memory  %6d MiB, %.2f of the limit (%d MiB); CPU %.1f s\n", memory>>20, float64(memory)/float64(maxMemory(o.concurrency)), maxMemory(o.concurrency)>>20, (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds())
	fmt.Fprintf(o.out, "  at most %d requests at a time; the servers sent %d MiB\n", s.mostRequests.Load(), s.bytes.Load()>>20)
	if took > worst || memory > maxMemory(o.concurrency) {
		wrong = append(wrong, fmt.Errorf("%s: a limit is exceeded", command))
	}
	return errors.Join(wrong...)
}
