package cli

import (
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
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
	// directory is nil where IAM is not asked.
	directory directory
	quiet     bool // the output tells what could not be read
	total     report.Total
}

// outcome is what became of one file.
type outcome struct {
	report.File

	denied, warned int
	notes          []string
	unread         bool  // it does not parse and does not look like an aws-auth, or must be rendered
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
func (l *linter) files(args []string) error {
	sources := expand(args)
	outcomes, stop := l.start(sources)
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
	}
	progress.clear()
	if l.total.Objects == 0 && l.total.Problems == 0 {
		l.app.note("no aws-auth in %s", listed(args, len(sources)))
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
func (l *linter) start(sources []source) (outcomes <-chan chan outcome, stop func()) {
	type job struct {
		source
		done chan outcome
	}
	workers := min(runtime.GOMAXPROCS(0), max(len(sources), 1))
	jobs, ordered, quit := make(chan job), make(chan chan outcome, 2*workers), make(chan struct{})
	for range workers {
		go func() {
			for j := range jobs {
				j.done <- l.file(j.source)
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
		l.app.note("%s", note)
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
		t.Verdict = report.Failed // what could not be read has not been found good
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
func (l *linter) file(s source) outcome {
	if s.err != nil {
		return unreadFile(s.name, s.err)
	}
	label, src, err := l.app.readFile(s.name)
	if large := (*tooLargeError)(nil); s.found && errors.As(err, &large) {
		if named, e := namesAWSAuth(s.name); e == nil && !named {
			return outcome{File: report.File{Name: label}}
		}
	}
	if err != nil {
		return unreadFile(label, fmt.Errorf("reading manifests: %w", err))
	}
	if !s.found {
		return l.parsed(parse(label, src))
	}
	return l.foundFile(label, src)
}

// parsed judges what was read, if it could be.
func (l *linter) parsed(in input, err error) outcome {
	if err != nil {
		return unreadFile(in.name, err)
	}
	return l.judge(in)
}

func unreadFile(name string, err error) outcome {
	return outcome{err: err, File: report.File{Name: name, Problems: []report.Problem{{File: name, Message: err.Error()}}}}
}

// judge judges every aws-auth of an input.
func (l *linter) judge(in input) outcome {
	o := outcome{File: report.File{Name: in.name, Problems: in.problems, Objects: len(in.objects)}}
	for _, object := range in.objects {
		v := l.verdict(object)
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

// verdict judges the change to an aws-auth. One that a Terraform plan replaces is deleted, and is also
// changed from what it was to what it will be: of the two verdicts the severer one counts.
func (l *linter) verdict(o object) validate.Verdict {
	v := l.verdictOf(l.changeTo(o))
	if !o.replaced {
		return v
	}
	gone := l.verdictOf(l.changeTo(object{Object: o.left, before: o.before}))
	for _, f := range gone.Findings {
		said := func(other validate.Finding) bool {
			return other.Rule == f.Rule && other.Path == f.Path && other.Message == f.Message
		}
		if i := slices.IndexFunc(v.Findings, said); i < 0 {
			v.Findings = append(v.Findings, f)
		} else if f.Severity == validate.Deny {
			v.Findings[i].Severity = f.Severity
		}
	}
	if v.Action == validate.Allow || gone.Action == validate.Refuse {
		v.Action = gone.Action
	}
	return v
}

func (l *linter) verdictOf(c validate.Change) validate.Verdict {
	c = asReviewed(c)
	reading := validate.Read(c, l.policy)
	if l.directory == nil {
		return reading.Judge(validate.IAM{})
	}
	return reading.Judge(l.directory(reading.ChangedPrincipals()))
}

// asReviewed is a change as the webhook would be shown it.
func asReviewed(c validate.Change) validate.Change {
	if c.Operation != validate.Document {
		c.Old, c.New = c.Old.AsReviewed(), c.New.AsReviewed()
	}
	return c
}

// changeTo is the change to an aws-auth: an edit of the version in --old, else of what a Terraform
// plan changes or deletes, else none.
func (l *linter) changeTo(o object) validate.Change {
	c := l.change
	c.New = o.Object
	if o.before != nil && c.Old == nil {
		c.Old, c.Operation = o.before, validate.Update
	}
	if o.Object == nil {
		c.Operation = validate.Delete
	}
	if c.New != nil && c.New.Annotations[validate.BreakGlassAnnotation] != "" {
		judged := *c.New // a file does not say who will set it
		judged.Annotations = maps.Clone(c.New.Annotations)
		delete(judged.Annotations, validate.BreakGlassAnnotation)
		c.New = &judged
	}
	return c
}
