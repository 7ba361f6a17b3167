package doctor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/eks"
	"github.com/awsauth-guard/awsauth-guard/internal/iam"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// entryFacts holds the access entries of the principal, and what IAM knows about the principal.
type entryFacts struct {
	listed []string             // the ARNs of the principals of all access entries; nil if they can't be listed
	known  bool                 // found has every access entry of the principal
	found  []access.AccessEntry // access entries of the principal

	facts     access.IAMFacts    // what IAM knows about the principal
	existence validate.Existence // whether the principal exists in IAM
}

// inForce returns the access entry with which the principal logs in, or nil if there is none. stale is a stale access entry of the
// principal, or nil.
func (e *entryFacts) inForce() (entry, stale *access.AccessEntry) {
	for i := range e.found {
		if f := &e.found[i]; e.existence == validate.Exists && f.Freshness(e.facts) == access.Stale {
			stale = f
		} else if entry == nil {
			entry = f
		}
	}
	return entry, stale
}

// principal returns the ARN of the caller's role or user. The ARN of a role has no path. It returns "" if the caller is unknown, or if the
// authenticator refuses this kind of ARN.
func (d *diagnosis) principal() string {
	if d.report.Principal == nil {
		return ""
	}
	canonical, err := awsauth.Canonicalize(access.NewCaller(d.report.Principal.ARN).ARN)
	if err != nil {
		return ""
	}
	return canonical
}

// readEntries is the seventh step. It reads the access entries of the principal, and compares them with IAM. It needs the permissions
// eks:ListAccessEntries, eks:DescribeAccessEntry, eks:ListAssociatedAccessPolicies, iam:GetRole and iam:GetUser.
func (d *diagnosis) readEntries(ctx context.Context) (Status, string) {
	principal := d.principal()
	switch {
	case principal == "":
		return "", ""
	case d.cluster.client == nil:
		return StatusUnknown, "access entries can't be read without the name of the EKS cluster"
	case d.cluster.mode() == access.ModeConfigMap:
		d.entries.known = true
		return StatusOK, "the authentication mode is CONFIG_MAP, so access entries have no effect"
	}
	ctx, cancel := context.WithTimeout(ctx, 2*callTimeout)
	defer cancel()
	d.lookUpPrincipal(ctx, principal)
	if err := d.findEntries(ctx, principal); err != nil {
		return StatusUnknown, "the access entries can't be read: " + err.Error()
	}
	switch entry, stale := d.entries.inForce(); {
	case entry != nil:
		text := fmt.Sprintf("%s has an access entry of type %s with the username %s, the groups [%s] and %d access policies",
			entry.PrincipalARN, entry.Type, entry.Username, strings.Join(entry.Groups, ", "), len(entry.Policies))
		return StatusOK, text
	case stale != nil:
		return StatusWarning, fmt.Sprintf("the access entry of %s is stale: it was created at %s, and the principal at %s",
			stale.PrincipalARN, stale.Created.UTC().Format(time.RFC3339), d.entries.facts.Created.UTC().Format(time.RFC3339))
	case !d.entries.known:
		return StatusUnknown, "you lack the permissions eks:ListAccessEntries and eks:DescribeAccessEntry"
	}
	return StatusOK, "no access entry has the principal " + principal
}

// findEntries reads the access entries of the principal into d.entries. If the caller may not list access entries, findEntries reads only
// the access entry with the principal's ARN.
func (d *diagnosis) findEntries(ctx context.Context, principal string) error {
	arns, err := d.cluster.client.List(ctx)
	switch {
	case err == nil:
		d.entries.listed, d.entries.known = append([]string{}, arns...), true
		arns = slices.DeleteFunc(arns, func(other string) bool { return awsauth.PrincipalKey(other) != awsauth.PrincipalKey(principal) })
	case eks.IsDenied(err):
		arns = []string{principal}
		if d.entries.facts.ARN != "" {
			arns = []string{d.entries.facts.ARN}
		}
	default:
		return err //nolint:wrapcheck // the caller names the failed action
	}
	found, errs := d.cluster.client.InspectEntries(ctx, arns)
	if err := errors.Join(errs...); err != nil && len(found) == 0 {
		return err
	}
	for _, entry := range found {
		// If all permissions are missing, InspectEntries can't tell whether the access entry exists.
		if d.entries.known || !slices.Contains(entry.Unknown, access.FieldUsername) {
			d.entries.found = append(d.entries.found, entry)
		}
	}
	d.entries.known = d.entries.known || len(d.entries.found) > 0 || len(errs) == 0 && d.entries.facts.ARN != ""
	return nil
}

// lookUpPrincipal looks up the principal in IAM and stores the result in d.entries. If this fails, the existence of the principal stays
// unknown.
func (d *diagnosis) lookUpPrincipal(ctx context.Context, principal string) {
	parsed, err := awsauth.ParseARN(principal)
	if err != nil {
		return
	}
	options, err := d.awsOptions(ctx)
	if err != nil {
		return
	}
	client, err := iam.New(ctx, iam.Options{Recorder: iam.NoMetrics{}, Logger: slog.New(slog.DiscardHandler), Load: options})
	if err != nil {
		return
	}
	if d.entries.facts, d.entries.existence, err = client.Facts(ctx, parsed); err != nil {
		d.entries.existence = validate.Unknown
	}
}
