package cli

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/report"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// lintRun is one run of the lint command.
type lintRun struct {
	app    *app
	policy validate.Policy
	// entryRules has the severities that --rule sets for the rules of access entries.
	entryRules map[string]validate.Severity
	change     validate.Change // the part of the change that is the same for each aws-auth; see changeOf
	oldName    string          // the name of the version in --old; empty without --old
	apply      applyMode
	patch      patchType // the type of the patches in the files; empty if the files are no patches
	out        lintReport
	// lookup looks up principals in IAM. It is nil without --iam.
	lookup principalLookup
	quiet  bool // lint prints no errors about files to standard error, because the output format includes them
	total  report.Total
	// fix and dryRun are the values of --fix and --dry-run. fixOut gets the corrected findings and the diff.
	fix, dryRun bool
	fixOut      io.Writer
	plan        bool // one of the files is a Terraform plan
	// fleet reports whether lint reads several clusters. baseline has the findings that it leaves out; it may be nil.
	fleet    bool
	baseline *report.Baseline
}

// fileResult is the result of one file, or of one of several clusters. denied and warned count its objects by their verdict.
type fileResult struct {
	report.File

	denied, warned int
	skipped        bool  // lint skipped the file, or a part of it, with a note
	err            error // why the file could not be read or built; nil if it could
	plan           bool  // the file is a Terraform plan
	fix            *fileFix
}

// lintLive lints the live object of a cluster.
func (l *lintRun) lintLive(in input) error {
	if err := l.addResult(l.lintInput(in)); err != nil {
		return err
	}
	return l.finish()
}

// lintFiles lints the files for the arguments, and reports the results in the order of the arguments. It lints several files in parallel,
// so the result of a file may have to wait for the results of earlier files.
func (l *lintRun) lintFiles(args []string) error {
	sources := expandArgs(args)
	results, stop := l.startWorkers(sources)
	defer stop()
	progress := newProgress(l.app.stderr, len(sources))
	tick := time.NewTicker(100 * time.Millisecond) // fast enough to look continuous
	defer tick.Stop()
	done := 0
	for next := range results {
		var o fileResult
		for waiting := true; waiting; {
			select {
			case o = <-next:
				waiting = false
			case <-tick.C:
				progress.show(done)
			}
		}
		done++
		if !o.printsNothing() {
			progress.clear()
		}
		if err := l.addResult(o); err != nil {
			return err
		}
	}
	progress.clear()
	if l.total.Objects == 0 && l.total.Problems == 0 && (l.oldName != "" || l.total.Resources == 0) {
		if err := l.lintNothing(describeArgs(args, len(sources))); err != nil {
			return err
		}
	} else if len(sources) > 1 {
		defer func() { fmt.Fprintln(l.app.stderr, l.total) }()
	}
	return l.finish()
}

// lintNothing ends a run in which no file has an aws-auth. Without --old it prints a note. With --old it evaluates the deletion of the old
// version. With --old it reports an error instead if lint could not evaluate a part of the files, or if a file is a Terraform plan, because
// a plan would list the deletion.
func (l *lintRun) lintNothing(args string) error {
	switch {
	case l.oldName == "" && l.total.Unread > 0:
		l.app.note("no aws-auth that lint can evaluate in %s", args)
		return nil
	case l.oldName == "":
		l.app.note("no aws-auth in %s", args)
		return nil
	case l.total.Unread > 0:
		return l.addResult(failedFile(args, fmt.Errorf("%s holds no aws-auth that lint can evaluate, so the change of %s is not known; see the notes", args, l.oldName)))
	}
	if l.plan {
		return l.addResult(failedFile(args, fmt.Errorf("%s is a plan without aws-auth, so it does not change the aws-auth in %s: a plan lists every deletion; leave out --old", args, l.oldName)))
	}
	l.app.note("no aws-auth in %s: evaluated as the deletion of the one in %s", args, l.oldName)
	change := l.change
	change.Operation = validate.Delete
	return l.addResult(l.resultOf(input{name: args}, object{InText: true}, l.evaluateChange(change, l.policy)))
}

// describeArgs returns the names of the arguments for a message. If there are more than 10 arguments, it returns the number of files
// instead.
func describeArgs(args []string, files int) string {
	if len(args) > 10 {
		return fmt.Sprintf("%d files", files)
	}
	names := slices.Clone(args)
	for i, name := range names {
		if name == stdinName {
			names[i] = stdinLabel
		}
	}
	return strings.Join(names, ", ")
}

