package chart_test

import (
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apiserver/pkg/admission"
	admissioncel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/cel/environment"
)

// oldest returns the CEL environment of Kubernetes 1.30, the oldest version on which the chart can be installed.
func oldest() *environment.EnvSet { return environment.MustBaseEnvSet(version.MajorMinor(1, 30)) }

// TestExpressionsCompile: an API server of Kubernetes 1.30 can compile every expression of every value set.
func TestExpressionsCompile(t *testing.T) {
	t.Parallel()
	for _, values := range valueSets(t) {
		t.Run(values, func(t *testing.T) {
			t.Parallel()
			objects := render(t, values)
			for _, w := range one[admissionregistrationv1.ValidatingWebhookConfiguration](t, objects).Webhooks {
				compiler := admissioncel.NewCompiler(oldest())
				for i := range w.MatchConditions {
					wantCompiled(t, compiler, (*matchconditions.MatchCondition)(&w.MatchConditions[i]), false)
				}
			}
			for _, policy := range find[admissionregistrationv1.ValidatingAdmissionPolicy](objects) {
				wantPolicyCompiled(t, policy)
			}
		})
	}
}

// compiler compiles the expressions of a webhook or of a policy.
type compiler interface {
	CompileCELExpression(admissioncel.ExpressionAccessor, admissioncel.OptionalVariableDeclarations, environment.Type) admissioncel.CompilationResult
}

func wantCompiled(t *testing.T, c compiler, e admissioncel.ExpressionAccessor, params bool) {
	t.Helper()
	result := c.CompileCELExpression(e, admissioncel.OptionalVariableDeclarations{HasParams: params, HasAuthorizer: true}, environment.NewExpressions)
	if result.Error != nil {
		t.Errorf("%v in\n%s", result.Error, e.GetExpression())
	}
}

func wantPolicyCompiled(t *testing.T, policy *admissionregistrationv1.ValidatingAdmissionPolicy) {
	t.Helper()
	composed, err := admissioncel.NewCompositedCompiler(oldest())
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range policy.Spec.Variables {
		result := composed.CompileAndStoreVariable(&validating.Variable{Name: v.Name, Expression: v.Expression}, admissioncel.OptionalVariableDeclarations{HasParams: true, HasAuthorizer: true}, environment.NewExpressions)
		if result.Error != nil {
			t.Errorf("variable %s: %v", v.Name, result.Error)
		}
	}
	for i := range policy.Spec.MatchConditions {
		wantCompiled(t, composed, (*matchconditions.MatchCondition)(&policy.Spec.MatchConditions[i]), true)
	}
	for _, v := range policy.Spec.Validations {
		wantCompiled(t, composed, &validating.ValidationCondition{Expression: v.Expression}, true)
		if v.MessageExpression != "" {
			wantCompiled(t, composed, &validating.MessageExpressionCondition{MessageExpression: v.MessageExpression}, true)
		}
	}
}

// TestNewerLibrariesAreFound: TestExpressionsCompile would fail for an expression that needs a library of a later version of
// Kubernetes, because the environment of Kubernetes 1.30 doesn't have this library.
func TestNewerLibrariesAreFound(t *testing.T) {
	t.Parallel()
	result := admissioncel.NewCompiler(oldest()).CompileCELExpression(
		&matchconditions.MatchCondition{Expression: `[1, 2].all(i, v, i < v)`}, admissioncel.OptionalVariableDeclarations{}, environment.NewExpressions)
	if result.Error == nil {
		t.Error("a comprehension with two variables, which needs Kubernetes 1.33, compiles")
	}
}

