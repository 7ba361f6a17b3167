package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/report"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// linter is one run of lint.
type linter struct {
	app     *app
	policy  validate.Policy
	change  validate.Change // that every aws-auth is judged as; its New is missing
	oldName string
	out     lintReport
	quiet   bool // the output tells what could not be read
	total   report.Total
}

// outcome is what became of one file.
type outcome struct {
	report.File

	denied, warned int
	notes          []string
	unread         bool  // it does not parse, and does not look like an aws-auth
	err            error // why it could not be read
}

// live judges the object of a cluster.
func (l *linter) live(in input) error {
	if err := l.add(l.judge(in)); err != nil {
		return err
	}
	return l.end()
}

// files judges files, several at a time, and reports them in their order. Only so many of them are
// in memory as are worked on, and as many more that wait for an earlier one.
func (l *linter) files(ctx context.Context, args []string) error {
	sources := expand(args)
	outcomes, stop := l.start(ctx, sources)
	defer stop()
	progress := newProgress(l.app.stderr, len(sources))
	tick := time.NewTicker(100 * time.Millisecond) // as often as an eye can follow
	defer tick.Stop()
	done := 0
	for next := range outcomes {
		var o outcome
		for waiting := true; waiting; {
			select {
			case o = <-next:
				waiting = false
			case <-tick.C:
				progress.show(done)
			}
		}
		done++
		if !o.silent() {
			progress.clear()
		}
		if err := l.add(o); err != nil {
			return err
		}
		if ctx.Err() != nil {
			break // one file says so, and the others are not read either
		}
	}
	progress.clear()
	if l.total.Objects == 0 && l.total.Problems == 0 {
		fmt.Fprintf(l.app.stderr, "note: no aws-auth in %s\n", listed(args, len(sources)))
	} else if len(sources) > 1 {
		defer func() { fmt.Fprintln(l.app.stderr, l.total) }()
	}
	return l.end()
}

// listed names what was looked at.
func listed(args []string, files int) string {
	if len(args) > 10 {
		return fmt.Sprintf("%d files", files)
	}
	return strings.Join(args, ", ")
}

// start works on the files. What it returns yields an outcome for each, in their order; stop ends
// the work early.
func (l *linter) start(ctx context.Context, sources []source) (outcomes <-chan chan outcome, stop func()) {
	type job struct {
		source
		done chan outcome
	}
	workers := min(runtime.GOMAXPROCS(0), max(len(sources), 1))
	jobs, ordered, quit := make(chan job), make(chan chan outcome, 2*workers), make(chan struct{})
	for range workers {
		go func() {
			for j := range jobs {
				j.done <- l.file(ctx, j.source)
			}
		}()
	}
	go func() {
		defer close(ordered)
		defer close(jobs)
		for _, s := range sources {
			j := job{s, make(chan outcome, 1)}
			select {
			case jobs <- j:
			case <-quit:
				return
			}
			select {
			case ordered <- j.done:
			case <-quit:
				return
			}
		}
	}()
	return ordered, sync.OnceFunc(func() { close(quit) })
}

// add reports and counts an outcome.
func (l *linter) add(o outcome) error {
	for _, note := range o.notes {
		fmt.Fprintf(l.app.stderr, "note: %s\n", note)
	}
	t := &l.total
	t.Files++
	t.Objects += o.Objects
	t.Denied += o.denied
	t.Warned += o.warned
	if o.unread {
		t.Unread++
	}
	if o.err != nil {
		t.Problems++
		if !l.quiet {
			l.app.fail(o.err)
		}
	} else if len(o.Problems) > 0 {
		t.Problems++
		if !l.quiet {
			l.app.reportProblems(o.Problems)
		}
	}
	return written(l.out.Add(o.File))
}

// silent reports whether nothing is printed of an outcome before the end.
func (o *outcome) silent() bool {
	return len(o.Findings) == 0 && len(o.Problems) == 0 && len(o.notes) == 0
}

