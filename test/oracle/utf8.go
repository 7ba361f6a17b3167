package oracle

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// replacement is the character that JSON encoders write for every byte that is not UTF-8.
const replacement = "\ufffd"

// validUTF8 reports whether all texts are UTF-8.
func validUTF8(data map[string]string) bool {
	for _, text := range data {
		if !utf8.ValidString(text) {
			return false
		}
	}
	return true
}

// sectionsAreUTF8 reports whether the texts that the authenticator reads are UTF-8.
func sectionsAreUTF8(data map[string]string) bool {
	return !slices.ContainsFunc(awsauth.Sections(), func(s awsauth.Section) bool { return !utf8.ValidString(data[string(s)]) })
}

// HasInvalidUTF8 reports whether a text holds bytes that are not UTF-8.
func HasInvalidUTF8(data map[string]string) bool { return !validUTF8(data) }

// replaceInvalidUTF8 returns data as an AdmissionReview holds it: encoding/json writes U+FFFD for every byte that is not
// UTF-8. The authenticator watches in protobuf and gets the original bytes.
func replaceInvalidUTF8(data map[string]string) map[string]string {
	if data == nil || validUTF8(data) {
		return data
	}
	texts := make(map[string]string, len(data))
	for section, text := range data {
		texts[section] = string([]rune(text))
	}
	return texts
}

// hasReplacementCharacter reports whether a section holds U+FFFD. The guard can't know whether this character stands for
// a byte that makes the stored section unreadable.
func hasReplacementCharacter(o *awsauth.Object) bool {
	for _, section := range awsauth.Sections() {
		if strings.Contains(o.Data[string(section)], replacement) {
			return true
		}
	}
	return false
}

// checkBytes checks that the guard denies a document if the reviewed text has other mappings than the stored text.
func (k *Checker) checkBytes(v *version, object *awsauth.Object, verdict validate.Verdict) {
	failures := len(k.failures)
	k.checkResolve(v, object.Load())
	differs := len(k.failures) > failures
	k.failures = k.failures[:failures]
	if differs {
		k.Stats.add("document changed by its bytes")
		if verdict.Action != validate.ActionDeny {
			k.fail(checkBytes, "document", "the verdict is %s%s", verdict.Action, findings(verdict))
		}
	}
}
