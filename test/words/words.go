// Package words finds words and sentences that the style of this project bans in pages, Go comments and messages.
package words

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strings"
)

// A Hit is a place in a text.
type Hit struct {
	// Line counts from 1.
	Line int
	Text string
}

// gap matches the space between two words. It can include one line break.
const gap = `(?:[ \t]+|[ \t]*\n[ \t]*)`

var (
	word = regexp.MustCompile(`[A-Za-z][A-Za-z'-]*`)
	// riddle matches words that do not name the actor or the object of an action.
	riddle = regexp.MustCompile(spaced(
		`(?i)\b(?:whoever|somebody|nobody|whatever|whom|in its stead|none of|what (?:is|was|has|it|they|the|may|must))\b`))

	htmlComment = regexp.MustCompile(`(?s)<!--.*?-->`)
	inlineCode  = regexp.MustCompile("``[^`]*(?:`[^`]+)*``|`[^`]*`")
	linkTarget  = regexp.MustCompile(`\]\([^()\s]*\)`)
	fence       = regexp.MustCompile("^[ \t]*(?:[-*][ \t]+)?(```|~~~)")
	// block matches the beginning of a line that begins a sentence: a heading, a list item, a row of a table or a quotation.
	block = regexp.MustCompile(`^[ \t]*(?:#|[-*+][ \t]|\d+[.)][ \t]|\||>)`)
	// sentenceEnd matches the marks that end a sentence within a block. The end of a table's cell also ends a sentence.
	sentenceEnd = regexp.MustCompile(`[.!?:;]["')*]*(?:\s+|$)|[。！？：；|]`)
)

func spaced(pattern string) string { return strings.ReplaceAll(pattern, " ", gap) }

// Markdown returns the prose of a page. It removes code, HTML comments and the targets of links, and replaces inline code
// by one word. Each line of the prose has the same number as in the page.
func Markdown(page string) string {
	lines := strings.Split(page, "\n")
	open := ""
	for i, line := range lines {
		mark := ""
		if match := fence.FindStringSubmatch(line); len(match) > 1 {
			mark = match[1]
		}
		switch {
		case open == "" && mark == "":
			continue
		case open == "":
			open = mark
		case mark == open:
			open = ""
		}
		lines[i] = ""
	}
	page = strings.Join(lines, "\n")
	page = htmlComment.ReplaceAllStringFunc(page, breaks)
	page = inlineCode.ReplaceAllStringFunc(page, func(s string) string { return "x" + breaks(s) })
	return linkTarget.ReplaceAllString(page, "]")
}

func breaks(s string) string { return strings.Repeat("\n", strings.Count(s, "\n")) }

// Messages returns the string literals of a Go file. Each has the same line number as in the file. Messages fails if it
// can't parse the file.
func Messages(source string) (string, error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, "", source, parser.SkipObjectResolution)
	if err != nil {
		return "", fmt.Errorf("cannot parse Go: %w", err)
	}
	lines := make([]string, strings.Count(source, "\n")+1)
	ast.Inspect(file, func(node ast.Node) bool {
		if literal, ok := node.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			first := files.PositionFor(literal.Pos(), false).Line - 1
			for i, line := range strings.Split(literal.Value, "\n") {
				lines[first+i] += line
			}
		}
		return true
	})
	return strings.Join(lines, "\n"), nil
}

// Comments returns the comments of a Go file, without directives such as //go:build and //nolint. Each line has the same
// number as in the file. Comments fails if it can't parse the file.
func Comments(source string) (string, error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, "", source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return "", fmt.Errorf("cannot parse Go: %w", err)
	}
	lines := make([]string, strings.Count(source, "\n")+1)
	for _, group := range file.Comments {
		for _, comment := range group.List {
			if strings.HasPrefix(comment.Text, "//go:") || strings.HasPrefix(comment.Text, "//nolint") {
				continue
			}
			text := strings.TrimSuffix(comment.Text[len("//"):], "*/")
			first := files.PositionFor(comment.Pos(), false).Line - 1
			for i, line := range strings.Split(text, "\n") {
				lines[first+i] += line
			}
		}
	}
	return strings.Join(lines, "\n"), nil
}

// Count returns the number of English words.
func Count(prose string) int { return len(word.FindAllStringIndex(prose, -1)) }

// Riddles returns the words and phrases that do not name the actor or the object of an action.
func Riddles(prose string) []Hit { return find(riddle, prose) }

// A Ban is a banned phrase, with the phrase to write instead.
type Ban struct {
	Phrase, Instead string
	pattern         *regexp.Regexp
}

// Find returns the places where a text has the phrase as whole words, in upper or lower case.
func (b Ban) Find(prose string) []Hit { return find(b.pattern, prose) }

// ParseBans reads lines of the form "phrase -> use instead". It ignores empty lines and lines that begin with "#". It
// fails if another line doesn't have this form.
func ParseBans(list string) (bans []Ban, err error) {
	for i, line := range strings.Split(list, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		phrase, instead, found := strings.Cut(line, " -> ")
		if !found || phrase == "" || instead == "" {
			return nil, fmt.Errorf("line %d is not of the form `phrase -> use instead`: %q", i+1, line)
		}
		pattern := regexp.MustCompile(spaced(`(?i)\b` + regexp.QuoteMeta(phrase) + `\b`))
		bans = append(bans, Ban{Phrase: phrase, Instead: instead, pattern: pattern})
	}
	return bans, nil
}

// LongSentences returns the sentences of more than limit words. A sentence ends with a mark such as a full stop, colon or
// semicolon, and with its paragraph, list item or cell.
func LongSentences(prose string, limit int) (long []Hit) {
	lines := strings.Split(prose, "\n")
	for start := 0; start < len(lines); {
		end := start + 1
		for end < len(lines) && strings.TrimSpace(lines[end]) != "" && !block.MatchString(lines[end]) {
			end++
		}
		paragraph := strings.Join(lines[start:end], "\n")
		from := 0
		for _, mark := range append(sentenceEnd.FindAllStringIndex(paragraph, -1), []int{len(paragraph), len(paragraph)}) {
			sentence := strings.TrimLeft(paragraph[from:mark[1]], " \t\n")
			if Count(sentence) > limit {
				line := start + 1 + strings.Count(paragraph[:mark[1]-len(sentence)], "\n")
				long = append(long, Hit{Line: line, Text: strings.Join(strings.Fields(sentence), " ")})
			}
			from = mark[1]
		}
		start = end
	}
	return long
}

func find(pattern *regexp.Regexp, prose string) (hits []Hit) {
	for _, match := range pattern.FindAllStringIndex(prose, -1) {
		hits = append(hits, Hit{
			Line: 1 + strings.Count(prose[:match[0]], "\n"),
			Text: strings.Join(strings.Fields(prose[match[0]:match[1]]), " "),
		})
	}
	return hits
}
