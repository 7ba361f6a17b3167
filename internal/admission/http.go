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
)

const (
	// maxBody bounds a request, as controller-runtime does: two objects of at most 3 MiB each and
	// 1 MiB for everything else.
	maxBody = 7 << 20
	// maxObject bounds a new object, so that the next review, which holds it beside another one, is
	// still read: JSON writes some characters with six bytes, so that a ConfigMap of 1 MiB can take more.
	maxObject = 3 << 20

	// defaultTimeout is the API server's own for a webhook that sets none.
	defaultTimeout = 10 * time.Second
	// maxTimeout is the longest that the API server allows a webhook.
	maxTimeout = 30 * time.Second

	// maxQueue bounds how long a request waits for memory, for its body and for its place among the reviews that are
	// evaluated. It is shorter than the API server's default timeout by the time that an evaluation and IAM take. The
	// timeout that the caller names can only shorten it.
	maxQueue = 5 * time.Second
	// maxRead bounds the time in which a body arrives. The API server sends it in one go: 7 MiB in
	// 2 s are 30 Mbit/s.
	maxRead = 2 * time.Second
	// maxWrite bounds the time in which the caller takes the answer.
	maxWrite = 5 * time.Second

	// smallBody is more than a review of some hundred entries before and after.
	smallBody = 128 << 10
	// minBody is what any request costs beside its body: a goroutine and its headers.
	minBody = 8 << 10
	// Bytes of the requests that are read, wait or are evaluated, in all and of one source address. Small bodies have
	// memory and places of their own, so that they never wait for large ones. A source has room for 4 small bodies of the largest
	// size, or 64 of the usual one; and for two of the largest bodies.
	smallMemory, smallShare = 16 << 20, 512 << 10
	largeMemory, largeShare = 6 * maxBody, 2 * maxBody
)

// DefaultConcurrency is the number of reviews that are evaluated at the same time: two per CPU, at most 8. Evaluation is
// CPU-bound, so a higher number makes no review faster. The limit also bounds memory; make soak prints how much memory
// reviews of 1 MiB use.
func DefaultConcurrency() int { return min(2*runtime.GOMAXPROCS(0), 8) }

// httpError refuses a request that is no review, or that came too late.
type httpError struct {
	code int
	err  error
}

func (e *httpError) Error() string { return e.err.Error() }
func (e *httpError) Unwrap() error { return e.err }

func httpErrorf(code int, format string, args ...any) *httpError {
	return &httpError{code, fmt.Errorf(format, args...)}
}

// ServeHTTP answers one review. What is no review gets a status of 4xx and a review that refuses.
//
// The request's own timeout, which the API server sends with it, bounds the whole review; a fifth is kept back for
// the way of the answer. After that time the API server would no longer listen, and where the webhook's
// failurePolicy is Ignore it would let the change pass. How long a request waits for others is bounded by [maxQueue]
// too, because the caller chooses its timeout.
//
// A request passes three limits, each shared out by source address (see [limiter]): the memory for its body, the time
// in which the body arrives, and its place among the reviews that are evaluated. A body that has not arrived holds no
// place.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.serve(w, r, false) }

// Observer answers as [Handler.Observe] does, within the same bounds of memory and concurrency:
// it is the same Handler on another path.
func (h *Handler) Observer() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.serve(w, r, true) })
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request, observed bool) {
	start := h.now()
	// The context ends when the caller gives up; then the request waits no longer.
	ctx, cancel := context.WithTimeout(r.Context(), timeoutOf(r)*4/5)
	defer cancel()
	answer, err := h.answer(ctx, w, r, observed)
	code, connection := http.StatusOK, http.NewResponseController(w)
	if err != nil {
		// Don't wait for the rest of a body that is not read. Deadlines fail for a test's recorder, which is no connection.
		_ = connection.SetReadDeadline(time.Now()) //nolint:forbidigo // a deadline of a connection is in real time
		var e *httpError
		if !errors.As(err, &e) {
			e = &httpError{http.StatusInternalServerError, err}
		}
		code = e.code
		answer = h.refuse(r.Context(), e, h.now().Sub(start))
	}
	_ = connection.SetWriteDeadline(time.Now().Add(maxWrite)) //nolint:forbidigo // a deadline of a connection is in real time
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	if _, err := w.Write(answer); err != nil { //nolint:gosec // it is JSON, and said to be
		h.log.LogAttrs(r.Context(), slog.LevelWarn, "an answer was not read", slog.String("err", err.Error()))
	}
}

