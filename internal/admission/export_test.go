package admission

// What the tests of texts and of the fast path call.
var (
	Message   = message
	Causes    = causes
	Warnings  = warnings
	Shorten   = shorten
	Printable = printable
	Unchanged = unchanged
)

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
