package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// stdinName stands for standard input on the command line, stdinLabel in the output.
const (
	stdinName  = "-"
	stdinLabel = "<stdin>"
)

// input is a file of manifests.
type input struct {
	name      string // in the output
	manifests []awsauth.Manifest
	errs      []error
}

// read reads a file, or standard input, and finds its aws-auth manifests.
func (a *app) read(ctx context.Context, name string) (input, error) {
	label, src, err := a.readFile(ctx, name)
	if err != nil {
		return input{}, fmt.Errorf("reading manifests: %w", err)
	}
	in := input{name: label}
	in.manifests, in.errs = awsauth.ParseManifests(src)
	return in, nil
}

// readFile reads a file, or standard input; label is its name in the output.
func (a *app) readFile(ctx context.Context, name string) (label string, src []byte, err error) {
	if err := ctx.Err(); err != nil {
		return "", nil, fmt.Errorf("stopped before %s: %w", name, err)
	}
	if name == stdinName {
		src, err = io.ReadAll(a.stdin)
		return stdinLabel, src, err
	}
	src, err = os.ReadFile(name)
	return name, src, err
}

// reportErrors prints what could not be read of a file.
func (a *app) reportErrors(in input) {
	for _, err := range in.errs {
		a.status = statusFailed
		if place, ok := errors.AsType[*awsauth.ManifestError](err); ok {
			fmt.Fprintf(a.stderr, "%s:%d:%d: error: %v\n", in.name, place.Line, place.Column, place.Err)
			continue
		}
		fmt.Fprintf(a.stderr, "%s: error: %v\n", in.name, err)
	}
}

// only returns the one aws-auth of a file that must have exactly one.
func (in input) only() (awsauth.Manifest, error) {
	switch len(in.manifests) {
	case 1:
		return in.manifests[0], nil
	case 0:
		return awsauth.Manifest{}, fmt.Errorf("%s holds no aws-auth: no ConfigMap with this name in the namespace kube-system or without one", in.name)
	}
	return awsauth.Manifest{}, fmt.Errorf("%s holds %d aws-auth, on lines %d and %d; name a file with one", in.name, len(in.manifests), in.manifests[0].Line, in.manifests[1].Line)
}
