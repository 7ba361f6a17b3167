package admission

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
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

	// maxRead bounds the time in which a body arrives. The API server sends it in one go: 7 MiB in
	// 2 s are 30 Mbit/s.
	maxRead = 2 * time.Second
	// smallBody is more than a review of some hundred entries before and after. maxReaders of them
	// are read at a time, in 32 MiB.
	smallBody  = 128 << 10
	maxReaders = 256
)

// DefaultConcurrency is how many reviews are judged at a time: two for each processor, and at most 8.
// Judging is bound by the processor, so that more at a time makes none of them faster. The number also
// bounds the memory, whatever the machine has: make soak prints what reviews of a mebibyte hold. It is
// enough: aws-auth is edited a few times a day, and a review of 100 entries takes a few milliseconds.
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
// The request's own time, which the API server sends with it, bounds how long it waits for its
// turn and how long its body may take to arrive; a fifth is kept back for judging and for the way
// of the answer. After that time the API server would no longer listen, and where the webhook's
// failurePolicy is Ignore it would let the change pass.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.serve(w, r, h.enforce) }

// Observer answers as [Handler.Observe] does, within the same bounds of memory and concurrency:
// it is the same Handler on another path.
func (h *Handler) Observer() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.serve(w, r, h.observe) })
}

// judge is one of the two ways to answer a review.
type judge func(context.Context, *turn, *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse

func (h *Handler) serve(w http.ResponseWriter, r *http.Request, judge judge) {
	start := h.now()
	// controller-runtime ends the context of every request when its server is told to stop; a
	// review in flight is finished all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), timeoutOf(r)*4/5)
	defer cancel()
	answer, err := h.answer(ctx, w, r, judge)
	code := http.StatusOK
	if err != nil {
		var e *httpError
		if !errors.As(err, &e) {
			e = &httpError{http.StatusInternalServerError, err}
		}
		code = e.code
		answer = h.refuse(r.Context(), e, h.now().Sub(start))
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	if _, err := w.Write(answer); err != nil { //nolint:gosec // it is JSON, and said to be
		h.log.LogAttrs(r.Context(), slog.LevelWarn, "an answer was not read", slog.String("err", err.Error()))
	}
}

// take waits for one of the slots, and returns how to give it back.
func take(ctx context.Context, slots chan struct{}) (release func(), err error) {
	select {
	case slots <- struct{}{}:
		return func() { <-slots }, nil
	case <-ctx.Done():
		return func() {}, httpErrorf(http.StatusTooManyRequests, "%d requests were in work until the time for this one was over: %w", cap(slots), context.Cause(ctx))
	}
}

// answer reads a review, waits for one of the slots and judges it.
func (h *Handler) answer(ctx context.Context, w http.ResponseWriter, r *http.Request, judge judge) ([]byte, error) {
	if r.Method != http.MethodPost {
		return nil, httpErrorf(http.StatusMethodNotAllowed, "the method is %s, not POST", textutil.Shorten(r.Method, maxLogged))
	}
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return nil, httpErrorf(http.StatusUnsupportedMediaType, "the content type is %q, not application/json", textutil.Shorten(r.Header.Get("Content-Type"), maxLogged))
	}
	if r.ContentLength > maxBody {
		return nil, errTooLarge
	}
	body, release, err := h.readBody(ctx, w, r)
	defer release()
	if err != nil {
		return nil, err
	}
	done, err := take(ctx, h.slots)
	defer done()
	if err != nil {
		return nil, err
	}
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
	response := judge(ctx, &turn{h.slots, len(body) > smallBody}, review.Request)
	return encode(review.TypeMeta, response), nil
}

var errTooLarge = httpErrorf(http.StatusRequestEntityTooLarge, "the body is larger than %d bytes", maxBody)

// readBody reads the body within the bounds of size and time. A small one is read without waiting
// for others, so that whoever sends slowly keeps nobody waiting; a large one needs one of the few
// slots for such, which release gives back when the body is no longer used.
func (h *Handler) readBody(ctx context.Context, w http.ResponseWriter, r *http.Request) (body []byte, release func(), err error) {
	leave, err := take(ctx, h.readers)
	if err != nil {
		return nil, leave, err
	}
	defer leave()
	control := http.NewResponseController(w)
	defer func() {
		if err == nil { // what did not arrive in time must not arrive later
			_ = control.SetReadDeadline(time.Time{})
		}
	}()
	read := func(limit int64) error {
		deadline := time.Now().Add(maxRead) //nolint:forbidigo // a deadline of a connection is in real time
		if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
			deadline = d
		}
		_ = control.SetReadDeadline(deadline) // fails for what is no connection, such as a test's recorder
		more, err := io.ReadAll(io.LimitReader(r.Body, limit-int64(len(body))))
		body = append(body, more...)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return httpErrorf(http.StatusRequestTimeout, "the body did not arrive in time: %w", err)
		case err != nil:
			return httpErrorf(http.StatusBadRequest, "the body did not arrive: %w", err)
		}
		return nil
	}
	if err := read(smallBody + 1); err != nil || len(body) <= smallBody {
		return body, func() {}, err
	}
	if release, err = take(ctx, h.large); err != nil {
		return nil, release, err
	}
	if err := read(maxBody + 1); err != nil {
		return nil, release, err
	}
	if len(body) > maxBody {
		return nil, release, errTooLarge
	}
	return body, release, nil
}

// checkVersion reports what claims to be something else than a review. v1beta1 has the same
// fields. What says nothing is judged by its request.
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

// refuse counts and logs a request that came to no review, and answers it.
func (h *Handler) refuse(ctx context.Context, e *httpError, took time.Duration) []byte {
	h.recorder.Reviewed("", outcomeError, false, took)
	h.log.LogAttrs(ctx, slog.LevelError, "refused without a review",
		slog.Int("code", e.code),
		slog.String("err", textutil.Shorten(e.Error(), maxLogged)),
		slog.Float64("duration_seconds", took.Seconds()),
	)
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
