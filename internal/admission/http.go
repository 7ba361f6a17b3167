package admission

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"os"
	"runtime"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/awsauth-guard/awsauth-guard/internal/textutil"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

const (
	// maxBody limits the body of a request, in bytes: two objects of at most 3 MiB each and 1 MiB for everything else.
	// controller-runtime has the same limit.
	maxBody = 7 << 20
	// maxObject limits a new object, in bytes of JSON. The next review contains this object and another one, and must fit
	// into maxBody. JSON encodes some characters with six bytes, so a ConfigMap of 1 MiB can exceed maxObject.
	maxObject = 3 << 20

	// defaultTimeout is the API server's default for a webhook without timeoutSeconds.
	defaultTimeout = 10 * time.Second
	// maxTimeout is the longest timeout that the API server allows for a webhook.
	maxTimeout = 30 * time.Second

	// maxQueue limits the total time in which a request waits for memory, for its body and for its first evaluation slot.
	// The rest of the API server's default timeout is for the evaluation and IAM. The timeout in the request can shorten
	// this wait but can't extend it.
	maxQueue = 5 * time.Second
	// maxRead limits the time for reading a body. The API server sends the body without a pause: 7 MiB in 2 s are
	// 30 Mbit/s.
	maxRead = 2 * time.Second
	// maxWrite limits the time for writing the response.
	maxWrite = 5 * time.Second

	// smallBody is the largest body, in bytes, that counts as small. A review of two objects with some hundred entries each
	// has a small body.
	smallBody = 128 << 10
	// minBody is the number of bytes by which the memory limit counts a smaller body, because every request also needs
	// memory for a goroutine and headers.
	minBody = 8 << 10
	// smallMemory and largeMemory limit the bytes of all bodies that the Handler reads, queues or evaluates at the same
	// time. smallShare and largeShare limit these bytes for one source address. Small bodies have their own memory and
	// slots, so that a small body never waits for a large one. At the same time, one source address can send 2 bodies of
	// maxBody bytes and 4 bodies of smallBody bytes. Instead of these 4 bodies it can send 64 bodies of up to minBody
	// bytes.
	smallMemory, smallShare = 16 << 20, 512 << 10
	largeMemory, largeShare = 6 * maxBody, 2 * maxBody
)

// DefaultConcurrency returns the default number of concurrent evaluations: two per CPU, at most 8. Evaluation is
// CPU-bound, so a higher number makes no review faster. This number also limits memory. The command make soak prints how
// much memory reviews of 1 MiB use.
func DefaultConcurrency() int { return min(2*runtime.GOMAXPROCS(0), 8) }

// httpError is the error for a request that isn't a valid review or that exceeded a limit. code is the HTTP status of the
// response.
type httpError struct {
	code int
	err  error
}

func (e *httpError) Error() string { return e.err.Error() }
func (e *httpError) Unwrap() error { return e.err }

func httpErrorf(code int, format string, args ...any) *httpError {
	return &httpError{code, fmt.Errorf(format, args...)}
}

// ServeHTTP answers one review. A request that isn't a valid review or that exceeds a limit gets a 4xx status and a response
// that refuses it.
//
// The API server sends its timeout with the request. The review takes at most four fifths of this timeout; the rest is for
// sending the response. After the timeout the API server ignores the response. It then admits the change if the webhook's
// failurePolicy is Ignore. Any caller can choose a long timeout, so [maxQueue] also limits how long a request waits.
//
// A request passes three limits: the memory for its body, the time for reading the body, and the number of evaluation
// slots. Source addresses share the memory and the slots (see [limiter]). A request gets a slot only after its whole body
// has arrived.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.serve(w, r, false) }

