package awsauth

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// lineIndex translates between byte offsets of a text, the lines and columns of a YAML node, and the lines and columns
// that an editor shows. YAML 1.1 ends a line at a lone carriage return, NEL, LS or PS, and editors do not. So the line
// numbers of YAML and of editors can differ. Each translation is a binary search, even in long lines.
type lineIndex struct {
	first  int   // the offset of the first character, after a byte order mark
	size   int   // the number of bytes of the text
	yaml   []int // the offset of each line's first character, as YAML counts lines
	editor []int // the offset of each line's first character, as editors count lines; may share the memory of yaml
	// runes holds the offset of every runesStep-th character, beginning with the first one. It is nil if every
	// character is one byte.
	runes []int
}

const (
	byteOrderMark = "\ufeff"
	// runesStep is the number of characters between two elements of runes. So the index costs one word of memory for
	// each 256 characters, and a search in it scans fewer than 256 characters.
	runesStep = 256
)

func newLineIndex(text string) lineIndex {
	ix := lineIndex{size: len(text), first: len(text) - len(strings.TrimPrefix(text, byteOrderMark))}
	ix.yaml = append(make([]int, 0, 1+strings.Count(text, "\n")), ix.first)
	ascii, agree := true, true
	for i := ix.first; i < len(text); {
		c := text[i]
		if c >= ' ' && c < utf8.RuneSelf {
			i++
			continue
		}
		ascii = ascii && c < utf8.RuneSelf
		n := breakLen(text, i)
		if n == 0 {
			i++
			continue
		}
		i += n
		agree = agree && text[i-1] == '\n'
		ix.yaml = append(ix.yaml, i)
	}
	ix.editor = ix.yaml
	if !agree {
		ix.editor = []int{ix.first}
		for i := ix.first; i < len(text); i++ {
			if text[i] == '\n' {
				ix.editor = append(ix.editor, i+1)
			}
		}
	}
	if !ascii {
		ix.runes = runeOffsets(text, ix.first)
	}
	return ix
}

func runeOffsets(text string, first int) []int {
	offsets := make([]int, 0, 1+len(text)/runesStep)
	n := 0
	for i := range text[first:] {
		if n%runesStep == 0 {
			offsets = append(offsets, first+i)
		}
		n++
	}
	return offsets
}

// OffsetAt returns the byte offset of a line and a column in a file. Line and column count as in [Position]. For a line
// before the first or after the last, it returns the beginning or the end of the text.
func OffsetAt(text string, line, column int) int {
	ix := newLineIndex(text)
	return ix.offsetIn(ix.editor, text, line, column)
}

// offset returns the byte offset of a YAML node's line and column. For a line before the first or after the last, it
// returns the beginning or the end of the text.
func (ix *lineIndex) offset(text string, line, column int) int {
	return ix.offsetIn(ix.yaml, text, line, column)
}

func (ix *lineIndex) offsetIn(starts []int, text string, line, column int) int {
	switch {
	case line < 1:
		return ix.first
	case line > len(starts):
		return ix.size
	}
	start := starts[line-1]
	if ix.runes == nil {
		return min(start+column-1, ix.size)
	}
	return ix.offsetOfRune(text, ix.runeAt(text, start)+column-1)
}

// position returns the line and the column that an editor shows for an offset. The column counts characters.
func (ix *lineIndex) position(text string, offset int) (line, column int) {
	return ix.positionIn(ix.editor, text, offset)
}

func (ix *lineIndex) positionIn(starts []int, text string, offset int) (line, column int) {
	offset = min(max(offset, ix.first), ix.size)
	line, found := slices.BinarySearch(starts, offset)
	if found {
		return line + 1, 1
	}
	start := starts[line-1]
	if ix.runes == nil {
		return line, offset - start + 1
	}
	return line, ix.runeAt(text, offset) - ix.runeAt(text, start) + 1
}

// runeAt returns the number of characters before an offset.
func (ix *lineIndex) runeAt(text string, offset int) int {
	i, found := slices.BinarySearch(ix.runes, offset)
	if found || i == 0 {
		return i * runesStep
	}
	return (i-1)*runesStep + utf8.RuneCountInString(text[ix.runes[i-1]:offset])
}

func (ix *lineIndex) offsetOfRune(text string, n int) int {
	if n < 0 || n/runesStep >= len(ix.runes) {
		return ix.size
	}
	offset := ix.runes[n/runesStep]
	for range n % runesStep {
		if offset >= ix.size {
			break
		}
		_, size := utf8.DecodeRuneInString(text[offset:])
		offset += size
	}
	return offset
}

// breakLen returns the length of the YAML 1.1 line break at an offset (CR LF, CR, LF, NEL, LS or PS), or 0 if there is
// none.
func breakLen(text string, i int) int {
	if i >= len(text) {
		return 0
	}
	switch text[i] {
	case '\n':
		return 1
	case '\r':
		if strings.HasPrefix(text[i:], "\r\n") {
			return 2
		}
		return 1
	case 0xC2:
		if strings.HasPrefix(text[i:], "\u0085") {
			return 2
		}
	case 0xE2:
		if strings.HasPrefix(text[i:], "\u2028") || strings.HasPrefix(text[i:], "\u2029") {
			return 3
		}
	}
	return 0
}
