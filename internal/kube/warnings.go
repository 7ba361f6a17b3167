package kube

import (
	"context"
	"sync"
)

// Warnings collects the warnings that the API server sends. It implements [rest.WarningHandlerWithContext].
type Warnings struct {
	mu   sync.Mutex
	list []string
}

// warningCode is the code of every warning that Kubernetes sends.
const warningCode = 299

// HandleWarningHeaderWithContext stores a warning. It ignores warnings that are not from Kubernetes.
func (w *Warnings) HandleWarningHeaderWithContext(_ context.Context, code int, _, text string) {
	if code != warningCode {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list = append(w.list, text)
}

// Take returns the warnings since the last call of Take.
func (w *Warnings) Take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer func() { w.list = nil }()
	return w.list
}
