package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
)

const (
	// reviewTimeout is the maximum timeoutSeconds of a webhook.
	reviewTimeout = 30 * time.Second
	// maxConnectionUses is the maximum number of requests on a connection. It is low, so that clients open new connections
	// during every change of the configuration and with every certificate.
	maxConnectionUses = 200
	// maxExamples is the largest number of failures that the soak describes.
	maxExamples = 10
)

// The configuration that the webhook may use when it evaluates a review.
const (
	usesAOrB int32 = iota // either configuration, because a change is under way
	usesA
	usesB
)

// results counts the responses and collects the failures.
type results struct {
	done atomic.Int64 // number of completed reviews and broken bodies

	mu          sync.Mutex
	reviews     int
	broken      int
	lost, wrong int
	examples    []string
	latencies   []time.Duration
}

// failed counts a failure in a counter of t, and describes the first failures of all kinds.
func (t *results) failed(counter *int, format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	*counter++
	if len(t.examples) < maxExamples {
		t.examples = append(t.examples, fmt.Sprintf(format, args...))
	}
}

func (t *results) answered(took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reviews++
	t.latencies = append(t.latencies, took)
}

// percentile returns the latency that the given share of the reviews did not exceed. share is between 0 and 1.
func (t *results) percentile(share float64) time.Duration {
	if len(t.latencies) == 0 {
		return 0
	}
	slices.Sort(t.latencies)
	return t.latencies[int(share*float64(len(t.latencies)-1))]
}

// load sends the requests of a schedule repeatedly, and checks the responses.
type load struct {
	url       string
	newClient func() *http.Client
	schedule  []scheduled
	now       func() time.Time
	// config holds the configuration in use in the two lowest bits, and the number of changes above them.
	config atomic.Int32
	next   atomic.Int64
	// every is the number of requests between two calls of sample. If it is 0, the load doesn't call sample.
	every  int64
	sample func()
	results
}

// setConfig records the configuration that is in use from now on.
func (l *load) setConfig(config int32) { l.config.Store(l.config.Load()&^3 + 4 + config) }

// run sends requests until stop is closed, and then waits for the requests under way. It uses several connections, and
// several concurrent streams on each. If ctx ends, run also cancels the requests under way.
func (l *load) run(ctx context.Context, connections, streams int, stop <-chan struct{}) {
	var running sync.WaitGroup
	open := make([]*connection, connections)
	for i := range open {
		c := &connection{newClient: l.newClient}
		open[i] = c
		for range streams {
			running.Go(func() {
				for {
					select {
					case <-stop:
						return
					case <-ctx.Done():
						return
					default:
						l.send(ctx, c)
					}
				}
			})
		}
	}
	running.Wait()
	for _, c := range open {
		c.close()
	}
}

// sendAtOnce sends n concurrent requests.
func (l *load) sendAtOnce(ctx context.Context, n int) {
	c := &connection{newClient: l.newClient}
	defer c.close()
	var running sync.WaitGroup
	for range n {
		running.Go(func() { l.send(ctx, c) })
	}
	running.Wait()
}

// send sends the next request of the schedule.
func (l *load) send(ctx context.Context, c *connection) {
	n := l.next.Add(1)
	next := l.schedule[int(n)%len(l.schedule)]
	client := c.acquire()
	if next.review != nil {
		l.sendReview(ctx, client, next.review, fmt.Sprintf("%0*d", uidLength, n))
	} else {
		l.sendBroken(ctx, client, next.broken)
	}
	c.release(client)
	if done := l.done.Add(1); l.every > 0 && done%l.every == 0 {
		l.sample()
	}
}

// sendReview sends a review and checks the response. If the configuration may have changed since the request was sent, the
// expected answer with either configuration is right.
func (l *load) sendReview(ctx context.Context, client *http.Client, c *reviewCase, uid string) {
	before := l.config.Load()
	started := l.now()
	status, reply, err := post(ctx, client, l.url, c.body.length(), func() io.Reader { return c.body.reader(uid) })
	took := l.now().Sub(started)
	if err != nil || status != http.StatusOK {
		if ctx.Err() == nil {
			l.failed(&l.lost, "lost: %s after %s: status %d, %v", c.name, took.Round(time.Millisecond), status, err)
		}
		return
	}
	l.answered(took)
	problem := check(reply, uid, c.expected(before&3))
	if unsettled := before&3 == usesAOrB || l.config.Load() != before; problem != "" && unsettled {
		if check(reply, uid, c.expected(usesA)) == "" || check(reply, uid, c.expected(usesB)) == "" {
			problem = ""
		}
	}
	if problem != "" {
		l.failed(&l.wrong, "wrong: %s: %s", c.name, problem)
	}
}