// Observer returns an HTTP handler that answers reviews like [Handler.Observe]. The HTTP handler and ServeHTTP share their
// limits on memory and concurrency.
func (h *Handler) Observer() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.serve(w, r, true) })
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request, observed bool) {
	start := h.now()
	// The context also ends when the caller disconnects.
	ctx, cancel := context.WithTimeout(r.Context(), timeoutOf(r)*4/5)
	defer cancel()
	answer, err := h.answer(ctx, w, r, observed)
	code, connection := http.StatusOK, http.NewResponseController(w)
	if err != nil {
		// Don't wait for the unread rest of the body. SetReadDeadline fails for a test's ResponseRecorder, which isn't
		// a connection.
		_ = connection.SetReadDeadline(time.Now()) //nolint:forbidigo // connections use real time for deadlines
		var e *httpError
		if !errors.As(err, &e) {
			e = &httpError{http.StatusInternalServerError, err}
		}
		code = e.code
		answer = h.refuse(r.Context(), e, h.now().Sub(start))
	}
	_ = connection.SetWriteDeadline(time.Now().Add(maxWrite)) //nolint:forbidigo // connections use real time for deadlines
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	if _, err := w.Write(answer); err != nil { //nolint:gosec // the Content-Type header says JSON, so browsers don't render it
		h.log.LogAttrs(r.Context(), slog.LevelWarn, "writing an answer to the API server failed", slog.String("err", err.Error()))
	}
}

// wait acquires a weight from the limiter for the source address of a request. The caller gives the weight back by
// calling release. If ctx ends first, the error has the status 429 (Too Many Requests).
func wait(ctx context.Context, l *limiter, r *http.Request, weight int64) (release func(), err error) {
	address, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		address = r.RemoteAddr
	}
	release, err = l.acquire(ctx, address, weight)
	if err != nil {
		return nil, httpErrorf(http.StatusTooManyRequests, "the request waited for other requests until its time limit: %w", context.Cause(ctx))
	}
	return release, nil
}

// answer reads a review, evaluates it and returns the encoded response. observed means that the request came on the
// observing path. answer holds an evaluation slot while it uses the CPU. It holds none while it waits for the body, for IAM
// or for the API server.
func (h *Handler) answer(ctx context.Context, w http.ResponseWriter, r *http.Request, observed bool) ([]byte, error) {
	if r.Method != http.MethodPost {
		return nil, httpErrorf(http.StatusMethodNotAllowed, "the method is %s, not POST", textutil.Shorten(r.Method, maxLogged))
	}
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return nil, httpErrorf(http.StatusUnsupportedMediaType, "the content type is %q, not application/json", textutil.Shorten(r.Header.Get("Content-Type"), maxLogged))
	}
	if r.ContentLength > maxBody {
		return nil, errTooLarge
	}
	size := r.ContentLength
	if size < 0 { // there is no Content-Length header; the API server always sends one
		size = maxBody
	}
	class := h.small
	if size > smallBody {
		class = h.large
	}
	queue, cancel := context.WithTimeout(ctx, maxQueue)
	defer cancel()
	release, err := wait(queue, class.memory, r, max(size, minBody))
	if err != nil {
		return nil, err
	}
	defer release()
	body, err := readBody(queue, w, r)
	if err != nil {
		return nil, err
	}
	releaseSlot, err := wait(queue, class.slots, r, 1)
	if err != nil {
		return nil, err
	}
	defer func() { releaseSlot() }() //nolint:gocritic // the code below assigns another function to releaseSlot
	review, meta, err := h.prepareBody(body, observed)
	if err != nil {
		return nil, err
	}
	var known validate.Answers
	if review.asks() {
		releaseSlot()
		releaseSlot = func() {}
		known = h.lookUp(ctx, review, class.lookup)
		// If no slot becomes free in time, finish without one: the review is nearly done, and a denial must reach the
		// caller.
		if again, err := wait(ctx, class.slots, r, 1); err == nil {
			releaseSlot = again
		}
	}
	return encode(meta, h.finish(ctx, review, known)), nil
}