// startWorkers starts to lint the files in the background, with at most one goroutine for each CPU. results delivers a channel for each
// file, in the order of the files, and each of these channels delivers the result of its file. To limit memory, the workers wait if the
// caller is slow to receive. stop ends the work early.
func (l *lintRun) startWorkers(sources []source) (results <-chan chan fileResult, stop func()) {
	type job struct {
		source
		done chan fileResult
	}
	workers := min(runtime.GOMAXPROCS(0), max(len(sources), 1))
	jobs, ordered, quit := make(chan job), make(chan chan fileResult, 2*workers), make(chan struct{})
	for range workers {
		go func() {
			for j := range jobs {
				j.done <- l.lintFile(j.source)
			}
		}()
	}
	go func() {
		defer close(ordered)
		defer close(jobs)
		for _, s := range sources {
			j := job{s, make(chan fileResult, 1)}
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

// addResult writes the result of a file to the report, adds it to the total, and prints its notes, corrections and errors.
func (l *lintRun) addResult(o fileResult) error {
	for _, note := range o.Notes {
		l.app.note("%s", note)
	}
	if err := l.printFix(o.fix); err != nil {
		return err
	}
	l.plan = l.plan || o.plan
	t := &l.total
	t.Files++
	t.Objects += o.Objects
	t.Resources += o.Resources
	t.Denied += o.denied
	t.Warned += o.warned
	if o.skipped {
		t.Unread++
	}
	if o.err != nil {
		t.Problems++
		if !l.quiet {
			l.app.fail(o.err)
		}
	} else if len(o.Problems) > 0 {
		t.Problems++
		if !l.quiet && !l.fleet { // readFleet has printed the errors of clusters
			l.app.reportProblems(o.Problems)
		}
	}
	return outputError(l.out.Add(o.File))
}

// printsNothing reports whether addResult prints no line for the result, apart from manifests of standard input that have no corrections.
func (o *fileResult) printsNothing() bool {
	return len(o.Findings) == 0 && len(o.Problems) == 0 && len(o.Notes) == 0 && (o.fix == nil || len(o.fix.fixed) == 0)
}

// finish sets the verdict and the exit status, and ends the report. If a file can't be read, the exit status is statusFailed even if
// another file is denied. If one of several clusters can't be read, the exit status is statusUnknown instead.
func (l *lintRun) finish() error {
	switch t := &l.total; {
	case t.Problems > 0:
		t.Verdict = report.Failed
		l.app.status = statusFailed
		if l.fleet {
			l.app.status = statusUnknown
		}
	case t.Denied > 0:
		t.Verdict = validate.ActionDeny
		l.app.status = statusDenied
	case t.Warned > 0:
		t.Verdict = validate.ActionWarn
	default:
		t.Verdict = validate.ActionAllow
	}
	return outputError(l.out.End(l.total))
}

// lintFile reads and lints a file. A file that is too large is an error, unless lint found the file in a folder or by a pattern and the
// file doesn't name aws-auth. lintFile ignores such a file.
func (l *lintRun) lintFile(s source) fileResult {
	if s.err != nil {
		return failedFile(s.name, s.err)
	}
	if s.built != nil && l.patch == "" {
		result := l.lintBuild(s)
		if l.fix && len(result.Findings) > 0 {
			result.Notes = append(result.Notes, s.name+": not fixed: it is the result of a Kustomization; name the file of the Kustomization that has the fault")
		}
		return result
	}
	label, src, err := l.app.readFile(s.name)
	if large := (*tooLargeError)(nil); s.discovered && errors.As(err, &large) {
		if named, e := fileNamesAWSAuth(s.name); e == nil && !named {
			return fileResult{File: report.File{Name: label}}
		}
	}
	if err != nil {
		return failedFile(label, fmt.Errorf("reading manifests: %w", err))
	}
	if l.fix {
		return l.fixAndLint(s, label, src)
	}
	return l.lintText(s, label, src)
}

// lintText lints the text of a file.
func (l *lintRun) lintText(s source, label string, src []byte) fileResult {
	if l.patch != "" {
		return l.lintParsed(parsePatch(label, src, l.patch, l.change.Old))
	}
	if !s.discovered {
		in, err := parseInput(label, src)
		return l.lintParsed(in.named(), err)
	}
	return l.lintDiscovered(label, src)
}

// lintParsed lints a parsed input. err is the error of the parser, or nil.
func (l *lintRun) lintParsed(in input, err error) fileResult {
	if err != nil {
		return failedFile(in.name, err)
	}
	return l.lintInput(in)
}

func failedFile(name string, err error) fileResult {
	return fileResult{err: err, File: report.File{Name: name, Problems: []report.Problem{{File: name, Message: err.Error()}}}}
}