// TestMatchConditionsSelectWebhook evaluates the match conditions of both webhooks with the API server's own matcher.
// It doesn't use impersonation, because an impersonated username can't be empty. With failurePolicy Fail, an error in
// a condition refuses the request.
func TestMatchConditionsSelectWebhook(t *testing.T) {
	t.Parallel()
	webhooks := one[admissionregistrationv1.ValidatingWebhookConfiguration](t, render(t, "default")).Webhooks
	gvk, gvr := corev1.SchemeGroupVersion.WithKind("ConfigMap"), corev1.SchemeGroupVersion.WithResource("configmaps")
	configMap := func(name string) *corev1.ConfigMap {
		return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: name}}
	}
	const none, enforced, observed = "none", "enforced", "observed"
	for _, tt := range []struct {
		name string
		// request is the name in the request. It is empty for a collection and for generateName. object is the name of the
		// object.
		request, object string
		operation       admission.Operation
		user            user.DefaultInfo
		want            string
	}{
		{"create", "aws-auth", "aws-auth", admission.Create, user.DefaultInfo{Name: "me"}, enforced},
		{"update", "aws-auth", "aws-auth", admission.Update, user.DefaultInfo{Name: "me", Groups: []string{"system:masters"}}, enforced},
		{"delete", "aws-auth", "aws-auth", admission.Delete, user.DefaultInfo{Name: "me"}, enforced},
		{"deletecollection", "", "aws-auth", admission.Delete, user.DefaultInfo{Name: "me"}, enforced},
		{"deletecollection of others", "", "coredns", admission.Delete, user.DefaultInfo{Name: "me"}, none},
		{"others", "coredns", "coredns", admission.Update, user.DefaultInfo{Name: "me"}, none},
		{"others by EKS", "coredns", "coredns", admission.Update, user.DefaultInfo{Name: "eks:addon-manager"}, none},
		{"generateName", "", "", admission.Create, user.DefaultInfo{Name: "me"}, none},
		{"generateName by an empty username", "", "", admission.Create, user.DefaultInfo{}, none},
		{"empty username", "aws-auth", "aws-auth", admission.Update, user.DefaultInfo{}, enforced},
		{"empty username in a group", "aws-auth", "aws-auth", admission.Update, user.DefaultInfo{Groups: []string{"system:masters"}}, enforced},
		{"empty username with bypass", "aws-auth", "aws-auth", admission.Update, user.DefaultInfo{Groups: []string{"awsauth-guard:bypass"}}, observed},
		{"others by an empty username", "", "coredns", admission.Delete, user.DefaultInfo{}, none},
		{"EKS", "aws-auth", "aws-auth", admission.Create, user.DefaultInfo{Name: "eks:node-manager"}, observed},
		{"EKS, a collection", "", "aws-auth", admission.Delete, user.DefaultInfo{Name: "eks:node-manager"}, observed},
		{"almost EKS", "aws-auth", "aws-auth", admission.Create, user.DefaultInfo{Name: "eks-node-manager"}, enforced},
		{"bypass", "aws-auth", "aws-auth", admission.Update, user.DefaultInfo{Name: "me", Groups: []string{"system:masters", "awsauth-guard:bypass"}}, observed},
		{"almost bypass", "aws-auth", "aws-auth", admission.Update, user.DefaultInfo{Name: "me", Groups: []string{"awsauth-guard:bypass-2"}}, enforced},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var object, old runtime.Object
			switch tt.operation {
			case admission.Create:
				object = configMap(tt.object)
			case admission.Update:
				object, old = configMap(tt.object), configMap(tt.object)
			case admission.Delete:
				old = configMap(tt.object)
			case admission.Connect:
			}
			attributes := &admission.VersionedAttributes{
				Attributes:    admission.NewAttributesRecord(object, old, gvk, "kube-system", tt.request, gvr, "", tt.operation, nil, false, &tt.user),
				VersionedKind: gvk, VersionedObject: admission.NewLazyObject(object), VersionedOldObject: admission.NewLazyObject(old),
			}
			got := none
			for i, name := range []string{enforced, observed} {
				w := &webhooks[i]
				conditions := make([]admissioncel.ExpressionAccessor, len(w.MatchConditions))
				for j := range w.MatchConditions {
					conditions[j] = (*matchconditions.MatchCondition)(&w.MatchConditions[j])
				}
				filter := admissioncel.NewConditionCompiler(oldest()).CompileCondition(conditions, admissioncel.OptionalVariableDeclarations{HasAuthorizer: true}, environment.NewExpressions)
				// With the policy Fail for both webhooks, the matcher returns an error of a condition.
				result := matchconditions.NewMatcher(filter, new(admissionregistrationv1.Fail), "webhook", "validating", w.Name).Match(t.Context(), attributes, nil, nil)
				switch {
				case result.Error != nil:
					t.Fatalf("%s: %v", w.Name, result.Error)
				case result.Matches && got != none:
					t.Fatal("the API server would call both webhooks")
				case result.Matches:
					got = name
				}
			}
			if got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}