// sendBroken sends a broken body. It expects a status 4xx, or a response that denies the request with a message.
func (l *load) sendBroken(ctx context.Context, client *http.Client, c *brokenCase) {
	status, reply, err := post(ctx, client, l.url, int64(len(c.body)), func() io.Reader { return bytes.NewReader(c.body) })
	if err != nil {
		if ctx.Err() == nil {
			l.failed(&l.lost, "lost: %s: %v", c.name, err)
		}
		return
	}
	l.mu.Lock()
	l.broken++
	l.mu.Unlock()
	if status >= 400 && status < 500 {
		return
	}
	var review admissionv1.AdmissionReview
	err = json.Unmarshal(reply, &review)
	if err != nil || status != http.StatusOK || review.Response == nil || review.Response.Allowed || review.Response.Result == nil || review.Response.Result.Message == "" {
		l.failed(&l.wrong, "wrong: the response to the body %q has status %d and the body %s", c.name, status, shorten(reply))
	}
}

// post sends a body as the API server does. It sets GetBody, so that net/http can repeat the request. body returns a new
// reader of the body for each attempt.
func post(ctx context.Context, client *http.Client, url string, length int64, body func() io.Reader) (status int, reply []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, reviewTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, body())
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.ContentLength = length
	request.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(body()), nil }
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	reply, err = io.ReadAll(response.Body)
	return response.StatusCode, reply, err
}

// check returns the difference of a reply from the expected answer, or "" if there is none.
func check(reply []byte, uid string, want answer) string {
	var review admissionv1.AdmissionReview
	if err := json.Unmarshal(reply, &review); err != nil || review.Response == nil {
		return fmt.Sprintf("no review: %v, %s", err, shorten(reply))
	}
	r := review.Response
	got := fmt.Sprintf("verdict %q and rules %q", r.AuditAnnotations["verdict"], r.AuditAnnotations["rules"])
	rules := strings.Split(r.AuditAnnotations["rules"], ",")
	refused := want.verdict == "deny"
	switch {
	case string(r.UID) != uid:
		return fmt.Sprintf("the uid is %q, want %q", r.UID, uid)
	case r.AuditAnnotations["verdict"] != want.verdict, !slices.Contains(rules, want.rule):
		return fmt.Sprintf("%s, want %q and %q", got, want.verdict, want.rule)
	case r.Allowed == refused, want.verdict == "warn" && len(r.Warnings) == 0:
		return fmt.Sprintf("%s, allowed %t, %d warnings", got, r.Allowed, len(r.Warnings))
	case refused && (r.Result == nil || r.Result.Code < 400 || r.Result.Code > 499 || !strings.Contains(r.Result.Message, "["+want.rule+"]")):
		return fmt.Sprintf("%s, the status is %v", got, r.Result)
	}
	return ""
}

// shorten returns the start of a reply.
func shorten(reply []byte) string { return fmt.Sprintf("%.300q", reply) }

// connection is an HTTP/2 connection. After maxConnectionUses requests, a new client with a new connection replaces it.
type connection struct {
	newClient func() *http.Client

	mu     sync.Mutex
	client *http.Client
	sent   int
	users  map[*http.Client]int
}

// acquire returns a client. The caller must release it after its request.
func (c *connection) acquire() *http.Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.users == nil {
		c.users = make(map[*http.Client]int)
	}
	if c.client == nil || c.sent >= maxConnectionUses {
		c.client, c.sent = c.newClient(), 0
	}
	c.sent++
	c.users[c.client]++
	return c.client
}

// release ends the caller's use of the client. It closes the client's connection if no other caller uses the client, and
// the client was replaced or has sent maxConnectionUses requests.
func (c *connection) release(client *http.Client) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.users[client]--
	if c.users[client] == 0 && (client != c.client || c.sent >= maxConnectionUses) {
		client.CloseIdleConnections()
		delete(c.users, client)
	}
}

func (c *connection) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client != nil {
		c.client.CloseIdleConnections()
	}
}
