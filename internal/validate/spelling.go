package validate

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/awsauth-guard/awsauth-guard/internal/textutil"
)

var separators = strings.NewReplacer("_", "", "-", "", ".", "", " ", "")

// near reports whether a key was meant to be want, which is in lower case: case and separators
// aside they differ by at most two letters, and where it is shorter than rolearn by one.
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

// bare is a key in lower case without separators.
func bare(key string) string { return separators.Replace(strings.ToLower(key)) }

// quote writes a value as YAML reads it back on one line.
func quote(value string) string { return strconv.Quote(textutil.Shorten(value, maxValue)) }
