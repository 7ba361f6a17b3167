package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// terminal prints for a person.
type terminal struct {
	io.Writer
	colour bool
}

// coloured follows no-color.org, and keeps control sequences out of files and pipes.
func coloured(f *os.File) bool {
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

// line prints one line. A terminal that cannot be written to leaves nobody to tell.
func (t *terminal) line(format string, args ...any) { fmt.Fprintf(t, format+"\n", args...) }

// indented prints text with spaces before each line.
func (t *terminal) indented(spaces int, text string) {
	for line := range strings.Lines(text) {
		t.line("%s%s", strings.Repeat(" ", spaces), strings.TrimRight(line, "\n"))
	}
}

// stopwatch returns a function that prints what is done and how long it took.
func (t *terminal) stopwatch() func(format string, args ...any) {
	last := time.Now() //nolint:forbidigo // it is printed and decides nothing
	return func(format string, args ...any) {
		took := time.Since(last)
		last = last.Add(took)
		t.line(" %s %s %s", t.green("✔"), fmt.Sprintf(format, args...), t.dim(fmt.Sprintf("(%.1f s)", took.Seconds())))
	}
}

// diff prints the lines that were removed and added. They stand together: an edit here is one change.
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

// visible makes a tab one that can be told from spaces.
func visible(line string) string {
	return strings.ReplaceAll(strings.TrimRight(line, "\n"), "\t", "→   ")
}
