package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/rbac"
)

// checkRights is the ninth step. If the user named a refused request, it asks the API server whether the caller may make this request.
// Otherwise it asks whether the caller may list pods, or has any right that not every authenticated user has.
func (d *diagnosis) checkRights(ctx context.Context) (Status, string) {
	if d.report.User == nil || d.Principal != "" {
		return "", ""
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	client, err := newClient(d.config)
	if err != nil {
		return StatusUnknown, err.Error()
	}
	request := d.Request
	if request == nil {
		request = &rbac.Request{Verb: "list", Resource: "pods", Namespace: d.Namespace}
	}
	if client.isClusterScoped(ctx, request) {
		whole := *request
		whole.Namespace = ""
		request = &whole
		if d.Request != nil {
			d.Request = request
		}
	}
	allowed, err := allows(ctx, client, request)
	if err != nil {
		return StatusUnknown, "the API server does not say what you may do: " + withoutURL(err).Error()
	}
	text := describeRequest(request)
	if allowed {
		return StatusOK, "you may " + text
	}
	some, complete, err := hasRights(ctx, client, request.Namespace)
	switch {
	case err != nil:
		return StatusUnknown, "the API server does not say what you may do: " + withoutURL(err).Error()
	case !some && complete, d.Request != nil:
		return d.failRights(some, text)
	case !some:
		return StatusUnknown, fmt.Sprintf("you may not %s, and the API server can't list your rights; name the refused request by --verb and --resource", text)
	}
	return StatusOK, fmt.Sprintf("you may not %s, but you have other rights; name a refused request by --verb and --resource", text)
}

// allows asks the API server whether the caller may make a request.
func allows(ctx context.Context, client *apiClient, r *rbac.Request) (bool, error) {
	review := &authorizationv1.SelfSubjectAccessReview{
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
			Verb: r.Verb, Group: r.Group, Resource: r.Resource, Name: r.Name, Namespace: r.Namespace,
		}},
	}
	if err := client.create(ctx, "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review); err != nil {
		return false, fmt.Errorf("reviewing the request: %w", err)
	}
	return review.Status.Allowed, nil
}

// selfReviews are the resources that every authenticated user may create (kubernetes v1.36.3, bootstrappolicy, system:basic-user).
var selfReviews = []string{"selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews"}

// hasRights asks the API server for a list of the caller's rights. some reports whether the caller has a right that not every
// authenticated user has. complete reports whether the list is complete.
func hasRights(ctx context.Context, client *apiClient, namespace string) (some, complete bool, err error) {
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	review := &authorizationv1.SelfSubjectRulesReview{Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: namespace}}
	if err := client.create(ctx, "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", review); err != nil {
		return false, false, fmt.Errorf("listing the rights: %w", err)
	}
	for _, rule := range review.Status.ResourceRules {
		some = some || slices.ContainsFunc(rule.Resources, func(resource string) bool { return !slices.Contains(selfReviews, resource) })
	}
	return some, !review.Status.Incomplete, nil
}

// failRights sets the cause for a caller who can log in but may not make a request. request is the end of the sentence "you may not …".
// some reports whether the caller has any other rights.
func (d *diagnosis) failRights(some bool, request string) (Status, string) {
	user := d.report.User
	entry, _ := d.entries.inForce()
	if entry != nil && d.awsAuth.object != nil && d.cluster.mode() != access.ModeConfigMap {
		if r := d.awsAuth.loaded.Resolve(d.principal()); r.Mapped && gives(r.Groups, user.Groups) {
			return d.fail(Cause{
				ID: "entry-wins", Step: stepRights, User: checkCommand, Admin: d.updateEntry(entry, r.Groups),
				Summary: fmt.Sprintf("you may not %s: the access entry of %s gives you the groups [%s], and so [%s] in aws-auth has no effect",
					request, entry.PrincipalARN, strings.Join(entry.Groups, ", "), strings.Join(r.Groups, ", ")),
			})
		}
	}
	c := Cause{ID: "no-role-bound", Step: stepRights, User: checkCommand, Admin: d.bindCommand()}
	c.Summary = fmt.Sprintf("you are logged in as %s, and no role is bound to you or to your groups [%s]: you may not %s", user.Username, strings.Join(user.Groups, ", "), request)
	if some {
		c.ID = "not-allowed"
		c.Summary = fmt.Sprintf("you are logged in as %s with the groups [%s], and no role that is bound to this user or to these groups allows you to %s", user.Username, strings.Join(user.Groups, ", "), request)
	}
	if entry != nil && entry.Type == access.TypeStandard && d.Request == nil {
		c.Admin = d.associateView(quote(entry.PrincipalARN))
	}
	return d.fail(c)
}

// gives reports whether groups has a group that others doesn't have. It ignores system:authenticated.
func gives(groups, others []string) bool {
	return slices.ContainsFunc(groups, func(g string) bool { return g != awsauth.AuthenticatedGroup && !slices.Contains(others, g) })
}

// describeRequest returns a description of a request for the end of a sentence, such as "list pods in the namespace dev".
func describeRequest(r *rbac.Request) string {
	text := r.Verb + " " + r.Resource
	if r.Group != "" {
		text += "." + r.Group
	}
	if r.Name != "" {
		text += " " + r.Name
	}
	if r.Namespace != "" {
		return text + " in the namespace " + r.Namespace
	}
	return text + " in the whole cluster"
}