// prepareBody decodes a body and prepares its review. observed means that the request came on the observing path.
func (h *Handler) prepareBody(body []byte, observed bool) (*review, metav1.TypeMeta, error) {
	review := admissionv1.AdmissionReview{}
	// Use the API server's decoder, which matches keys case-sensitively.
	if err := utiljson.Unmarshal(body, &review); err != nil {
		return nil, metav1.TypeMeta{}, httpErrorf(http.StatusBadRequest, "the body is not a review: %w", err)
	}
	if review.Request == nil {
		review.Request = &admissionv1.AdmissionRequest{}
	}
	if err := checkVersion(&review.TypeMeta); err != nil {
		return nil, metav1.TypeMeta{}, err
	}
	return h.prepare(h.newRequest(review.Request, observed)), review.TypeMeta, nil
}

var errTooLarge = httpErrorf(http.StatusRequestEntityTooLarge, "the body is larger than %d bytes", maxBody)

// readBody returns the body of a request. It returns an error if the body is larger than maxBody. It also returns an
// error if the whole body has not arrived within maxRead, or by the deadline of ctx.
func readBody(ctx context.Context, w http.ResponseWriter, r *http.Request) (body []byte, err error) {
	control := http.NewResponseController(w)
	deadline := time.Now().Add(maxRead) //nolint:forbidigo // connections use real time for deadlines
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	_ = control.SetReadDeadline(deadline) // fails for a test's ResponseRecorder, which isn't a connection
	body, err = io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, httpErrorf(http.StatusRequestTimeout, "the body did not arrive in time: %w", err)
	case err != nil:
		return nil, httpErrorf(http.StatusBadRequest, "the body did not arrive: %w", err)
	case len(body) > maxBody:
		return nil, errTooLarge
	}
	_ = control.SetReadDeadline(time.Time{}) // later requests on this connection have their own deadline
	return body, nil
}

// checkVersion returns an error if the type is not AdmissionReview v1 or v1beta1. Both versions have the same fields. An
// empty type counts as v1: checkVersion sets t to v1.
func checkVersion(t *metav1.TypeMeta) error {
	if *t == (metav1.TypeMeta{}) {
		*t = metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "AdmissionReview"}
	}
	if t.Kind != "AdmissionReview" || t.APIVersion != "admission.k8s.io/v1" && t.APIVersion != "admission.k8s.io/v1beta1" {
		return httpErrorf(http.StatusBadRequest, "the body is a %q of %q, not an AdmissionReview of admission.k8s.io/v1", textutil.Shorten(t.Kind, maxLogged), textutil.Shorten(t.APIVersion, maxLogged))
	}
	return nil
}

// timeoutOf returns how long the API server waits for the response, at most maxTimeout. client-go sends this timeout in the
// query. For a query without a valid timeout, timeoutOf returns defaultTimeout.
func timeoutOf(r *http.Request) time.Duration {
	timeout, err := time.ParseDuration(r.URL.Query().Get("timeout"))
	if err != nil || timeout <= 0 {
		return defaultTimeout
	}
	return min(timeout, maxTimeout)
}

// refuse counts and logs a request that isn't a valid review or that exceeded a limit, and returns the encoded refusal. It
// logs the first 10 requests and then at most one a second, because any caller can send such requests at any rate.
func (h *Handler) refuse(ctx context.Context, e *httpError, took time.Duration) []byte {
	h.recorder.Reviewed("", outcomeError, false, took)
	h.refusals.Do(func() {
		h.log.LogAttrs(ctx, slog.LevelError, "refused a request without a review",
			slog.Int("code", e.code),
			slog.String("err", textutil.Shorten(e.Error(), maxLogged)),
			slog.Float64("duration_seconds", took.Seconds()),
		)
	})
	response := errored("", e)
	response.Result.Code = int32(e.code) //nolint:gosec // an HTTP status fits into an int32
	return encode(metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "AdmissionReview"}, response)
}

// encode returns a review as JSON. It panics if encoding fails, which can't happen: every response has a JSON form.
func encode(t metav1.TypeMeta, response *admissionv1.AdmissionResponse) []byte {
	text, err := json.Marshal(admissionv1.AdmissionReview{TypeMeta: t, Response: response})
	if err != nil {
		panic(fmt.Sprintf("admission: writing a response: %v", err))
	}
	return text
}
