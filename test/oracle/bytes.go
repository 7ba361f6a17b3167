package oracle

import (
	"strings"
	"unicode/utf8"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// replacement is the character that stands in JSON for every byte that is not UTF-8.
const replacement = "\ufffd"

// valid reports whether all texts are UTF-8.
func valid(data map[string]string) bool {
	for _, text := range data {
		if !utf8.ValidString(text) {
			return false
		}
	}
	return true
}

// HasInvalidUTF8 reports whether a text holds bytes that are not UTF-8.
func HasInvalidUTF8(data map[string]string) bool { return !valid(data) }

// shown is what an AdmissionReview holds of an object: encoding/json writes U+FFFD for every byte that is not UTF-8.
// The authenticator watches in protobuf and gets the bytes as they are.
func shown(data map[string]string) map[string]string {
	if data == nil || valid(data) {
		return data
	}
	texts := make(map[string]string, len(data))
	for section, text := range data {
		texts[section] = string([]rune(text))
	}
	return texts
}

// undecidable reports whether a section holds U+FFFD: the guard cannot tell whether it stands for a byte that loses the
// section.
func undecidable(o *awsauth.Object) bool {
	for _, section := range awsauth.Sections() {
		if strings.Contains(o.Data[string(section)], replacement) {
			return true
		}
	}
	return false
}

// checkBytes: where the text that the guard is shown means something else than the stored one, the document is refused.
func (k *Checker) checkBytes(v *version, object *awsauth.Object, verdict validate.Verdict) {
	failures := len(k.failures)
	k.checkResolve(v, object.Load())
	differs := len(k.failures) > failures
	k.failures = k.failures[:failures]
	if differs {
		k.Stats.add("document changed by its bytes")
		if verdict.Action != validate.Refuse {
			k.fail(checkBytes, "document", "the verdict is %s%s", verdict.Action, findings(verdict))
		}
	}
}
