package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/entryplan"
	"github.com/awsauth-guard/awsauth-guard/internal/extract"
	"github.com/awsauth-guard/awsauth-guard/internal/report"
)

// lintDiscovered lints a file that lint found in a folder or by a pattern. Such a file may concern neither aws-auth nor access entries.
// Then the result has no findings. A syntax error in the file counts as an error of lint only if the file seems to contain an aws-auth.
// lintDiscovered skips a template of a chart, and a template that does not parse. If such a template names an aws-auth, the result has a
// note.
func (l *lintRun) lintDiscovered(label string, src []byte) fileResult {
	nothing := fileResult{File: report.File{Name: label}}
	text := withoutNULs(src)
	concerns := extract.Concerns(text)
	if !concerns && !extract.HasEntries(text) {
		if !entryplan.Concerns(text) {
			return nothing
		}
		return l.lintInput(input{name: label, entries: entryplan.Read(src)})
	}
	named := extract.Names(text)
	if chart := enclosingChart(label); chart != "" && bytes.Contains(text, []byte("{{")) {
		if named {
			nothing.skipped = true
			nothing.Notes = []string{fmt.Sprintf("%s: skipped: it is a chart template; render it first: helm template %s | kubectl awsauth lint -", label, chart)}
		}
		return nothing
	}
	in, err := parseInput(label, src)
	in, skipped := in.discovered()
	switch {
	case slices.Contains(templateExtensions, strings.ToLower(filepath.Ext(label))) && len(in.problems) > 0:
		if named {
			nothing.skipped, nothing.Notes = true, places(in.problems[:1])
		}
		return nothing
	case named || len(in.objects) > 0:
	case in.entries != nil:
		in.problems = nil // these problems don't concern aws-auth
	case skipped:
		nothing.skipped, nothing.Notes = true, in.notes
		return nothing
	case err != nil || in.notKubernetes || !concerns:
		return nothing
	case len(in.problems) > 0:
		nothing.skipped = true
		nothing.Notes = []string{in.problems[0].Place() + ": skipped: it does not look like an aws-auth and cannot be parsed: " + in.problems[0].Message}
		return nothing
	}
	o := l.lintParsed(in, err)
	o.skipped = skipped
	return o
}

// withoutNULs removes the NUL bytes from a text, so that a search for ASCII text also works in UTF-16 and UTF-32.
func withoutNULs(src []byte) []byte {
	if bytes.IndexByte(src, 0) < 0 {
		return src
	}
	return bytes.ReplaceAll(src, []byte{0}, nil)
}

// fileNamesAWSAuth reports whether a file names an aws-auth; see [extract.Names]. It reads the file in blocks of 1 MiB, so the file can
// have any size.
func fileNamesAWSAuth(name string) (bool, error) {
	f, err := os.Open(name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	const keep = 1 << 10 // the overlap of two blocks; longer than the field that extract.Names finds usually is
	buffer := make([]byte, 1<<20)
	kept := 0
	for {
		n, err := io.ReadFull(f, buffer[kept:])
		text := buffer[:kept+n]
		if extract.Names(withoutNULs(text)) {
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

// enclosingChart returns the folder of the Helm chart that has this file among its templates. It looks only at the folders in name, and
// returns "" if none of them is the folder templates of a chart.
func enclosingChart(name string) string {
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