// wait acquires a weight for the source address of a request.
func wait(ctx context.Context, l *limiter, r *http.Request, weight int64) (*grant, error) {
	address, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		address = r.RemoteAddr
	}
	g, err := l.acquire(ctx, address, weight)
	if err != nil {
		return nil, httpErrorf(http.StatusTooManyRequests, "other requests were in work until the time for this one was over: %w", context.Cause(ctx))
	}
	return g, nil
}

// answer reads a review, waits for its place and evaluates it.
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
	if size < 0 { // not announced; the API server always announces it
		size = maxBody
	}
	class := h.small
	if size > smallBody {
		class = h.large
	}
	queue, cancel := context.WithTimeout(ctx, maxQueue)
	defer cancel()
	held, err := wait(queue, class.memory, r, max(size, minBody))
	if err != nil {
		return nil, err
	}
	defer held.release()
	body, err := readBody(queue, w, r)
	if err != nil {
		return nil, err
	}
	place, err := wait(queue, class.places, r, 1)
	if err != nil {
		return nil, err
	}
	defer place.release()
	review := admissionv1.AdmissionReview{}
	// This is the API server's own decoder: keys are matched with their case.
	if err := utiljson.Unmarshal(body, &review); err != nil {
		return nil, httpErrorf(http.StatusBadRequest, "the body is no review: %w", err)
	}
	if review.Request == nil {
		review.Request = &admissionv1.AdmissionRequest{}
	}
	if err := checkVersion(&review.TypeMeta); err != nil {
		return nil, err
	}
	response := h.review(ctx, &turn{place, class.asking}, h.newRequest(review.Request, observed))
	return encode(review.TypeMeta, response), nil
}

var errTooLarge = httpErrorf(http.StatusRequestEntityTooLarge, "the body is larger than %d bytes", maxBody)

// readBody reads the body within the limits of size and time.
func readBody(ctx context.Context, w http.ResponseWriter, r *http.Request) (body []byte, err error) {
	control := http.NewResponseController(w)
	deadline := time.Now().Add(maxRead) //nolint:forbidigo // a deadline of a connection is in real time
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	_ = control.SetReadDeadline(deadline) // fails for a test's recorder, which is no connection
	body, err = io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, httpErrorf(http.StatusRequestTimeout, "the body did not arrive in time: %w", err)
	case err != nil:
		return nil, httpErrorf(http.StatusBadRequest, "the body did not arrive: %w", err)
	case len(body) > maxBody:
		return nil, errTooLarge
	}
	_ = control.SetReadDeadline(time.Time{}) // the connection serves other requests
	return body, nil
}

// checkVersion returns an error if the type is neither an AdmissionReview v1 nor v1beta1, which has the same fields. An empty
// type counts as v1.
func checkVersion(t *metav1.TypeMeta) error {
	if *t == (metav1.TypeMeta{}) {
		*t = metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "AdmissionReview"}
	}
	if t.Kind != "AdmissionReview" || t.APIVersion != "admission.k8s.io/v1" && t.APIVersion != "admission.k8s.io/v1beta1" {
		return httpErrorf(http.StatusBadRequest, "the body is a %q of %q, not an AdmissionReview of admission.k8s.io/v1", textutil.Shorten(t.Kind, maxLogged), textutil.Shorten(t.APIVersion, maxLogged))
	}
	return nil
}

// timeoutOf is how long the API server waits for the answer: client-go writes it into the query.
func timeoutOf(r *http.Request) time.Duration {
	timeout, err := time.ParseDuration(r.URL.Query().Get("timeout"))
	if err != nil || timeout <= 0 {
		return defaultTimeout
	}
	return min(timeout, maxTimeout)
}

// refuse counts and logs a request that came to no review, and answers it. The log has the first few, and later one a
// second: any caller can send such requests, at any rate.
func (h *Handler) refuse(ctx context.Context, e *httpError, took time.Duration) []byte {
	h.recorder.Reviewed("", outcomeError, false, took)
	h.refusals.Do(func() {
		h.log.LogAttrs(ctx, slog.LevelError, "refused without a review",
			slog.Int("code", e.code),
			slog.String("err", textutil.Shorten(e.Error(), maxLogged)),
			slog.Float64("duration_seconds", took.Seconds()),
		)
	})
	response := errored("", e)
	response.Result.Code = int32(e.code) //nolint:gosec // a status of HTTP
	return encode(metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "AdmissionReview"}, response)
}

// encode writes a review; a response holds nothing that has no JSON.
func encode(t metav1.TypeMeta, response *admissionv1.AdmissionResponse) []byte {
	text, err := json.Marshal(admissionv1.AdmissionReview{TypeMeta: t, Response: response})
	if err != nil {
		panic(fmt.Sprintf("admission: writing a response: %v", err))
	}
	return text
}
