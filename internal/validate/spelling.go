package validate

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/awsauth-guard/awsauth-guard/internal/textutil"
)

var separators = strings.NewReplacer("_", "", "-", "", ".", "", " ", "")

// near reports whether a key is probably a misspelling of want, which is in lower case. Ignoring case and separators,
// they may differ by two letters, or by one if want is shorter than rolearn.
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

// quote writes a value as a quoted YAML scalar on one line, shortened to maxValue bytes.
func quote(value string) string { return strconv.Quote(textutil.Shorten(value, maxValue)) }
