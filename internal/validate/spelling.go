package validate

import (
	"strconv"
	"strings"
	"unicode/utf8"
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
	return distance(key, want) <= limit
}

// bare is a key in lower case without separators.
func bare(key string) string { return separators.Replace(strings.ToLower(key)) }

// distance is the number of letters to insert, remove, replace or swap with their neighbour
// (optimal string alignment). The texts are short.
func distance(left, right string) int {
	a, b := []rune(left), []rune(right)
	before := make([]int, len(b)+1)
	previous := make([]int, len(b)+1)
	current := make([]int, len(b)+1)
	for j := range previous {
		previous[j] = j
	}
	for i := 1; i <= len(a); i++ {
		current[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			current[j] = min(previous[j]+1, current[j-1]+1, previous[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				current[j] = min(current[j], before[j-2]+1)
			}
		}
		before, previous, current = previous, current, before
	}
	return previous[len(b)]
}

// quote writes a value as YAML reads it back on one line.
func quote(value string) string { return strconv.Quote(shorten(value, maxValue)) }
