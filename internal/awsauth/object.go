// Package awsauth is the aws-auth document: what aws-iam-authenticator v0.7.18 loads from it,
// whom a caller's ARN maps to, and where each value stands in the text.
//
// The package is pure: it is given bytes and answers with values. The unit of meaning is [Map],
// which is decoded by the authenticator's own decoders. The unit of place is [Document], which
// adds a position to every scalar from a YAML node tree.
package awsauth

import (
	"maps"
	"slices"
)

// Section is one of the three keys under data that the authenticator reads, exact in case
// (aws-iam-authenticator v0.7.18, pkg/mapper/configmap/configmap.go, ParseMap).
type Section string

// The sections, in the order in which the authenticator looks a caller up.
const (
	MapRoles    Section = "mapRoles"
	MapUsers    Section = "mapUsers"
	MapAccounts Section = "mapAccounts"
)

// Sections returns the three sections in the order in which a caller is looked up.
func Sections() []Section { return []Section{MapRoles, MapUsers, MapAccounts} }

// IsSection reports whether a key under data is one of the sections.
func IsSection(key string) bool { return slices.Contains(Sections(), Section(key)) }

// Path is the section's place in the object, such as data.mapRoles.
func (s Section) Path() string { return "data." + string(s) }

// Place says where a value stands.
type Place struct {
	// Path is the value's path in the object, such as data.mapRoles[1].rolearn. Indexes count from zero.
	Path string
	// Line and Column count from one, Column in characters. They count in the manifest file where
	// the object was read from one, and otherwise within the text of the key that Path names.
	// Zero means that the place has no position.
	Line, Column int
}

// Scalar is a value and its place.
type Scalar struct {
	Value string
	Place
}

// Namespace and Name are those of the one ConfigMap that the authenticator reads (aws-iam-authenticator v0.7.18,
// pkg/mapper/configmap/configmap.go).
const (
	Namespace = "kube-system"
	Name      = "aws-auth"
)

// Object is the aws-auth ConfigMap as it is stored or as a manifest writes it.
// The zero Object is an empty ConfigMap.
type Object struct {
	Data map[string]string
	// BinaryData holds the names of the keys under binaryData; the authenticator reads none of them.
	BinaryData []string
	Immutable  bool
	// Annotations are the object's annotations, or those of them that the reader wants to know.
	Annotations map[string]string
	// NotText are keys under data whose value in a manifest is not a string, such as a list written
	// without a block scalar. The API server refuses such a manifest; a stored object has none.
	NotText []Scalar
	// Reviewed objects came through an AdmissionReview, or are judged as if they had; see [Object.MayHideBytes].
	Reviewed bool
	// Finalizers are the object's finalizers, and Owners its owner references, each in one text.
	Finalizers, Owners []string
	// Deleting: somebody has deleted the object, and it stays until its finalizers are removed.
	Deleting bool

	source *source // positions in a manifest file; nil for a live object
}

// SameContent reports whether the object differs from another one in nothing that the
// authenticator or the API server acts on. A manifest that cannot be applied as it is written is
// never the same, and neither is an object that may hide bytes or is being deleted.
func (o *Object) SameContent(other *Object) bool {
	return o != nil && !o.mayHideBytes() && !o.Deleting && other != nil && o.Immutable == other.Immutable && maps.Equal(o.Data, other.Data) &&
		slices.Equal(slices.Sorted(slices.Values(o.BinaryData)), slices.Sorted(slices.Values(other.BinaryData))) &&
		len(o.NotText) == 0 && (o.source == nil || len(o.source.duplicateKeys()) == 0)
}
