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

// stdinName stands for standard input on the command line, stdinLabel in the output.
const (
	stdinName  = "-"
	stdinLabel = "<stdin>"
)

const (
	// maxFile bounds a file as the webhook bounds an object. The API server stores 1 MiB.
	maxFile = 3 << 20
	// maxStdin bounds standard input: a rendered chart or a plan holds much besides aws-auth.
	maxStdin = 64 << 20
)

// object is an aws-auth of an input.
type object struct {
	*awsauth.Object // nil where a Terraform plan deletes the object

	before   *awsauth.Object // what a Terraform plan changes or takes away; else nil
	replaced bool            // the plan deletes before, which leaves left, and then creates the object
	left     *awsauth.Object
	line     int    // where it begins; 0 where inText
	resource string // its address in Terraform
	inText   bool   // places count within the text of a key
}

// input is what was read: a file, standard input, or the object of a cluster.
type input struct {
	name     string // in the output
	objects  []object
	problems []report.Problem
	// foreign: all problems are documents that parse and are no Kubernetes objects, such as playbooks.
	foreign bool
}

// read reads a file, or standard input, and finds its aws-auth.
func (a *app) read(name string) (input, error) {
	label, src, err := a.readFile(name)
	if err != nil {
		return input{}, fmt.Errorf("reading manifests: %w", err)
	}
	return parse(label, src)
}

// parse finds the aws-auth in manifests, or in what terraform show -json has written.
func parse(label string, src []byte) (input, error) {
	in := input{name: label}
	if err := awsauth.NotShown(src); err != nil {
		return in, fmt.Errorf("%s: %w", label, err)
	}
	var errs []error
	if awsauth.IsTerraform(src) {
		var resources []awsauth.Resource
		resources, errs = awsauth.ParseTerraform(src)
		for _, r := range resources {
			in.objects = append(in.objects, object{Object: r.After, before: r.Before, replaced: r.Replaced, left: r.Left, resource: r.Address, inText: true})
		}
	} else {
		var manifests []awsauth.Manifest
		manifests, errs = awsauth.ParseManifests(src)
		for _, m := range manifests {
			in.objects = append(in.objects, object{Object: m.Object, line: m.Line})
		}
	}
	in.foreign = len(errs) > 0
	for _, err := range errs {
		in.foreign = in.foreign && errors.Is(err, awsauth.ErrNotObject)
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
			err = fmt.Errorf("standard input has more than the %d MiB that are read; keep what holds aws-auth", maxStdin>>20)
		}
		if err == nil && len(bytes.TrimSpace(src)) == 0 {
			err = errors.New("nothing came on standard input; did the command before it fail?")
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

// tooLargeError is a file with more bytes than any aws-auth.
type tooLargeError struct{ name string }

func (e *tooLargeError) Error() string {
	return fmt.Sprintf("%s has more than the %d MiB that a file may have; cut it into several, or pass it on standard input, which may have %d MiB",
		e.name, maxFile>>20, maxStdin>>20)
}

// reportProblems prints what could not be read.
func (a *app) reportProblems(problems []report.Problem) {
	for _, p := range problems {
		a.status = statusFailed
		fmt.Fprintln(a.stderr, p)
	}
}

// only returns the one aws-auth of an input that must have exactly one.
func (in input) only() (object, error) {
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
		return object{}, fmt.Errorf("%s holds no aws-auth: no ConfigMap with this name in the namespace kube-system or without one", in.name)
	}
	return object{}, fmt.Errorf("%s holds %d aws-auth, at %s; name a file with one", in.name, len(places), strings.Join(places, " and "))
}

// one reads an input that must have exactly one aws-auth and nothing that cannot be read; what says
// what it is for.
func (a *app) one(name, what string) (input, object, error) {
	in, err := a.read(name)
	if err != nil {
		return in, object{}, err
	}
	if len(in.problems) > 0 {
		a.reportProblems(in.problems)
		return in, object{}, fmt.Errorf("%s, %s, cannot be read", what, in.name)
	}
	o, err := in.only()
	return in, o, err
}
