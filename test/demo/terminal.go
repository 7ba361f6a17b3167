package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// terminal prints text with colours, if they are enabled.
type terminal struct {
	io.Writer
	colour bool
}

// useColours reports whether to colour the output: f is a terminal, and NO_COLOR is not set (https://no-color.org).
func useColours(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

func (t *terminal) style(code, text string) string {
	if !t.colour {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (t *terminal) bold(text string) string  { return t.style("1", text) }
func (t *terminal) dim(text string) string   { return t.style("2", text) }
func (t *terminal) red(text string) string   { return t.style("31", text) }
func (t *terminal) green(text string) string { return t.style("32", text) }

// line prints one line. It ignores write errors, because the demo can't report them elsewhere.
func (t *terminal) line(format string, args ...any) { fmt.Fprintf(t, format+"\n", args...) }

// indented prints text with spaces before each line.
func (t *terminal) indented(spaces int, text string) {
	for line := range strings.Lines(text) {
		t.line("%s%s", strings.Repeat(" ", spaces), strings.TrimRight(line, "\n"))
	}
}

// stopwatch returns a function that prints a completed action, with the time since the last call of the function. The first
// call prints the time since the call of stopwatch.
func (t *terminal) stopwatch() func(format string, args ...any) {
	last := time.Now() //nolint:forbidigo // measures a duration to print
	return func(format string, args ...any) {
		took := time.Since(last)
		last = last.Add(took)
		t.line(" %s %s %s", t.green("✔"), fmt.Sprintf(format, args...), t.dim(fmt.Sprintf("(%.1f s)", took.Seconds())))
	}
}

// diff prints the lines of before that are removed, and then the lines of after that are added. It treats all lines from the
// first changed line to the last as changed.
func (t *terminal) diff(before, after string) {
	a, b := strings.SplitAfter(before, "\n"), strings.SplitAfter(after, "\n")
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	for _, line := range a {
		t.line("   %s", t.red("- "+visible(line)))
	}
	for _, line := range b {
		t.line("   %s", t.green("+ "+visible(line)))
	}
	t.line("")
}

// visible returns a line with an arrow and spaces in place of each tab.
func visible(line string) string {
	return strings.ReplaceAll(strings.TrimRight(line, "\n"), "\t", "→   ")
}
