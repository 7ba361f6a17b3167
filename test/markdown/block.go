package markdown

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Block is a fenced code block.
type Block struct {
	Language string
	// Marker is the HTML comment in the line above the block, without <!-- and -->. It is empty if there is no comment.
	Marker string
	// First is the index of the first line between the fences. Last is the index of the closing fence.
	First, Last int
	// Lines are the lines between the fences, without the indentation of the fence.
	Lines []string
}

var (
	fence  = regexp.MustCompile("^( *)```([a-z]*)$")
	marker = regexp.MustCompile(`^ *<!-- (.*) -->$`)
)

// Blocks returns the fenced code blocks of a page's lines. It fails if the last block has no end.
func Blocks(lines []string) (list []Block, err error) {
	open, indentation := false, ""
	for i, line := range lines {
		match := fence.FindStringSubmatch(line)
		switch {
		case match == nil && open:
			last := &list[len(list)-1]
			last.Lines = append(last.Lines, strings.TrimPrefix(line, indentation))
		case match == nil:
		case open:
			list[len(list)-1].Last, open = i, false
		default:
			open, indentation = true, match[1]
			list = append(list, Block{Language: match[2], First: i + 1})
			if i == 0 {
				continue
			}
			if m := marker.FindStringSubmatch(lines[i-1]); m != nil {
				list[len(list)-1].Marker = m[1]
			}
		}
	}
	if open {
		return nil, fmt.Errorf("line %d: the code block has no end", list[len(list)-1].First)
	}
	return list, nil
}

// Command is a command of a console block. Input has the lines of the command, without the prompt "$ ". Output has the lines of its
// output.
type Command struct {
	Input, Output []string
}

var hereDocument = regexp.MustCompile(`<<'?([A-Z]+)'?`)

// Commands returns the commands of a console block. A command continues after a line that ends with a backslash or a
// pipe, and through a here document. Commands fails if the block doesn't begin with a command.
func (b *Block) Commands() (list []Command, err error) {
	end, more := "", false
	for _, line := range b.Lines {
		input, prompt := strings.CutPrefix(line, "$ ")
		switch {
		case end != "" || more:
			c := &list[len(list)-1]
			c.Input = append(c.Input, line)
			input = line
			if line == end {
				end = ""
			}
		case prompt:
			list = append(list, Command{Input: []string{input}})
			if match := hereDocument.FindStringSubmatch(input); match != nil {
				end = match[1]
			}
		case len(list) == 0:
			return nil, errors.New("the block begins with a line that has no $")
		default:
			c := &list[len(list)-1]
			c.Output = append(c.Output, line)
			continue
		}
		more = end == "" && (strings.HasSuffix(input, `\`) || strings.HasSuffix(input, "|"))
	}
	return list, nil
}
