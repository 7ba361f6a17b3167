package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/kube"
)

// awsAuthFacts is the result of reading aws-auth.
type awsAuthFacts struct {
	object  *awsauth.Object // nil if aws-auth does not exist or can't be read
	loaded  *awsauth.Map    // the effective access by object
	absent  bool            // aws-auth does not exist
	unknown string          // why aws-auth can't be read, or ""
}

// ErrNoAWSAuth means that aws-auth does not exist. Options.ReadAWSAuth returns it.
var ErrNoAWSAuth = errors.New("aws-auth does not exist")

// readAWSAuth is the eighth step. It reads aws-auth, and finds out why aws-auth does not map the principal. A caller who can't log in
// can't read aws-auth. For this case, the user can name the context of an administrator or a file with aws-auth.
func (d *diagnosis) readAWSAuth(ctx context.Context) (Status, string) {
	principal := d.principal()
	switch {
	case d.report.Principal == nil:
		return "", ""
	case principal == "":
		return d.failUnsupported()
	}
	if d.cluster.mode() == access.ModeAPI && !d.refused && d.Principal == "" {
		return StatusOK, "the authentication mode is API, so aws-auth has no effect"
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	d.loadAWSAuth(ctx)
	status, found := d.resolve()
	if cause := d.mappingCause(ctx); cause != nil {
		d.report.Cause = cause
		if cause.Step == stepAWSAuth {
			return StatusFailed, found
		}
	}
	return status, found
}

// loadAWSAuth reads aws-auth and stores the result in d.awsAuth.
func (d *diagnosis) loadAWSAuth(ctx context.Context) {
	read := d.ReadAWSAuth
	if read == nil {
		read = d.readLive
		if d.refused && d.Admin == nil {
			d.awsAuth.unknown = "the API server refuses you, so you can't read aws-auth; an administrator runs " + readCommand +
				" for you, and you run doctor again with -f FILE, or use --admin-context"
			return
		}
	}
	object, err := read(ctx)
	switch {
	case errors.Is(err, ErrNoAWSAuth):
		d.awsAuth.absent = true
	case err != nil:
		d.awsAuth.unknown = err.Error()
	default:
		d.awsAuth.object, d.awsAuth.loaded = object, object.Load()
	}
}

// readCommand prints aws-auth. An administrator runs it for a caller who can't read aws-auth.
const readCommand = "kubectl get configmap -n kube-system aws-auth -o yaml"

// readLive reads the live aws-auth, with the rights of the administrator if Options.Admin is set. It uses protobuf, because JSON can't
// represent bytes that are not UTF-8.
func (d *diagnosis) readLive(ctx context.Context) (*awsauth.Object, error) {
	config := d.adminConfig()
	if config == nil {
		return nil, errors.New("no context of a kubeconfig can be used")
	}
	if d.Admin != nil {
		if err := d.plugin.restoreVariables(); err != nil {
			return nil, err
		}
		defer func() { _ = d.plugin.useVariables() }() // the same call succeeded before, so it doesn't fail here
	}
	client, err := newClient(kube.Protobuf(config))
	if err != nil {
		return nil, err
	}
	cm, err := client.awsAuth(ctx)
	switch {
	case apierrors.IsNotFound(err):
		return nil, ErrNoAWSAuth
	case apierrors.IsForbidden(err):
		return nil, errors.New("you may not read aws-auth; an administrator runs " + readCommand + " for you, and you run doctor again with -f FILE, or use --admin-context")
	case apierrors.IsUnauthorized(err) && d.Admin == nil:
		return nil, errors.New("the API server does not accept your credentials, so you can't read aws-auth; run doctor without --principal to find the reason, or name another source of aws-auth with -f FILE or --admin-context")
	case err != nil:
		return nil, fmt.Errorf("reading aws-auth: %w", withoutURL(err))
	}
	return kube.Object(cm), nil
}

// resolve returns the status and the sentence of the step readAWSAuth. The sentence has the username and the groups that aws-auth
// gives to the principal, or says why aws-auth gives none.
func (d *diagnosis) resolve() (Status, string) {
	switch {
	case d.awsAuth.absent:
		return StatusWarning, "aws-auth does not exist"
	case d.awsAuth.object == nil:
		return StatusUnknown, d.awsAuth.unknown
	}
	r := d.awsAuth.loaded.Resolve(d.principal())
	switch {
	case r.Unknown != "":
		return StatusUnknown, "aws-auth can't be evaluated: " + r.Unknown
	case !r.Mapped && d.Principal != "" && !d.entries.known && d.cluster.mode() != access.ModeConfigMap:
		return StatusUnknown, "aws-auth does not map " + d.principal() + ", and whether it has an access entry is not known; set --cluster-name"
	case !r.Mapped:
		return StatusWarning, "aws-auth does not map " + d.principal()
	}
	text := fmt.Sprintf("aws-auth maps %s by %s to the username %s with the groups [%s]", d.principal(), place(r), r.Username, strings.Join(r.Groups, ", "))
	if d.cluster.mode() == access.ModeAPI {
		return StatusWarning, text + ", and the authentication mode API ignores it"
	}
	return StatusOK, text
}

func place(r awsauth.Resolution) string {
	if len(r.Matches) > 0 {
		return r.Matches[0].Path()
	}
	return fmt.Sprintf("%s[%d]", r.Source.Path(), r.Index)
}
