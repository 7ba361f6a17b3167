package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/entryplan"
	"github.com/awsauth-guard/awsauth-guard/internal/extract"
	"github.com/awsauth-guard/awsauth-guard/internal/report"
)

// stdinName is the argument for standard input. stdinLabel is the name of standard input in the output.
const (
	stdinName  = "-"
	stdinLabel = "<stdin>"
)

const (
	// maxFile limits the size of a file, in bytes. The webhook has the same limit for an object. The data of a ConfigMap may have only 1 MiB.
	maxFile = 3 << 20
	// maxStdin limits the size of standard input, in bytes. It is higher than maxFile, because a rendered chart or a plan contains many
	// other objects.
	maxStdin = 64 << 20
)

// object is one aws-auth of an input.
type object = extract.Object

// input is a parsed source: a file, standard input, or the live object of a cluster.
type input struct {
	name     string // the name in the output
	objects  []object
	problems []report.Problem
	// unrendered are the parts that concern aws-auth but that another tool must render before lint can evaluate them. others are objects
	// that look like aws-auth but that the authenticator does not read.
	unrendered, others []report.Problem
	notes              []string
	unknown            bool            // the input may have an aws-auth that is not in objects; see named
	plan               bool            // the input is a Terraform plan
	entries            *entryplan.Plan // the access entries, access policies and clusters in a plan or template; nil if there are none
	built              bool            // the input is the result of the build of a Kustomization
	// notKubernetes reports whether there are problems, and each concerns a document that parses but is not a Kubernetes object, such as an
	// Ansible playbook.
	notKubernetes bool
}

// readInput reads and parses a file that the user named, or standard input.
func (a *app) readInput(name string) (input, error) { return a.readAs(name, parseInput) }

func (a *app) readAs(name string, parse func(label string, src []byte) (input, error)) (input, error) {
	label, src, err := a.readFile(name)
	if err != nil {
		return input{}, fmt.Errorf("reading manifests: %w", err)
	}
	in, err := parse(label, src)
	return in.named(), err
}

// parseInput finds the aws-auth objects in an input with a new version. An object that another tool must render first is not among the
// objects of the result, but is in unrendered.
func parseInput(label string, src []byte) (input, error) {
	return parse(label, src, (*extract.Result).RefuseTemplates)
}

// parseStored finds the aws-auth objects in an input with a stored version. No tool renders a stored version, so a text that looks like a
// template is not refused.
func parseStored(label string, src []byte) (input, error) {
	return parse(label, src, func(*extract.Result) {})
}

// parse finds the aws-auth objects in an input of any kind. It calls prepare with the extracted objects before it uses them.
func parse(label string, src []byte, prepare func(*extract.Result)) (input, error) {
	in := input{name: label}
	result, err := extract.File(label, src)
	if err != nil {
		return in, fmt.Errorf("%s: %w", label, err)
	}
	prepare(&result)
	in.objects, in.plan, in.entries = result.Objects, result.Plan, entryplan.Read(src)
	in.notKubernetes = len(result.Errors) > 0
	for _, err := range result.Errors {
		in.notKubernetes = in.notKubernetes && errors.Is(err, awsauth.ErrNotObject)
		in.problems = append(in.problems, problemOf(label, err))
	}
	for _, err := range result.Unrendered {
		in.unrendered = append(in.unrendered, problemOf(label, err))
	}
	for _, err := range result.Others {
		in.others = append(in.others, problemOf(label, err))
	}
	for _, note := range result.Notes {
		p := problemOf(label, note)
		in.notes = append(in.notes, p.Place()+": "+p.Message)
	}
	return in, nil
}

// problemOf converts an error of an input into a problem. The problem has a position if the error has one. For a Terraform resource it has
// the address instead.
func problemOf(label string, err error) report.Problem {
	p := report.Problem{File: label, Message: err.Error()}
	if place, ok := errors.AsType[*awsauth.ManifestError](err); ok {
		p.Line, p.Column, p.Message = place.Line, place.Column, place.Err.Error()
	}
	if r, ok := errors.AsType[*awsauth.ResourceError](err); ok {
		p.Line, p.Column, p.Message = 0, 0, r.Error()
	}
	return p
}

// named turns unrendered and others into problems and notes, for an input that the user named. An unrendered part becomes a problem. An
// object that only looks like aws-auth becomes a problem if the input has no aws-auth, and otherwise a note. named sets unknown if one of
// these problems may be about the aws-auth that the user means.
func (in input) named() input {
	in.problems = append(in.problems, in.unrendered...)
	in.unknown = len(in.unrendered) > 0 || len(in.objects) == 0 && len(in.others) > 0
	if len(in.objects) == 0 {
		in.problems = append(in.problems, in.others...)
	} else {
		in.notes = append(in.notes, places(in.others)...)
	}
	in.unrendered, in.others = nil, nil
	return in
}

