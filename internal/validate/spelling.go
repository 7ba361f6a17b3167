package validate

import (
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/awsauth-guard/awsauth-guard/internal/textutil"
)

var separators = strings.NewReplacer("_", "", "-", "", ".", "", " ", "")

// near reports whether a key is probably a misspelling of want, which is in lower case. It ignores case and separators.
// The key may differ from want by two letters, or by one letter if want has fewer than seven, such as groups.
func near(key, want string) bool {
	key = bare(key)
	limit := 2
	if len(want) < 7 {
		limit = 1
	}
	if n := utf8.RuneCountInString(key); n > len(want)+limit || n < len(want)-limit {
		return false
	}
	return textutil.Distance(key, want) <= limit
}

// bare returns a key in lower case without separators.
func bare(key string) string { return separators.Replace(strings.ToLower(key)) }

// scalar writes a value as a YAML scalar on one line, shortened to maxValue bytes. The scalar has no quotes if every YAML reader
// reads it as a text without them.
func scalar(value string) string {
	if plainScalar.MatchString(value) && !otherType.MatchString(value) {
		return textutil.Shorten(value, maxValue)
	}
	return quote(value)
}

var (
	plainScalar = regexp.MustCompile(`^[A-Za-z/](?:[\w/.+=@{},-]|:[\w/.+=@{},-])*$|^[\w.+=@/-]+$`)
	otherType   = regexp.MustCompile(`(?i)^(?:[-+.]?[0-9].*|-.*|y|n|yes|no|on|off|true|false|null|~|\.inf|\.nan)$`)
)

// quote writes a value as a quoted YAML scalar on one line, shortened to maxValue bytes.
func quote(value string) string { return strconv.Quote(textutil.Shorten(value, maxValue)) }
