package kube

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	typedauthorizationv1 "k8s.io/client-go/kubernetes/typed/authorization/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// BreakGlassVerb is the verb of the RBAC right break-glass. The resource of this right is the ConfigMap aws-auth.
const BreakGlassVerb = "break-glass"

// Rights asks the API server for the rights of users, by SubjectAccessReviews. The API server asks all its authorizers. On EKS
// one of them evaluates access policies.
type Rights struct {
	Client typedauthorizationv1.SubjectAccessReviewsGetter
}

// MayBreakGlass reports whether the user has the right break-glass on aws-auth.
func (r Rights) MayBreakGlass(ctx context.Context, user *authenticationv1.UserInfo) (bool, error) {
	extra := make(map[string]authorizationv1.ExtraValue, len(user.Extra))
	for key, values := range user.Extra {
		extra[key] = authorizationv1.ExtraValue(values)
	}
	review, err := r.Client.SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: user.Username, Groups: user.Groups, UID: user.UID, Extra: extra,
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: awsauth.Namespace, Verb: BreakGlassVerb, Version: "v1", Resource: "configmaps", Name: awsauth.Name,
		},
	}}, metav1.CreateOptions{})
	if err != nil {
		return false, fmt.Errorf("creating a SubjectAccessReview: %w", err)
	}
	return review.Status.Allowed && !review.Status.Denied, nil
}
