package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/report"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// errNoReason means that the user set --force without a reason.
var errNoReason = errors.New("--force needs a reason, which the break-glass annotation and the guard's logs record")

// editReport returns the result of evaluating an edit. from and to are the names of the versions in the output, and file is the name for the
// positions of the findings. inText reports whether these positions count within the text of a section.
func editReport(from, to, file string, inText bool, v validate.Verdict) report.File {
	result := report.File{Name: file, Access: []report.Access{{Old: from, New: to, Changes: v.Access}}}
	for _, f := range v.Findings {
		result.Findings = append(result.Findings, report.Finding{File: file, InText: inText, Finding: f})
	}
	return result
}

// confirmWrite asks the user at the terminal, and returns true if the answer is yes. For any other answer it prints a note and sets the
// exit status to statusDenied. If skip is true, it returns true without a question. Without a terminal it returns an error.
func (a *app) confirmWrite(question string, skip bool) (bool, error) {
	if skip {
		return true, nil
	}
	yes, asked, err := a.ask(question)
	switch {
	case err != nil:
		return false, err
	case !asked:
		return false, errors.New("cannot ask for confirmation without a terminal, and nothing was written; set --yes, or preview with --dry-run")
	case !yes:
		a.status = statusDenied
		a.note("nothing was written")
	}
	return yes, nil
}

// liveOrNew returns a copy of the live object, or an empty aws-auth if live is nil.
func liveOrNew(live *corev1.ConfigMap) *corev1.ConfigMap {
	if live == nil {
		return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: awsauth.Name, Namespace: awsauth.Namespace}}
	}
	return live.DeepCopy()
}

// breakGlass sets the break-glass annotation of an object to a reason. If the reason is empty, it does nothing. It returns an error if the
// object already has the annotation with this reason, because only a new value overrides the guard.
func breakGlass(cm *corev1.ConfigMap, reason string) error {
	if reason = strings.TrimSpace(reason); reason == "" {
		return nil
	}
	if strings.TrimSpace(cm.Annotations[validate.BreakGlassAnnotation]) == reason {
		return fmt.Errorf("--force: the annotation %s of the live object already has this reason, and only a new reason overrides the guard; give another reason", validate.BreakGlassAnnotation)
	}
	metav1.SetMetaDataAnnotation(&cm.ObjectMeta, validate.BreakGlassAnnotation, reason)
	return nil
}

// noteBreakGlass tells the user how to remove the annotation that an edit has set.
func (a *app) noteBreakGlass() {
	a.note("the annotation stays until you remove it: kubectl annotate configmap aws-auth -n kube-system %s-", validate.BreakGlassAnnotation)
}

// sendAWSAuth writes aws-auth, or with dry sends a dry run, and prints the warnings of the API server. It leaves out a warning that it
// printed before, such as for a dry run, and a warning that repeats a finding in seen. If the API server, a webhook or a policy denies the
// object (see deniedError), sendAWSAuth prints the reason, sets the exit status to statusDenied and returns true.
func (a *app) sendAWSAuth(ctx context.Context, c *cluster, cm *corev1.ConfigMap, dry bool, seen []report.Finding) (refused bool, err error) {
	warnings, err := c.writeAWSAuth(ctx, cm, dry)
	for _, warning := range warnings {
		repeats := func(f report.Finding) bool {
			return strings.Contains(warning, f.Path+": "+f.Message+" ["+f.Rule+"]")
		}
		if !slices.ContainsFunc(seen, repeats) && !slices.Contains(a.warnings, warning) {
			a.warnings = append(a.warnings, warning)
			fmt.Fprintf(a.stderr, "Warning: %s\n", report.OneLine(warning))
		}
	}
	if refusal := (*deniedError)(nil); errors.As(err, &refusal) {
		a.status = statusDenied
		a.printErrors(err)
		return true, nil
	}
	return false, err
}

// requester returns the user that the API server sees in the requests of the client. If it can't find out the user, it returns the zero
// Requester. Then only the webhook evaluates the rules about the requester.
func (c *cluster) requester(ctx context.Context) validate.Requester {
	ctx, cancel := c.withTimeout(ctx, requestTimeout)
	defer cancel()
	review := new(authenticationv1.SelfSubjectReview)
	if err := c.decode(ctx, c.client.Post().AbsPath("/apis/authentication.k8s.io/v1/selfsubjectreviews").Body(review).Do(ctx), review); err != nil {
		return validate.Requester{}
	}
	user := review.Status.UserInfo
	r := validate.Requester{Username: user.Username, Groups: user.Groups, Extra: make(map[string][]string, len(user.Extra))}
	for key, values := range user.Extra {
		r.Extra[key] = values
	}
	return r
}
