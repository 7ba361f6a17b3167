package edit_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/internal/edit"
)

// TestAnnotateKeepsTheRest checks each style of metadata: only the annotation changes, and comments stay.
func TestAnnotateKeepsTheRest(t *testing.T) {
	const head, data = "apiVersion: v1\nkind: ConfigMap\n", "data:\n  mapRoles: |\n    []\n"
	for name, c := range map[string]struct{ before, after string }{
		"no annotations": {
			head + "metadata:\n  name: aws-auth # the map\n  namespace: kube-system\n# the data\n" + data,
			head + "metadata:\n  name: aws-auth # the map\n  namespace: kube-system\n  annotations:\n    k/x: arn:a,b\n# the data\n" + data,
		},
		"other annotations": {
			head + "metadata:\n    annotations:\n        a: b # keep\n    name: aws-auth\n" + data,
			head + "metadata:\n    annotations:\n        a: b # keep\n        k/x: arn:a,b\n    name: aws-auth\n" + data,
		},
		"another value": {
			head + "metadata:\n  annotations:\n    k/x: \"old\" # the role\n    a: b\n  name: aws-auth\n" + data,
			head + "metadata:\n  annotations:\n    k/x: arn:a,b # the role\n    a: b\n  name: aws-auth\n" + data,
		},
		"empty annotations": {
			head + "metadata:\n  annotations: {}\n  name: aws-auth\n" + data,
			head + "metadata:\n  annotations: {k/x: \"arn:a,b\"}\n  name: aws-auth\n" + data,
		},
		"null": {
			head + "metadata:\n  annotations:\n  name: aws-auth\n" + data,
			head + "metadata:\n  annotations: {k/x: \"arn:a,b\"}\n  name: aws-auth\n" + data,
		},
		"braces": {
			head + "metadata: {name: aws-auth, namespace: kube-system}\n" + data,
			head + "metadata: {name: aws-auth, namespace: kube-system, annotations: {k/x: \"arn:a,b\"}}\n" + data,
		},
		"annotations in braces": {
			head + "metadata: {annotations: {a: b}, name: aws-auth}\n" + data,
			head + "metadata: {annotations: {a: b, k/x: \"arn:a,b\"}, name: aws-auth}\n" + data,
		},
		"JSON": {
			`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"aws-auth"},"data":{"mapRoles":"[]"}}`,
			`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"aws-auth","annotations":{"k/x":"arn:a,b"}},"data":{"mapRoles":"[]"}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := edit.Annotate([]byte(c.before), 1, "k/x", "arn:a,b")
			if diff := cmp.Diff(c.after, string(got)); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

// TestAnnotateRefusesAnAlias: Annotate returns an error if the annotations are an alias, because the edit would also change
// the labels.
func TestAnnotateRefusesAnAlias(t *testing.T) {
	const file = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  labels: &a {x: y}\n  annotations: *a\n  name: aws-auth\ndata: {}\n"
	if got, err := edit.Annotate([]byte(file), 1, "k/x", "v"); err == nil {
		t.Errorf("got\n%s", got)
	}
}
