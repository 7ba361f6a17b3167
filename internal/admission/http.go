package admission

import (
	"context"

	"github.com/go-logr/logr"
	cradmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// Handle is [Handler.Review] for controller-runtime, which decodes the HTTP requests. It bounds a
// body at 7 MiB and refuses one that is no review.
func (h *Handler) Handle(ctx context.Context, req cradmission.Request) cradmission.Response {
	return cradmission.Response{AdmissionResponse: *h.Review(ctx, &req.AdmissionRequest)}
}

// Webhook returns an HTTP handler for admission reviews. Bodies that are none are logged by the
// Handler's logger, without what they hold.
func (h *Handler) Webhook() *cradmission.Webhook {
	log := logr.FromSlogHandler(h.log.Handler())
	return &cradmission.Webhook{
		Handler:        h,
		LogConstructor: func(logr.Logger, *cradmission.Request) logr.Logger { return log },
	}
}
