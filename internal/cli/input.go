package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/report"
)

// stdinName is the argument for standard input, stdinLabel its name in the output.
const (
	stdinName  = "-"
	stdinLabel = "<stdin>"
)

const (
	// maxFile limits a file to the size, in bytes, to which the webhook limits an object. The API server accepts 1 MiB.
	maxFile = 3 << 20
	// maxStdin limits standard input, in bytes. A rendered chart or a plan holds many other objects.
	maxStdin = 64 << 20
)

// object is one aws-auth of an input.
type object struct {
	*awsauth.Object // nil where a Terraform plan deletes the object

	before      *awsauth.Object // the object that a Terraform plan changes or deletes; else nil
	replaced    bool            // the plan deletes before, and then creates the object
	afterDelete *awsauth.Object // the object between the two steps if replaced; nil for none
	line        int             // first line in the file; 0 if inText
	resource    string          // the address of its Terraform resource
	inText      bool            // positions count from the start of a key's text
}

// input is a parsed source: a file, standard input, or the live object of a cluster.
type input struct {
	name     string // in the output
	objects  []object
	problems []report.Problem
	// notKubernetes: each problem is a document that parses but is no Kubernetes object, such as an Ansible playbook.
	notKubernetes bool
}

// readInput reads and parses a file, or standard input.
func (a *app) readInput(name string) (input, error) {
	label, src, err := a.readFile(name)
	if err != nil {
		return input{}, fmt.Errorf("reading manifests: %w", err)
	}
	return parseInput(label, src)
}

// parseInput finds the aws-auth objects in manifests, or in the output of terraform show -json.
func parseInput(label string, src []byte) (input, error) {
	in := input{name: label}
	if err := awsauth.NotShown(src); err != nil {
		return in, fmt.Errorf("%s: %w", label, err)
	}
	var errs []error
	if awsauth.IsTerraform(src) {
		var resources []awsauth.Resource
		resources, errs = awsauth.ParseTerraform(src)
		for _, r := range resources {
			in.objects = append(in.objects, object{Object: r.After, before: r.Before, replaced: r.Replaced, afterDelete: r.Left, resource: r.Address, inText: true})
		}
	} else {
		var manifests []awsauth.Manifest
		manifests, errs = awsauth.ParseManifests(src)
		for _, m := range manifests {
			in.objects = append(in.objects, object{Object: m.Object, line: m.Line})
		}
	}
	in.notKubernetes = len(errs) > 0
	for _, err := range errs {
		in.notKubernetes = in.notKubernetes && errors.Is(err, awsauth.ErrNotObject)
		p := report.Problem{File: label, Message: err.Error()}
		if place, ok := errors.AsType[*awsauth.ManifestError](err); ok {
			p.Line, p.Column, p.Message = place.Line, place.Column, place.Err.Error()
		}
		if r, ok := errors.AsType[*awsauth.ResourceError](err); ok {
			p.Line, p.Column, p.Message = 0, 0, r.Error()
		}
		in.problems = append(in.problems, p)
	}
	return in, nil
}

// readFile reads a file, or standard input; label is its name in the output.
func (a *app) readFile(name string) (label string, src []byte, err error) {
	if name == stdinName {
		src, err = io.ReadAll(io.LimitReader(a.stdin, maxStdin+1))
		if err == nil && len(src) > maxStdin {
			err = fmt.Errorf("standard input has more than %d MiB; keep only the part that holds aws-auth", maxStdin>>20)
		}
		if err == nil && len(bytes.TrimSpace(src)) == 0 {
			err = errors.New("standard input is empty; did the command before it fail?")
		}
		return stdinLabel, src, err
	}
	f, err := os.Open(name)
	if err != nil {
		return name, nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return name, nil, fmt.Errorf("%s is a folder; name a file in it", name)
	}
	src, err = io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(src) > maxFile {
		err = &tooLargeError{name}
	}
	return name, src, err
}

// tooLargeError is a file with more than maxFile bytes.
type tooLargeError struct{ name string }

func (e *tooLargeError) Error() string {
	return fmt.Sprintf("%s is larger than the limit of %d MiB for a file; split it, or pass it on standard input (limit %d MiB)",
		e.name, maxFile>>20, maxStdin>>20)
}

// reportProblems prints the documents that could not be read, and sets the exit status to statusFailed.
func (a *app) reportProblems(problems []report.Problem) {
	for _, p := range problems {
		a.status = statusFailed
		fmt.Fprintln(a.stderr, p)
	}
}

// single returns the aws-auth of an input. It fails unless the input has exactly one.
func (in input) single() (object, error) {
	var places []string
	var found object
	for _, o := range in.objects {
		if o.Object == nil {
			continue
		}
		found = o
		if o.inText {
			places = append(places, o.resource)
		} else {
			places = append(places, fmt.Sprintf("line %d", o.line))
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

// readSingle reads an input that must have exactly one aws-auth. It fails if any document can't be read. Errors name the
// input by description, such as "the old version".
func (a *app) readSingle(name, description string) (input, object, error) {
	in, err := a.readInput(name)
	if err != nil {
		return in, object{}, err
	}
	if len(in.problems) > 0 {
		a.reportProblems(in.problems)
		return in, object{}, fmt.Errorf("cannot read %s, %s", description, in.name)
	}
	o, err := in.single()
	return in, o, err
}
