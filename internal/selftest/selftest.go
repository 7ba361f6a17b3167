// Package selftest asks the API server whether the guard is at work: by a dry run it wants to store
// an aws-auth that would lock everybody out, and expects to be refused.
package selftest

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
	exitError = 1 // the guard is not at work, or not as it should be
	exitUsage = 2 // the command line is wrong
)

// program is what the command is called by.
const program = "awsauth-guard-webhook selftest"

// Modes of the guard.
const (
	enforce = "enforce"
	warn    = "warn"
)

const (
	// rule is what the guard says of the text below; no configuration that leaves it on admits that.
	rule = "[yaml-syntax]"
	// refusal is how the API server begins what a webhook of the guard has refused.
	refusal = `admission webhook "aws-auth.awsauth-guard.io" denied the request`
	// every is the time between two attempts.
	every = 500 * time.Millisecond
)

// unreadable is an aws-auth of which the authenticator would load nothing: a tab indents a line.
func unreadable() *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: awsauth.Name},
		Data:       map[string]string{"mapRoles": "- rolearn: arn:aws:iam::111122223333:role/awsauth-guard-selftest\n\tusername: selftest\n"},
	}
}

// options are the flags.
type options struct {
	mode       string
	timeout    time.Duration
	kubeconfig string
}

// Main runs the test and returns the process's exit status.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var o options
	fs := pflag.NewFlagSet(program, pflag.ContinueOnError)
	fs.SortFlags = false
	fs.Usage = func() { usage(stdout, fs) }
	fs.StringVar(&o.mode, "mode", enforce, "the guard's `mode`: enforce must refuse, warn must warn")
	fs.DurationVar(&o.timeout, "timeout", 30*time.Second, "`time` after which the guard should be at work")
	fs.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig `file`; without it the pod's own ServiceAccount")
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
	said, err := run(ctx, &o)
	if err != nil {
		fmt.Fprintf(stderr, "%s: %s\n", program, err)
		return exitError
	}
	fmt.Fprintln(stdout, said)
	return exitOK
}

func usage(w io.Writer, fs *pflag.FlagSet) {
	fmt.Fprintf(w, `%[1]s asks the API server, by a dry run, to create an aws-auth that
cannot be read, and succeeds when the guard refuses it. Nothing is stored. It needs the right to
create ConfigMaps in kube-system.

Usage:
  %[1]s [flags]

Flags:
%[2]s`, program, fs.FlagUsages())
}

// run tries until the guard does what it should or the time is over: a registration takes the API
// server a moment, and pods may not be ready yet. It returns what the guard said.
func run(ctx context.Context, o *options) (string, error) {
	config, err := kube.Config(o.kubeconfig, "awsauth-guard-selftest")
	if err != nil {
		return "", err
	}
	heard := new(kube.Warnings)
	config.WarningHandlerWithContext = heard
	config.QPS = -1 // every is the limit
	core, err := typedcorev1.NewForConfig(config)
	if err != nil {
		return "", fmt.Errorf("making a client: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	tick := time.NewTicker(every)
	defer tick.Stop()
	var last error
	for {
		said, err := try(ctx, core.ConfigMaps(metav1.NamespaceSystem), heard, o.mode)
		if err == nil {
			return said, nil
		}
		if last == nil || ctx.Err() == nil { // an attempt that was cut short tells nothing
			last = err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return "", fmt.Errorf("after %s: %w", o.timeout, last)
		}
	}
}

// try asks once. Admission comes before the question whether the object exists already, so that
// creating it is refused in any case, and needs less of a right than to change or delete it.
func try(ctx context.Context, configMaps typedcorev1.ConfigMapInterface, heard *kube.Warnings, mode string) (string, error) {
	_, err := configMaps.Create(ctx, unreadable(), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	warned := heard.Take()
	admitted := err == nil || apierrors.IsAlreadyExists(err)
	switch {
	case !admitted && strings.Contains(err.Error(), refusal) && strings.Contains(err.Error(), rule):
		if mode == warn {
			return "", fmt.Errorf("the guard refuses, and should only warn: %w", err)
		}
		return "ok: an aws-auth that cannot be read is refused: " + err.Error(), nil
	case !admitted:
		return "", fmt.Errorf("the guard was not asked, or refuses for another reason: %w", err)
	}
	i := slices.IndexFunc(warned, func(text string) bool { return strings.Contains(text, rule) })
	switch {
	case i < 0:
		return "", errors.New("an aws-auth that cannot be read is admitted without a word; is the webhook registered, and is yaml-syntax on?")
	case mode == enforce:
		return "", fmt.Errorf("an aws-auth that cannot be read is admitted with a warning, and should be refused: %s", warned[i])
	}
	return "ok: an aws-auth that cannot be read is admitted with a warning, as mode warn has it: " + warned[i], nil
}
