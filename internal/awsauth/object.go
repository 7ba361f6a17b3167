// Package awsauth decodes the aws-auth document. It computes the map that aws-iam-authenticator v0.7.18 loads, resolves
// a caller's ARN to a username and groups, and gives the position of each value in the text.
//
// The package is pure: it takes bytes and returns values. [Map] holds the values, as the authenticator's own decoders
// return them. [Document] adds the position of every value, from a YAML node tree.
package awsauth

import (
	"maps"
	"slices"
)

// Section is one of the three keys under data that the authenticator reads. The authenticator ignores a key that differs
// from them in case (aws-iam-authenticator v0.7.18, pkg/mapper/configmap/configmap.go, ParseMap).
type Section string

// The sections, in the order in which the authenticator looks a caller up.
const (
	MapRoles    Section = "mapRoles"
	MapUsers    Section = "mapUsers"
	MapAccounts Section = "mapAccounts"
)

// Sections returns the three sections in the order in which the authenticator looks a caller up.
func Sections() []Section { return []Section{MapRoles, MapUsers, MapAccounts} }

// IsSection reports whether a key under data is one of the sections, with the same upper and lower case.
func IsSection(key string) bool { return slices.Contains(Sections(), Section(key)) }

// Path returns the path of the section in the object, such as data.mapRoles.
func (s Section) Path() string { return "data." + string(s) }

// Position is the position of a value.
type Position struct {
	// Path is the value's path in the object, such as data.mapRoles[1].rolearn. Indexes count from zero.
	Path string
	// Line and Column count from one, and Column counts characters. For an object from a manifest they count in the
	// file. For other objects they count in the text of the key that Path names. They are zero if they are not known.
	Line, Column int
}

// Scalar is a value or a key with its position.
type Scalar struct {
	Value string
	Position
}

// Namespace and Name identify the ConfigMap that the authenticator reads (aws-iam-authenticator v0.7.18,
// pkg/mapper/configmap/configmap.go).
const (
	Namespace = "kube-system"
	Name      = "aws-auth"
)

// Object is an aws-auth ConfigMap from the API server or from a manifest. [Source.ObjectOf] and [BareSection] make one
// from sections outside of a ConfigMap. The zero Object is an empty ConfigMap.
type Object struct {
	Data map[string]string
	// BinaryData holds the names of the keys under binaryData. The authenticator ignores these keys.
	BinaryData []string
	Immutable  bool
	// Annotations are the annotations of the object, or some of them.
	Annotations map[string]string
	// NotText are the keys under data whose value in a manifest is not a string, such as a list that is written without
	// a block scalar. The API server refuses such a manifest. A stored object has no such keys.
	NotText []Scalar
	// Reviewed reports that the object came in an AdmissionReview, or must be treated as if it had; see
	// [Object.MayHideBytes].
	Reviewed bool
	// Finalizers are the object's finalizers. Owners are its owner references in the form of [OwnerReference].
	Finalizers, Owners []string
	// Deleting reports that a request deleted the object, and that Kubernetes keeps it until its finalizers are
	// removed.
	Deleting bool

	positions *positions     // positions in a manifest file; nil for other objects
	values    map[string]any // see Values
}

// SameContent reports whether two objects have the same data, the same keys under binaryData, and the same value of
// immutable. It returns false if either object is nil, is being deleted, may hide bytes, or is a manifest that can't be
// applied as it is written.
func (o *Object) SameContent(other *Object) bool {
	return o.showsContent() && other.showsContent() && o.Immutable == other.Immutable && maps.Equal(o.Data, other.Data) &&
		slices.Equal(slices.Sorted(slices.Values(o.BinaryData)), slices.Sorted(slices.Values(other.BinaryData)))
}

// showsContent reports whether the fields of an object are the content that the API server stores and keeps.
func (o *Object) showsContent() bool {
	return o != nil && !o.mayHideBytes() && !o.Deleting && len(o.NotText) == 0 && (o.positions == nil || len(o.positions.duplicateKeys()) == 0)
}
