package oracle

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	guardaccess "github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/admission"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
	"github.com/awsauth-guard/awsauth-guard/test/oracle/generate"
)

// storedState is the state of the API server between the requests of a sequence.
type storedState struct {
	object   *corev1.ConfigMap // nil if aws-auth does not exist
	history  []*access         // the access of every version, the newest last
	replaced admission.ReplacedVersions
}

// clock is the current time in every request.
var clock = time.Unix(1_700_000_000, 0)

// store stores a version. The guard observes the original bytes of the version, because its watch uses protobuf.
func (s *storedState) store(object *corev1.ConfigMap, access *access) {
	s.object, s.history = object, append(s.history, access)
	if object == nil {
		s.replaced.Observe(nil, clock)
		return
	}
	s.replaced.Observe(&awsauth.Object{Data: object.Data}, clock)
}

// CheckSequence sends the requests of a sequence to the guard's handler, and returns the disagreements. As the API server
// does, it stores the object of each request that the guard admits.
func (k *Checker) CheckSequence(s *generate.Sequence) (failures []Failure) {
	k.failures, k.cause = nil, ""
	for _, done := range s.Origin {
		k.Stats.add(done)
	}
	arns := newVersion(s.Data).arns
	for _, step := range s.Steps {
		arns = slices.Concat(arns, newVersion(step.Data).arns, []string{step.Requester})
	}
	callers := k.forms.of(arns, slices.Collect(maps.Keys(s.Protected)))
	policy := validate.Policy{}
	for _, arn := range slices.Sorted(maps.Keys(s.Protected)) {
		policy.Protected = append(policy.Protected, guardaccess.Protected{ARN: arn, Groups: s.Protected[arn]})
	}
	var now storedState
	guard := admission.New(admission.Options{
		Policy: func() validate.Policy { return policy }, Now: func() time.Time { return clock }, Replaced: now.replaced.Recent,
	})
	now.store(&corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Name: "aws-auth", Namespace: "kube-system", Finalizers: s.Finalizers},
		Data:       s.Data,
	}, accessOf(k.a, s.Data, callers))
	for i, step := range s.Steps {
		if now.object == nil {
			break
		}
		k.checkStep(s, fmt.Sprintf("step %d, %s", i+1, step.Name), step, guard, &now, callers)
	}
	return k.failures
}

// checkStep sends the request of a step, checks the response, and stores the new object if the guard admits the request.
func (k *Checker) checkStep(s *generate.Sequence, name string, step generate.Step, guard *admission.Handler, now *storedState, callers []string) {
	before := now.history[len(now.history)-1]
	next := applyStep(step, now.object)
	data := map[string]string(nil)
	if next != nil {
		data = next.Data
		if data == nil {
			data = map[string]string{}
		}
	}
	after := accessOf(k.a, data, callers)
	loginAccess := now.history[max(0, len(now.history)-1-step.Age)]
	user := requester(step.Requester, generate.FullExtra, loginOf(step.Requester, loginAccess))
	byEntry := step.AccessEntry || !loginOf(step.Requester, loginAccess).ok
	if byEntry && step.Requester != "" {
		user = requester(step.Requester, generate.FullExtra, login{})
	}
	if step.Requester == "" && !step.Masters {
		user.Groups = []string{"operators", loggedIn}
	}
	if step.EKS {
		user = validate.Requester{Username: "eks:node-manager", Groups: []string{loggedIn}}
	}
	response := guard.Review(context.Background(), admissionRequest(step, now.object, user))
	k.Stats.add("steps")
	breaksGlass := step.BreakGlass != "" && now.object.Annotations[validate.BreakGlassAnnotation] != step.BreakGlass && !step.Delete
	switch {
	case step.EKS: // EKS must always be able to write aws-auth
		k.Stats.add("steps of EKS")
		if !response.Allowed {
			k.fail(checkSequence, "EKS refused", "%s: %s", name, response.Result.Message)
		}
	case breaksGlass && slices.Contains(user.Groups, "system:masters"):
		k.Stats.add("steps that break the glass")
		if !response.Allowed {
			k.fail(checkSequence, "break-glass refused", "%s: %s", name, response.Result.Message)
		}
	case breaksGlass:
		k.Stats.add("steps of users without permission that break the glass")
		if response.Allowed {
			k.fail(checkSequence, "break-glass without permission", "%s is admitted", name)
		}
	default:
		k.checkStepLockouts(s, name, step, before, after, loginAccess, byEntry, response)
	}
	if response.Allowed {
		k.checkAdded(name, now.object, next, response)
		now.store(next, after)
	}
}

// checkAdded checks that the guard warns of an admitted request if, and only if, the request adds a finalizer or an owner.
func (k *Checker) checkAdded(name string, before, after *corev1.ConfigMap, response *admissionv1.AdmissionResponse) {
	if after == nil {
		return
	}
	added := map[string]bool{
		"finalizer-added": len(after.Finalizers) > len(before.Finalizers),
		"owner-added":     len(after.OwnerReferences) > len(before.OwnerReferences),
	}
	for rule, is := range added {
		warned := slices.ContainsFunc(response.Warnings, func(w string) bool { return strings.Contains(w, rule) })
		if is {
			k.Stats.add("steps with " + rule)
		}
		if is != warned {
			k.fail(checkSequence, rule, "%s: %q", name, response.Warnings)
		}
	}
}

