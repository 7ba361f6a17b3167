package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/report"
)

// foundFile judges a file that nobody has named, and that may be anything.
func (l *linter) foundFile(label string, src []byte) outcome {
	nothing := outcome{File: report.File{Name: label}}
	text := narrow(src)
	if cannotName(text) {
		return nothing
	}
	named := nameLine.Match(text)
	if chart := chartOf(label); chart != "" && bytes.Contains(text, []byte("{{")) {
		if named {
			nothing.unread = true
			nothing.notes = []string{fmt.Sprintf("%s: not read, a template of a chart; render it: helm template %s | kubectl awsauth lint -", label, chart)}
		}
		return nothing
	}
	in, err := parse(label, src)
	switch {
	case named || len(in.objects) > 0:
	case err != nil || in.foreign:
		return nothing
	case len(in.problems) > 0:
		nothing.unread = true
		nothing.notes = []string{in.problems[0].Place() + ": not read, and does not look like an aws-auth: " + in.problems[0].Message}
		return nothing
	}
	return l.parsed(in, err)
}

// narrow is a text in which ASCII can be looked for, also where it is UTF-16 or UTF-32.
func narrow(src []byte) []byte {
	if bytes.IndexByte(src, 0) < 0 {
		return src
	}
	return bytes.ReplaceAll(src, []byte{0}, nil)
}

// nameLine matches the name of an aws-auth in YAML or JSON.
var nameLine = regexp.MustCompile(`\bname["']?\s*:\s*["']?aws-auth\b`)

// cannotName reports whether a text cannot be that of an aws-auth whatever it is: the name does not
// stand there, and without an escape or a tag it cannot be written in another way.
func cannotName(src []byte) bool {
	return !bytes.Contains(src, []byte(awsauth.Name)) && bytes.IndexByte(src, '\\') < 0 && bytes.IndexByte(src, '!') < 0
}

// namesAWSAuth looks for the name of an aws-auth in a file of any size.
func namesAWSAuth(name string) (bool, error) {
	f, err := os.Open(name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	const keep = 1 << 10 // more than the name with all that stands around it
	buffer := make([]byte, 1<<20)
	kept := 0
	for {
		n, err := io.ReadFull(f, buffer[kept:])
		text := buffer[:kept+n]
		if nameLine.Match(narrow(text)) {
			return true, nil
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		kept = copy(buffer, text[len(text)-keep:])
	}
}

// chartOf is the chart that a file is a template of, or nothing.
func chartOf(name string) string {
	for dir := filepath.Dir(name); dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if filepath.Base(dir) != "templates" {
			continue
		}
		chart := filepath.Dir(dir)
		if _, err := os.Stat(filepath.Join(chart, "Chart.yaml")); err == nil {
			return chart
		}
	}
	return ""
}
