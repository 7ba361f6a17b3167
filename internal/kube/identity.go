package kube

import (
	"context"
	"fmt"
	"sync/atomic"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	typedauthenticationv1 "k8s.io/client-go/kubernetes/typed/authentication/v1"
)

// Identity is the user that this process is to the API server.
type Identity struct {
	client typedauthenticationv1.SelfSubjectReviewsGetter
	user   atomic.Pointer[string]
}

// NewIdentity returns an Identity that is not known yet.
func NewIdentity(client typedauthenticationv1.SelfSubjectReviewsGetter) *Identity {
	return &Identity{client: client}
}

// Name returns the user's name. It is empty where it is not known yet.
func (i *Identity) Name() string {
	if user := i.user.Load(); user != nil {
		return *user
	}
	return ""
}

// Find asks the API server once, until it has answered. Every authenticated user may ask.
func (i *Identity) Find(ctx context.Context) error {
	if i.Name() != "" {
		return nil
	}
	review, err := i.client.SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("asking the API server who this process is: %w", err)
	}
	i.user.Store(&review.Status.UserInfo.Username)
	return nil
}
