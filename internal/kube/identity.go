package kube

import (
	"context"
	"fmt"
	"sync/atomic"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	typedauthenticationv1 "k8s.io/client-go/kubernetes/typed/authentication/v1"
)

// Identity is the username of this process at the API server.
type Identity struct {
	client typedauthenticationv1.SelfSubjectReviewsGetter
	user   atomic.Pointer[string]
}

// NewIdentity returns an Identity whose name is not known yet.
func NewIdentity(client typedauthenticationv1.SelfSubjectReviewsGetter) *Identity {
	return &Identity{client: client}
}

// Name returns the username, or "" while it is not known.
func (i *Identity) Name() string {
	if user := i.user.Load(); user != nil {
		return *user
	}
	return ""
}

// Find asks the API server for the username. After a successful call, later calls do nothing. Every authenticated user
// may ask.
func (i *Identity) Find(ctx context.Context) error {
	if i.Name() != "" {
		return nil
	}
	review, err := i.client.SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("asking the API server for this process's user name: %w", err)
	}
	i.user.Store(&review.Status.UserInfo.Username)
	return nil
}