// end decides on the exit status and ends the output.
func (l *linter) end() error {
	switch t := &l.total; {
	case t.Problems > 0:
		t.Verdict = validate.Refuse // what could not be read has not been found good
		l.app.status = statusFailed
	case t.Denied > 0:
		t.Verdict = validate.Refuse
		l.app.status = statusDenied
	case t.Warned > 0:
		t.Verdict = validate.WarnOnly
	default:
		t.Verdict = validate.Allow
	}
	return written(l.out.End(l.total))
}

// file reads and judges a file.
func (l *linter) file(ctx context.Context, s source) outcome {
	if s.err != nil {
		return unreadFile(s.name, s.err)
	}
	label, src, err := l.app.readFile(ctx, s.name)
	if large := (*tooLargeError)(nil); s.found && errors.As(err, &large) {
		if named, e := namesAWSAuth(s.name); e == nil && !named {
			return outcome{File: report.File{Name: label}}
		}
	}
	if err != nil {
		return unreadFile(label, fmt.Errorf("reading manifests: %w", err))
	}
	if s.found && cannotName(src) {
		return outcome{File: report.File{Name: label}}
	}
	in := parse(label, src)
	switch {
	case !s.found || len(in.objects) > 0:
	case in.foreign:
		return outcome{File: report.File{Name: label}}
	case len(in.problems) > 0 && !nameLine.Match(src):
		note := in.problems[0].Place() + ": not read, and does not look like an aws-auth: " + in.problems[0].Message
		return outcome{File: report.File{Name: label}, unread: true, notes: []string{note}}
	}
	return l.judge(in)
}

func unreadFile(name string, err error) outcome {
	return outcome{err: err, File: report.File{Name: name, Problems: []report.Problem{{File: name, Message: err.Error()}}}}
}

// nameLine matches the name of an aws-auth in YAML or JSON.
var nameLine = regexp.MustCompile(`\bname["']?\s*:\s*["']?aws-auth\b`)

// cannotName reports whether a text cannot be that of an aws-auth whatever it is: the name does not
// stand there, and without an escape or a tag it cannot be written in another way.
func cannotName(src []byte) bool {
	return !bytes.Contains(src, []byte("aws-auth")) && bytes.IndexByte(src, '\\') < 0 && bytes.IndexByte(src, '!') < 0
}

// namesAWSAuth looks for the name of an aws-auth in a file of any size.
func namesAWSAuth(name string) (bool, error) {
	f, err := os.Open(name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	const keep = 256 // more than the name with all that stands around it
	buffer := make([]byte, 1<<20)
	kept := 0
	for {
		n, err := io.ReadFull(f, buffer[kept:])
		text := buffer[:kept+n]
		if nameLine.Match(text) {
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

// judge judges every aws-auth of an input.
func (l *linter) judge(in input) outcome {
	o := outcome{File: report.File{Name: in.name, Problems: in.problems, Objects: len(in.objects)}}
	for _, object := range in.objects {
		v := validate.Judge(l.changeTo(object), l.policy)
		for _, f := range v.Findings {
			o.Findings = append(o.Findings, report.Finding{File: in.name, Resource: object.resource, InText: object.inText, Finding: f})
		}
		if l.oldName != "" {
			o.Access = append(o.Access, report.Access{Old: l.oldName, New: in.name, Changes: v.Access})
		}
		switch v.Action {
		case validate.Refuse:
			o.denied++
		case validate.WarnOnly:
			o.warned++
		case validate.Allow:
		}
	}
	return o
}

// changeTo is the change to an aws-auth. What a Terraform plan deletes is judged as such.
func (l *linter) changeTo(o object) validate.Change {
	c := l.change
	c.New = o.Object
	if o.before != nil {
		c.Old, c.Operation = o.before, validate.Update
		if o.Object == nil {
			c.Operation = validate.Delete
		}
	}
	if c.New != nil && c.New.Annotations[validate.BreakGlassAnnotation] != "" {
		judged := *c.New // a file does not say who will set it
		judged.Annotations = maps.Clone(c.New.Annotations)
		delete(judged.Annotations, validate.BreakGlassAnnotation)
		c.New = &judged
	}
	return c
}