// checkStepLockouts checks that the guard denies a step that locks a principal out. A requester who logged in by an earlier
// version also counts as locked out if the step takes all access from the requester, or the admin group.
func (k *Checker) checkStepLockouts(s *generate.Sequence, name string, step generate.Step, before, after, loginAccess *access, byEntry bool, response *admissionv1.AdmissionResponse) {
	c := &generate.Change{Protected: s.Protected, Requester: step.Requester, Form: generate.NoExtra}
	if !byEntry && loginAccess == before {
		c.Form = generate.FullExtra
	}
	kinds := k.lockouts(c, before, after)
	if stale := loginOf(step.Requester, loginAccess); !byEntry && loginAccess != before && stale.ok && len(loginAccess.logins[step.Requester]) == 1 {
		was, is := before.logins[step.Requester], after.logins[step.Requester]
		ok := func(l login) bool { return l.ok }
		admin := func(l login) bool { return l.has("system:masters") }
		if shareOf(was, ok) == all && shareOf(is, ok) == none || admin(stale) && shareOf(was, admin) == all && shareOf(is, admin) == none {
			kinds = append(kinds, "requester-earlier-login")
		}
	}
	for _, kind := range kinds {
		k.Stats.add("sequence lockout " + kind)
		if response.Allowed {
			k.fail(checkSequence, step.Name+", "+kind, "%s is admitted: %q", name, response.Warnings)
		}
	}
}

// applyStep returns the object that the API server stores if the guard admits the request. It returns nil if the API server
// deletes the object (kubernetes v1.36.3, staging/src/k8s.io/apiserver/pkg/registry/generic/registry/store.go, Delete and
// deleteWithoutFinalizers).
func applyStep(step generate.Step, object *corev1.ConfigMap) *corev1.ConfigMap {
	next := object.DeepCopy()
	if step.Delete {
		if len(object.Finalizers) == 0 {
			return nil
		}
		at := metav1.NewTime(clock)
		next.DeletionTimestamp = &at
		return next
	}
	updated := updatedObject(step, object)
	if updated.DeletionTimestamp != nil && len(updated.Finalizers) == 0 {
		return nil
	}
	return updated
}

// updatedObject returns the new object in the request of an update.
func updatedObject(step generate.Step, object *corev1.ConfigMap) *corev1.ConfigMap {
	next := object.DeepCopy()
	next.Data, next.Finalizers = step.Data, step.Finalizers
	next.Annotations, next.OwnerReferences = nil, nil
	if step.Owner != "" {
		next.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "owner", UID: types.UID(step.Owner)}}
	}
	if step.BreakGlass != "" {
		next.Annotations = map[string]string{validate.BreakGlassAnnotation: step.BreakGlass}
	}
	return next
}

// admissionRequest returns a step as an AdmissionRequest.
func admissionRequest(step generate.Step, object *corev1.ConfigMap, user validate.Requester) *admissionv1.AdmissionRequest {
	r := &admissionv1.AdmissionRequest{
		UID: types.UID("1"), Kind: metav1.GroupVersionKind{Version: "v1", Kind: "ConfigMap"},
		Resource: metav1.GroupVersionResource{Version: "v1", Resource: "configmaps"},
		Name:     "aws-auth", Namespace: "kube-system", Operation: admissionv1.Delete,
		OldObject: rawJSON(object), UserInfo: authenticationv1.UserInfo{Username: user.Username, Groups: user.Groups},
	}
	if len(user.Extra) > 0 {
		r.UserInfo.Extra = make(map[string]authenticationv1.ExtraValue)
		for key, values := range user.Extra {
			r.UserInfo.Extra[key] = values
		}
	}
	if !step.Delete {
		updated := updatedObject(step, object)
		if step.Masters { // a client that builds a new object omits the time of the deletion; the API server keeps the time
			updated.DeletionTimestamp = nil
		}
		r.Operation, r.Object = admissionv1.Update, rawJSON(updated)
	}
	return r
}

func rawJSON(object *corev1.ConfigMap) runtime.RawExtension {
	text, err := json.Marshal(object)
	if err != nil {
		panic(err) // can't happen, because the object holds only texts
	}
	return runtime.RawExtension{Raw: text}
}

// describeSequence returns a sequence in a readable form.
func describeSequence(s *generate.Sequence) string {
	var b strings.Builder
	fmt.Fprintf(&b, "made by: %s\nobject: %q, finalizers %q\nprotected: %q\n", strings.Join(s.Origin, ", "), s.Data, s.Finalizers, s.Protected)
	for i, step := range s.Steps {
		fmt.Fprintf(&b, "step %d: %+v\n", i+1, step)
	}
	return b.String()
}

// SequenceStats returns the names in [Stats] of the steps and sequences that every run must contain.
func SequenceStats() []string {
	names := []string{"steps of EKS", "steps with finalizer-added", "steps with owner-added", "steps that break the glass", "steps of users without permission that break the glass", "sequence lockout requester-earlier-login"}
	for _, plan := range generate.Plans() {
		names = append(names, "sequence "+plan)
	}
	return names
}
