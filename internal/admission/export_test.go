package admission

import "github.com/awsauth-guard/awsauth-guard/internal/validate"

// What the tests of texts and of the fast path call.
var (
	Message   = message
	Causes    = causes
	Unchanged = unchanged
)

// Silent counts nothing.
type Silent = silent

// Warnings are those of findings alone.
func Warnings(findings []validate.Finding) []string { return warnings(nil, findings) }

// Same reports what decoding says about an UPDATE of which [Unchanged] looks at the bytes only.
func Same(oldObject, object []byte) (same, ok bool) {
	before, err := decode("oldObject", oldObject)
	if err != nil {
		return false, false
	}
	after, err := decode("object", object)
	if err != nil {
		return false, false
	}
	return before.equal(after), true
}