// discovered turns unrendered and others into notes, for an input that lint found in a folder. skipped reports whether there are such
// notes.
func (in input) discovered() (found input, skipped bool) {
	list := append(slices.Clone(in.unrendered), in.others...)
	in.notes = append(in.notes, places(list)...)
	in.unrendered, in.others = nil, nil
	return in, len(list) > 0
}

// places returns a line for each problem. The line has the position and the message, and says that lint did not evaluate this part.
func places(problems []report.Problem) []string {
	var lines []string
	for _, p := range problems {
		lines = append(lines, p.Place()+": not evaluated: "+p.Message)
	}
	return lines
}

// readFile reads a file or standard input. It returns an error if the text is larger than maxFile or maxStdin, or if standard input is
// empty. label is the name of the file in the output.
func (a *app) readFile(name string) (label string, src []byte, err error) {
	if name == stdinName {
		var tooLarge bool
		src, tooLarge, err = readAtMost(a.stdin, maxStdin)
		if tooLarge {
			err = fmt.Errorf("standard input has more than %d MiB; keep only the part that the command needs", maxStdin>>20)
		}
		if err == nil && len(bytes.TrimSpace(src)) == 0 {
			err = errors.New("standard input is empty; did the command before it fail?")
		}
		return stdinLabel, src, err
	}
	src, err = readNamedFile(name)
	return name, src, err
}

// readNamedFile reads a file. It returns an error if the name is that of a folder, or if the file is larger than maxFile.
func readNamedFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, fmt.Errorf("%s is a folder; name a file in it", name)
	}
	src, tooLarge, err := readAtMost(f, maxFile)
	if tooLarge {
		err = &tooLargeError{name}
	}
	return src, err
}

// readAtMost reads r to its end. If r has more bytes than limit, readAtMost stops there and tooLarge is true. If err is not nil,
// tooLarge is false.
func readAtMost(r io.Reader, limit int64) (src []byte, tooLarge bool, err error) {
	src, err = io.ReadAll(io.LimitReader(r, limit+1))
	return src, err == nil && int64(len(src)) > limit, err
}

// tooLargeError means that a file has more than maxFile bytes.
type tooLargeError struct{ name string }

func (e *tooLargeError) Error() string {
	return fmt.Sprintf("%s is larger than the limit of %d MiB for a file; split it, or pass it on standard input (limit %d MiB)",
		e.name, maxFile>>20, maxStdin>>20)
}

// reportProblems prints the problems of an input, and sets the exit status to statusFailed if there are any.
func (a *app) reportProblems(problems []report.Problem) {
	for _, p := range problems {
		a.status = statusFailed
		fmt.Fprintln(a.stderr, p)
	}
}

// place returns the line and the Terraform resource of an aws-auth, for the output. It returns zero values if the input has only one
// aws-auth.
func (in input) place(o object) (line int, resource string) {
	if len(in.objects) < 2 {
		return 0, ""
	}
	return o.Line, o.Resource
}

// label returns the name of an aws-auth for a note. It is the name of the input. If the input has several aws-auth objects, the line
// follows, unless the line is not known.
func (in input) label(o object) string {
	line, _ := in.place(o)
	if line == 0 {
		return in.name
	}
	return fmt.Sprintf("%s:%d", in.name, line)
}

// argument returns the flag with which kubectl apply reads the same input.
func (in input) argument() string {
	switch {
	case in.built:
		return "-k " + in.name
	case in.name == stdinLabel:
		return "-f " + stdinName
	}
	return "-f " + in.name
}

// single returns the aws-auth of an input. It returns an error if the input has no aws-auth or several. An aws-auth that a Terraform plan
// deletes does not count.
func (in input) single() (object, error) {
	var places []string
	var found object
	for _, o := range in.objects {
		if o.Object == nil {
			continue
		}
		found = o
		if o.InText {
			places = append(places, o.Resource)
		} else {
			places = append(places, fmt.Sprintf("line %d", o.Line))
		}
	}
	switch len(places) {
	case 1:
		return found, nil
	case 0:
		return object{}, fmt.Errorf("%s holds no aws-auth: no ConfigMap with this name in the namespace kube-system or without a namespace", in.name)
	}
	return object{}, fmt.Errorf("%s holds %d aws-auth objects, at %s; name a file with only one", in.name, len(places), strings.Join(places, " and "))
}

// readSingle reads an input that must have exactly one aws-auth, and prints the notes of the input. It returns an error if a document can't
// be read. description describes the input for errors, such as "the old version".
func (a *app) readSingle(name, description string, parse func(label string, src []byte) (input, error)) (input, object, error) {
	in, err := a.readAs(name, parse)
	if err != nil {
		return in, object{}, err
	}
	if len(in.problems) > 0 {
		a.reportProblems(in.problems)
		return in, object{}, fmt.Errorf("cannot read %s, %s", description, in.name)
	}
	o, err := in.single()
	for _, note := range in.notes {
		a.note("%s", note)
	}
	if o.Lists != "" {
		a.note("%s:%d: %s", in.name, o.Line, listsAlone(o))
	}
	return in, o, err
}
