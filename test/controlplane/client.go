package controlplane

import (
	"context"
	"errors"
	"fmt"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// AdmitEverybody lets every authenticated user read and write all objects, for tests of admission. It also grants the verbs bind,
// escalate and impersonate, but no other verb, such as break-glass. It waits until the API server applies this.
func (c *ControlPlane) AdmitEverybody(ctx context.Context) error {
	client, err := kubernetes.NewForConfig(c.Admin)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	const everybody = "system:authenticated"
	role := &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "read-and-write"},
		Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: []string{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "bind", "escalate", "impersonate"}},
			{NonResourceURLs: []string{"*"}, Verbs: []string{"get"}},
		},
	}
	if _, err := client.RbacV1().ClusterRoles().Create(ctx, role, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("creating the role of everybody: %w", err)
	}
	if _, err := client.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "everybody-reads-and-writes"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: everybody}},
	}, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("binding the role of everybody: %w", err)
	}
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: "any-user", Groups: []string{everybody},
		ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: "deletecollection", Group: "*", Version: "*", Resource: "*"},
	}}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := Poll(ctx, func(ctx context.Context) error {
		answer, err := client.AuthorizationV1().SubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
		if err == nil && !answer.Status.Allowed {
			err = errors.New("the API server does not apply it yet")
		}
		return err
	}); err != nil {
		return fmt.Errorf("waiting until everybody may read and write: %w", err)
	}
	return nil
}
