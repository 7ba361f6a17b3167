package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/config"
	"github.com/awsauth-guard/awsauth-guard/internal/kube"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// editAttempts limits the attempts to write an edit. An attempt fails if another client changed aws-auth in the meantime. Of several
// concurrent attempts at least one succeeds, and the pauses grow to between 2 and 4 seconds. So 20 concurrent edits succeed long before the
// limit.
const editAttempts = 15

// newEditBackoff returns the pauses between the attempts. A pause has a fixed part, which doubles from 20 ms to 2 s, and a random part of
// up to the same length, which keeps concurrent edits apart.
func newEditBackoff() wait.Backoff {
	return wait.Backoff{Duration: 20 * time.Millisecond, Factor: 2, Jitter: 1, Steps: editAttempts, Cap: 2 * time.Second}
}

// editCluster makes the edit in the live object.
func (e *editRun) editCluster(ctx context.Context) error {
	c, err := e.options.cluster.connect()
	if errors.Is(err, errNoContext) {
		return fmt.Errorf("no FILE given, and %w to change the live aws-auth; set --kubeconfig or --context, or name a file with -f (for fix: kubectl awsauth lint --fix FILE)", errNoContext)
	}
	if err != nil {
		return err
	}
	live, err := c.liveConfigMap(ctx) // first, because its errors name the likely cause
	if err != nil {
		return err
	}
	cfg, err := e.guardConfig(ctx, c)
	if err != nil {
		return err
	}
	if err := e.configure(ctx, cfg); err != nil {
		return err
	}
	if effective, err := e.readMode(ctx); !effective || err != nil {
		return err
	}
	e.requester = c.requester(ctx)
	if live != nil && live.Annotations[lastApplied] != "" {
		e.app.note("aws-auth has the annotation of kubectl apply, so the next kubectl apply of its manifest can undo the edit; change the manifest, too, with -f FILE -i (for fix: kubectl awsauth lint --fix FILE)")
	}
	backoff := newEditBackoff()
	for attempt := 1; ; attempt++ {
		err := e.editLive(ctx, c, live)
		if !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) || e.noRetry || attempt == editAttempts {
			return err
		}
		e.app.note("another client changed aws-auth in the meantime; trying again with the new version")
		select {
		case <-ctx.Done():
			return err
		case <-time.After(backoff.Step()):
		}
		if live, err = c.liveConfigMap(ctx); err != nil {
			return err
		}
	}
}

// guardConfig returns the configuration from the file in --config. Without --config it returns the configuration of the guard in the
// cluster. If the cluster has no guard, it returns the default configuration. If it can't find or read the guard's configuration, it prints
// a note and returns the default configuration.
func (e *editRun) guardConfig(ctx context.Context, c *cluster) (*config.Config, error) {
	if file := e.options.config; file != "" {
		return config.Load(file)
	}
	h, err := c.findHistory(ctx, "")
	if err == nil {
		return e.app.clusterConfig(ctx, c, h, "")
	}
	if !errors.Is(err, errNoGuard) {
		e.app.note("cannot read the guard's configuration, so the rules have their defaults; set --config to use a file (%v)", err)
	}
	return config.Default(), nil
}

// readMode reads the authentication mode and the access entries of the EKS cluster that the user named. effective reports whether the edit
// can have an effect. If the user named no cluster, readMode prints a note and returns true. In the mode API aws-auth has no effect, and
// readMode returns false:
//   - If the principal's access entry already gives the access that the edit would give, readMode prints this as a note.
//   - Otherwise it prints an error, calls e.onModeAPI, which prints the commands to use instead, and sets the exit status to statusDenied.
func (e *editRun) readMode(ctx context.Context) (effective bool, err error) {
	o, a := e.options, e.app
	if o.clusterName == "" {
		a.note("the authentication mode is not known, and in the mode API aws-auth has no effect; --cluster-name %s reads it", o.cluster.eksCluster())
		return true, nil
	}
	ca, err := o.cluster.certificateAuthority()
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, eksTimeout)
	defer cancel()
	_, read, err := newEKSReader(ctx, o.clusterName, o.region, ca)
	if err != nil {
		return false, err
	}
	e.policy.Cluster = read
	if read.Mode != access.ModeAPI {
		return true, nil
	}
	if e.givenByEntry != nil && e.givenByEntry() {
		a.note("the authentication mode of %s is API, so aws-auth has no effect, and the access entry of the principal gives this access already", o.clusterName)
		return false, e.finish(textEdit{}, "unchanged")
	}
	a.status = statusDenied
	a.printErrors(fmt.Errorf("the authentication mode of %s is API, so aws-auth has no effect, and nothing was sent; use access entries instead", o.clusterName))
	if e.onModeAPI != nil {
		e.onModeAPI()
	}
	return false, nil
}

// editLive makes the edit in one version of the live object. live is nil if aws-auth does not exist. If another client changed aws-auth in
// the meantime, the error wraps the API server's error, for which apierrors.IsConflict or apierrors.IsAlreadyExists returns true.
func (e *editRun) editLive(ctx context.Context, c *cluster, live *corev1.ConfigMap) error {
	a, o := e.app, e.options
	before := editedVersion{Object: kube.Object(live), name: liveName(c.name), absent: live == nil, run: e}
	if before.absent {
		before.Object, before.name = new(awsauth.Object), before.name+" (absent)"
	}
	edit, err := e.edit(before)
	if err != nil {
		return err
	}
	if !edit.changes(before) {
		return e.finish(edit, "unchanged")
	}
	after := before.withTexts(edit)
	if ok, err := e.show(a.stdout, before, edit, after, "the edit", true); !ok || err != nil {
		return err
	}
	if len(edit.nodeRoles) > 0 {
		e.noteAllowRemoval()
	}
	done := "edited"
	if before.absent {
		done = "created"
	}
	if o.dryRun.is(dryRunClient) {
		return e.finish(edit, done+" (dry run)")
	}
	cm := liveOrNew(live)
	cm.Data = after.Data
	if len(edit.nodeRoles) > 0 {
		metav1.SetMetaDataAnnotation(&cm.ObjectMeta, validate.AllowRemovalAnnotation, after.Annotations[validate.AllowRemovalAnnotation])
	}
	if err := breakGlass(cm, o.force); err != nil {
		return err
	}
	// A dry run shows before the confirmation whether the webhook refuses the edit. With --yes there is no confirmation, and so no dry run
	// before it.
	if dry := o.dryRun.is(dryRunServer); dry || !o.yes {
		if refused, err := a.sendAWSAuth(ctx, c, cm, true, e.last.Findings); refused || err != nil {
			return e.refused(refused, err)
		}
		if dry {
			return e.finish(edit, done+" (server dry run)")
		}
	}
	if ok, err := a.confirmWrite(fmt.Sprintf("Write the edit to aws-auth in the context %s?", c.name), o.yes); !ok || err != nil {
		return e.refused(!ok, err)
	}
	if refused, err := a.sendAWSAuth(ctx, c, cm, false, e.last.Findings); refused || err != nil {
		return e.refused(refused, err)
	}
	if o.force != "" {
		a.noteBreakGlass()
	}
	return e.finish(edit, done)
}
