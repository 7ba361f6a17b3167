// Package helmtest checks that the guard is active. It sends the API server a dry run that creates an aws-auth that the
// authenticator can't load. In mode enforce the guard must refuse the dry run, and in mode warn it must warn.
package helmtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/kube"
)

// Exit statuses.
const (
	exitOK    = 0
	exitError = 1 // the guard is not active, or is in the wrong mode
	exitUsage = 2 // the command line is not valid
)

// program is the name of the command.
const program = "awsauth-guard-webhook helm-test"

// Modes of the guard.
const (
	enforce = "enforce"
	warn    = "warn"
)

const (
	// expectedRule is the part of a refusal or warning that names the rule. This rule denies the aws-auth of unparsableAWSAuth.
	expectedRule = "[yaml-syntax]"
	// refusalPrefix is in the API server's message about a refusal by the guard's webhook.
	refusalPrefix = `admission webhook "aws-auth.awsauth-guard.io" denied the request`
	// retryEvery is the time between two attempts.
	retryEvery = 500 * time.Millisecond
)

// unparsableAWSAuth returns an aws-auth that the authenticator can't load, because a tab indents a line.
func unparsableAWSAuth() *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: awsauth.Name},
		Data:       map[string]string{"mapRoles": "- rolearn: arn:aws:iam::111122223333:role/awsauth-guard-helm-test\n\tusername: helm-test\n"},
	}
}

// options holds the values of the flags.
type options struct {
	mode       string
	timeout    time.Duration
	kubeconfig string
}

// Main runs the command and returns its exit status. It writes the result to stdout and errors to stderr.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var o options
	fs := pflag.NewFlagSet(program, pflag.ContinueOnError)
	fs.SortFlags = false
	fs.Usage = func() { usage(stdout, fs) }
	fs.StringVar(&o.mode, "mode", enforce, "expected `mode` of the guard: enforce refuses, warn warns")
	fs.DurationVar(&o.timeout, "timeout", 30*time.Second, "`time` within which the guard must become active")
	fs.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig `file`; the default is the pod's own ServiceAccount")
	err := fs.Parse(args)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return exitOK
	case err == nil && fs.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", fs.Arg(0))
	case err == nil && o.mode != enforce && o.mode != warn:
		err = fmt.Errorf("--mode is %q: write enforce or warn", o.mode)
	}
	if err != nil {
		fmt.Fprintf(stderr, "%s: %s\nRun '%s --help' for usage.\n", program, err, program)
		return exitUsage
	}
	outcome, err := run(ctx, &o)
	if err != nil {
		fmt.Fprintf(stderr, "%s: %s\n", program, err)
		return exitError
	}
	fmt.Fprintln(stdout, outcome)
	return exitOK
}

func usage(w io.Writer, fs *pflag.FlagSet) {
	fmt.Fprintf(w, `%[1]s sends the API server a dry run that creates an aws-auth that
can't be parsed, and succeeds if the guard refuses it. Nothing is stored. It needs the right to
create ConfigMaps in kube-system.

Usage:
  %[1]s [flags]

Flags:
%[2]s`, program, fs.FlagUsages())
}

// run makes attempts until the guard reacts as expected, and returns a description of this reaction. It needs several attempts,
// because the API server needs a moment to use a new webhook configuration, and the pods may not be ready yet. After the timeout
// it returns the error of the last attempt.
func run(ctx context.Context, o *options) (string, error) {
	config, err := kube.Config(o.kubeconfig, "awsauth-guard-helm-test")
	if err != nil {
		return "", err
	}
	received := new(kube.Warnings)
	config.WarningHandlerWithContext = received
	config.QPS = -1 // retryEvery limits the requests
	core, err := typedcorev1.NewForConfig(config)
	if err != nil {
		return "", fmt.Errorf("making a client: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	tick := time.NewTicker(retryEvery)
	defer tick.Stop()
	var last error
	for {
		outcome, err := attempt(ctx, core.ConfigMaps(metav1.NamespaceSystem), received, o.mode)
		if err == nil {
			return outcome, nil
		}
		if last == nil || ctx.Err() == nil { // the error of an attempt that was cut short says nothing about the guard
			last = err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return "", fmt.Errorf("after %s: %w", o.timeout, last)
		}
	}
}

// attempt sends one dry run that creates aws-auth. It returns a description of the guard's reaction, or an error if the reaction
// is not the expected one.
//
// The API server calls the webhooks before it checks whether the object exists. So a dry run that creates an existing aws-auth is
// reviewed, too. The right to create ConfigMaps is less powerful than the rights to update and delete aws-auth.
func attempt(ctx context.Context, configMaps typedcorev1.ConfigMapInterface, received *kube.Warnings, mode string) (string, error) {
	_, err := configMaps.Create(ctx, unparsableAWSAuth(), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	warned := received.Take()
	admitted := err == nil || apierrors.IsAlreadyExists(err)
	switch {
	case !admitted && strings.Contains(err.Error(), refusalPrefix) && strings.Contains(err.Error(), expectedRule):
		if mode == warn {
			return "", fmt.Errorf("the guard refuses, but should only warn: %w", err)
		}
		return "ok: the guard refused an unparsable aws-auth: " + err.Error(), nil
	case !admitted:
		return "", fmt.Errorf("the API server did not call the guard, or the request failed for another reason: %w", err)
	}
	i := slices.IndexFunc(warned, func(text string) bool { return strings.Contains(text, expectedRule) })
	switch {
	case i < 0:
		return "", errors.New("the API server admitted an unparsable aws-auth without a warning; check that the webhook is registered and that the rule yaml-syntax is on")
	case mode == enforce:
		return "", fmt.Errorf("the guard admitted an unparsable aws-auth with a warning, but should refuse it: %s", warned[i])
	}
	return "ok: the guard admitted an unparsable aws-auth with a warning, as expected in mode warn: " + warned[i], nil
}
