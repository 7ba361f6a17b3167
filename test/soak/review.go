package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// ARNs and entries, as kubectl edit shows them.
const (
	account  = "arn:aws:iam::111122223333:"
	adminARN = account + "role/Admin"
	nodeARN  = account + "role/Node"

	adminEntry = "- rolearn: " + adminARN + "\n  username: admin\n  groups:\n  - system:masters\n"
	nodeEntry  = "- rolearn: " + nodeARN + "\n  username: system:node:{{EC2PrivateDNSName}}\n  groups:\n  - system:bootstrappers\n  - system:nodes\n"
	aliceEntry = "- userarn: " + account + "user/alice\n  username: alice\n  groups:\n  - system:masters\n"
	ciEntry    = "- rolearn: " + account + "role/CI\n  username: ci\n  groups:\n  - deployers\n"
	// movedEntry is an entry for a role that the configuration lists in accessEntries.
	movedEntry = "- rolearn: " + account + "role/Moved\n  username: moved\n  groups:\n  - system:masters\n"
)

// teams returns n entries of mapRoles for unprotected principals.
func teams(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "- groups:\n  - team-%[1]d:developers\n  - developers\n  rolearn: %[2]srole/team-%[1]d-developer\n  username: team-%[1]d:{{SessionName}}\n", i, account)
	}
	return b.String()
}

// object is a ConfigMap in a review. A nil object does not exist.
type object struct {
	name, namespace string
	annotations     map[string]string
	data            map[string]string
	metadata        map[string]any // additional fields of metadata
	others          map[string]any // additional fields of the object
}

// awsAuth returns an aws-auth with the texts of two sections.
func awsAuth(mapRoles, mapUsers string) *object {
	return &object{name: "aws-auth", namespace: metav1.NamespaceSystem, data: map[string]string{"mapRoles": mapRoles, "mapUsers": mapUsers}}
}

// annotated returns a copy that has only this annotation.
func (o *object) annotated(key, value string) *object {
	c := *o
	c.annotations = map[string]string{key: value}
	return &c
}

func (o *object) raw() runtime.RawExtension {
	if o == nil {
		return runtime.RawExtension{}
	}
	metadata := map[string]any{
		"name": o.name, "namespace": o.namespace, "annotations": o.annotations,
		"uid": "4be2f5c1-6f2e-4d3c-9a54-2f0c3d1b7a90", "creationTimestamp": "2024-05-02T09:14:07Z",
		"managedFields": []any{map[string]any{
			"apiVersion": "v1", "fieldsType": "FieldsV1", "manager": "kubectl-edit", "operation": "Update",
			"fieldsV1": map[string]any{"f:data": map[string]any{".": map[string]any{}, "f:mapRoles": map[string]any{}}},
		}},
	}
	maps.Copy(metadata, o.metadata)
	fields := map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "data": o.data, "metadata": metadata}
	maps.Copy(fields, o.others)
	return runtime.RawExtension{Raw: mustJSON(fields)}
}

// with returns a copy with one additional field.
func (o *object) with(field string, value any) *object {
	c := *o
	c.others = map[string]any{field: value}
	return &c
}

// withMetadata returns a copy with additional fields of metadata.
func (o *object) withMetadata(fields map[string]any) *object {
	c := *o
	c.metadata = fields
	return &c
}

// and returns a copy with an additional key in data.
func (o *object) and(key, text string) *object {
	c := *o
	c.data = maps.Clone(o.data)
	c.data[key] = text
	return &c
}

// mustJSON returns a value as JSON. It panics if the value has a part that JSON can't encode.
func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// The requesters of the reviews.
var (
	operator = authenticationv1.UserInfo{Username: "operator", Groups: []string{"system:authenticated"}}
	master   = authenticationv1.UserInfo{Username: "kubernetes-admin", Groups: []string{"system:masters", "system:authenticated"}}
	alice    = authenticationv1.UserInfo{
		Username: "alice", Groups: []string{"system:masters", "system:authenticated"},
		Extra: map[string]authenticationv1.ExtraValue{"canonicalArn": {account + "user/alice"}, "arn": {account + "user/alice"}},
	}
	eks = authenticationv1.UserInfo{Username: "eks:node-manager", Groups: []string{"system:authenticated"}}
)

// uidLength is the length of the uid of a review, in bytes.
const uidLength = 12

// body is an AdmissionReview without its uid. The load inserts the uid when it sends the review.
type body struct{ before, after []byte }

// newBody makes a review. The operation is CREATE without an old object, and DELETE without a new object. With both,
// it is UPDATE.
func newBody(user authenticationv1.UserInfo, before, after *object) body {
	request := &admissionv1.AdmissionRequest{
		UID:      "UID",
		Kind:     metav1.GroupVersionKind{Version: "v1", Kind: "ConfigMap"},
		Resource: metav1.GroupVersionResource{Version: "v1", Resource: "configmaps"},
		UserInfo: user, OldObject: before.raw(), Object: after.raw(),
	}
	about := after
	switch {
	case before == nil:
		request.Operation = admissionv1.Create
	case after == nil:
		request.Operation, about = admissionv1.Delete, before
	default:
		request.Operation = admissionv1.Update
	}
	request.Name, request.Namespace = about.name, about.namespace
	return split(mustJSON(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request:  request,
	}))
}

// split splits a review at the placeholder of its uid.
func split(review []byte) body {
	before, after, ok := bytes.Cut(review, []byte(`"uid":"UID"`))
	if !ok {
		panic("a review without the uid")
	}
	return body{append(bytes.Clone(before), `"uid":"`...), append([]byte{'"'}, after...)}
}

// length returns the size of the body with its uid, in bytes.
func (b body) length() int64 { return int64(len(b.before) + uidLength + len(b.after)) }

// reader returns a reader of the body with the uid. It makes no copy, because the load sends many of the largest
// bodies at once.
func (b body) reader(uid string) io.Reader {
	return io.MultiReader(bytes.NewReader(b.before), strings.NewReader(uid), bytes.NewReader(b.after))
}
