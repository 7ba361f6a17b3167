// Package textutil shortens texts, quotes them for a shell, makes them printable, and computes the edit distance of two
// texts.
package textutil

import (
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

const ellipsis = "…"

// ShortenArgs shortens the texts among the arguments of a format to at most limit bytes; see [Shorten].
func ShortenArgs(args []any, limit int) {
	for i, arg := range args {
		if text, ok := arg.(string); ok {
			args[i] = Shorten(text, limit)
		}
	}
}

// Shorten returns text in at most limit bytes. It replaces the middle of a longer text by an ellipsis (…), and never
// cuts a character into parts. limit must be at least 3, the bytes of the ellipsis.
func Shorten(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	keep := limit - len(ellipsis)
	head, tail := (keep+1)/2, len(text)-keep/2
	for head > 0 && !utf8.RuneStart(text[head]) {
		head--
	}
	for tail < len(text) && !utf8.RuneStart(text[tail]) {
		tail++
	}
	return text[:head] + ellipsis + text[tail:]
}

// ShellQuote quotes a text as one word for a POSIX shell.
func ShellQuote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// plainWord matches texts that a POSIX shell reads as one word without quotes.
var plainWord = regexp.MustCompile(`^[\w+=,.@:/-]+$`)

// ShellWord returns a text as one word for a POSIX shell. It quotes the text only if the text has special characters.
func ShellWord(text string) string {
	if plainWord.MatchString(text) {
		return text
	}
	return ShellQuote(text)
}

// Printable returns text with Go escapes instead of control characters, invisible characters and bytes that are not
// UTF-8.
func Printable(text string) string {
	clean := true
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			clean = false
			break
		}
	}
	if clean {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		if r == utf8.RuneError && size == 1 || !strconv.IsPrint(r) {
			quoted := strconv.Quote(text[i : i+size])
			b.WriteString(quoted[1 : len(quoted)-1])
		} else {
			b.WriteString(text[i : i+size])
		}
		i += size
	}
	return b.String()
}

// Distance returns the edit distance of two texts (optimal string alignment). This is the minimum number of edits that
// turn one text into the other. An edit inserts, deletes or replaces a character, or swaps two neighbours. The time is
// proportional to the product of the lengths of the texts.
func Distance(left, right string) int {
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
