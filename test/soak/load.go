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
	// reviewTimeout is the longest that an API server waits for a webhook.
	reviewTimeout = 30 * time.Second
	// renewAfter is how many requests a connection is used for: so few that every certificate and
	// every moment of a change meets new connections.
	renewAfter = 200
	// maxExamples bounds how many failures are kept word for word.
	maxExamples = 10
)

// Configurations that may hold while a review is judged.
const (
	changing int32 = iota // one or the other
	usesA
	usesB
)

// tally counts what comes back.
type tally struct {
	done atomic.Int64 // reviews and broken bodies that were sent

	mu          sync.Mutex
	reviews     int
	broken      int
	lost, wrong int
	examples    []string
	latencies   []time.Duration
}

func (t *tally) failed(counter *int, format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	*counter++
	if len(t.examples) < maxExamples {
		t.examples = append(t.examples, fmt.Sprintf(format, args...))
	}
}

func (t *tally) answered(took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reviews++
	t.latencies = append(t.latencies, took)
}

// percentile is the latency that a share of the reviews kept within.
func (t *tally) percentile(share float64) time.Duration {
	if len(t.latencies) == 0 {
		return 0
	}
	slices.Sort(t.latencies)
	return t.latencies[int(share*float64(len(t.latencies)-1))]
}

// load sends a schedule again and again.
type load struct {
	url       string
	newClient func() *http.Client
	schedule  []scheduled
	now       func() time.Time
	// config is the configuration in use, and above the two lowest bits how often it has changed.
	config atomic.Int32
	next   atomic.Int64
	// every is after how many requests sample is called.
	every  int64
	sample func()
	tally
}

// settle says which configuration is in use from now on.
func (l *load) settle(config int32) { l.config.Store(l.config.Load()&^3 + 4 + config) }

// run sends from connections times streams clients at once until stop is closed, and finishes what
// has begun. Requests end with ctx.
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

// once sends n requests at once.
func (l *load) once(ctx context.Context, n int) {
	c := &connection{newClient: l.newClient}
	defer c.close()
	var running sync.WaitGroup
	for range n {
		running.Go(func() { l.send(ctx, c) })
	}
	running.Wait()
}

// send sends the next of the schedule.
func (l *load) send(ctx context.Context, c *connection) {
	n := l.next.Add(1)
	what := l.schedule[int(n)%len(l.schedule)]
	client := c.acquire()
	if what.review != nil {
		l.sendReview(ctx, client, what.review, fmt.Sprintf("%0*d", uidLength, n))
	} else {
		l.sendBroken(ctx, client, what.broken)
	}
	c.release(client)
	if done := l.done.Add(1); l.every > 0 && done%l.every == 0 {
		l.sample()
	}
}

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
	if unsettled := before&3 == changing || l.config.Load() != before; problem != "" && unsettled {
		if check(reply, uid, c.expected(usesA)) == "" || check(reply, uid, c.expected(usesB)) == "" {
			problem = ""
		}
	}
	if problem != "" {
		l.failed(&l.wrong, "wrong: %s: %s", c.name, problem)
	}
}

// sendBroken expects a 4xx or a review that is refused.
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
		l.failed(&l.wrong, "wrong: the body %q is answered with status %d and %s", c.name, status, cut(reply))
	}
}

// post sends a body as the API server does: what net/http may send again can be read again.
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

// check says in what a reply differs from the expected one.
func check(reply []byte, uid string, want answer) string {
	var review admissionv1.AdmissionReview
	if err := json.Unmarshal(reply, &review); err != nil || review.Response == nil {
		return fmt.Sprintf("no review: %v, %s", err, cut(reply))
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

// cut is the beginning of a reply.
func cut(reply []byte) string { return fmt.Sprintf("%.300q", reply) }

// connection is an HTTP/2 connection that is renewed now and then.
type connection struct {
	newClient func() *http.Client

	mu     sync.Mutex
	client *http.Client
	sent   int
	users  map[*http.Client]int
}

// acquire returns a client, which must be released.
func (c *connection) acquire() *http.Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.users == nil {
		c.users = make(map[*http.Client]int)
	}
	if c.client == nil || c.sent >= renewAfter {
		c.client, c.sent = c.newClient(), 0
	}
	c.sent++
	c.users[c.client]++
	return c.client
}

// release closes a client's connection when it has been replaced and is not in use.
func (c *connection) release(client *http.Client) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.users[client]--
	if c.users[client] == 0 && (client != c.client || c.sent >= renewAfter) {
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
