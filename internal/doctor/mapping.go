package doctor

import (
	"context"
	"fmt"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// failUnsupported sets the cause for a caller that is neither a role nor a user. The authenticator refuses such an ARN before it searches
// for an entry.
func (d *diagnosis) failUnsupported() (Status, string) {
	return d.fail(Cause{
		ID: "principal-unsupported", Step: stepAWSAuth, User: "aws sts get-caller-identity" + d.withProfile(),
		Summary: "no IAM role or user is behind " + d.report.Principal.ARN + ", so the authenticator refuses it",
	})
}

// mappingCause returns the cause if the cluster refuses the principal. Usually the principal has no access entry, and aws-auth does not map
// it. mappingCause returns nil if the API server admits the caller, or if it finds no cause.
func (d *diagnosis) mappingCause(ctx context.Context) *Cause {
	if d.report.User != nil {
		return nil
	}
	mode := d.cluster.mode()
	entry, stale := d.entries.inForce()
	caller := access.NewCaller(d.report.Principal.ARN)
	switch {
	case entry != nil && mode != access.ModeConfigMap:
		if e := (&awsauth.Entry{ARN: entry.PrincipalARN, Username: entry.Username, Groups: entry.Groups}); !e.Admits(caller.Caller) {
			return &Cause{
				ID: "entry-for-instances", Step: stepEntries, User: profilesCommand,
				Summary: fmt.Sprintf("the access entry of %s has the type %s, which admits only EC2 instances; the role is that of nodes, so log in as another principal",
					entry.PrincipalARN, entry.Type),
			}
		}
		return d.refusedAlthoughMapped("the access entry of " + entry.PrincipalARN)
	case mode == access.ModeAPI:
		return d.missingEntry(stale)
	case d.awsAuth.object != nil:
		if c := d.notInAWSAuth(caller); c != nil {
			return d.whyNotMapped(ctx, c, stale)
		}
		return d.refusedAlthoughMapped("aws-auth")
	case stale != nil:
		return d.staleEntry(stale)
	case d.awsAuth.absent && (mode == access.ModeConfigMap || d.refused):
		return d.noAWSAuth(ctx)
	case d.refused:
		return d.whyNotMapped(ctx, &Cause{
			ID: "unauthorized", Step: stepAPIServer,
			User: "kubectl awsauth doctor -f aws-auth.yaml", Admin: readCommand,
			Summary: fmt.Sprintf("AWS knows you as %s, and the API server refuses you, so neither aws-auth nor an access entry admits you; aws-auth can't be read to say why",
				d.report.Principal.ARN),
		}, nil)
	}
	return nil
}

// missingEntry returns the cause for a principal without an access entry in the authentication mode API. It returns nil if the access
// entries are unknown and the API server did not refuse the caller. stale is a stale access entry of the principal, or nil.
func (d *diagnosis) missingEntry(stale *access.AccessEntry) *Cause {
	if stale != nil {
		return d.staleEntry(stale)
	}
	principal := d.principal()
	if d.awsAuth.object != nil {
		if r := d.awsAuth.loaded.Resolve(principal); r.Mapped {
			return &Cause{
				ID: "mode-ignores-aws-auth", Step: stepEntries, Admin: d.createEntryOf(r), User: checkCommand,
				Summary: fmt.Sprintf("aws-auth maps %s, but the authentication mode API ignores aws-auth, and no access entry has the principal", principal),
			}
		}
	}
	if d.entries.known || d.refused {
		return &Cause{
			ID: "no-access-entry", Step: stepEntries, Admin: d.createEntry(), User: checkCommand,
			Summary: fmt.Sprintf("no access entry has the principal %s, and the authentication mode is API", principal),
		}
	}
	return nil
}

// noAWSAuth returns the cause for a cluster without aws-auth. In the authentication mode API_AND_CONFIG_MAP its command creates an access
// entry, and otherwise aws-auth.
func (d *diagnosis) noAWSAuth(ctx context.Context) *Cause {
	c := &Cause{ID: "no-aws-auth", Step: stepAWSAuth}
	if d.cluster.mode() == access.ModeAPIAndConfigMap {
		c.Admin, c.User = d.createEntry(), checkCommand
		c.Summary = "aws-auth does not exist, and no access entry has the principal " + d.principal()
	} else {
		c.Admin, c.User = d.addCommand(), checkCommand
		c.Summary = "aws-auth does not exist, so only the creator of the cluster can log in; EKS creates it with the first managed node group or Fargate profile"
	}
	return d.whyNotMapped(ctx, c, nil)
}

func (d *diagnosis) staleEntry(stale *access.AccessEntry) *Cause {
	return &Cause{
		ID: "stale-access-entry", Step: stepEntries, Admin: d.replaceEntry(stale), User: checkCommand,
		Summary: fmt.Sprintf("the access entry of %s is older than the principal, which was deleted and created again; EKS compares unique ids, so the access entry matches no caller any more; it has the groups [%s] and the policies [%s]",
			stale.PrincipalARN, strings.Join(stale.Groups, ", "), strings.Join(policyNames(stale), ", ")),
	}
}

func policyNames(e *access.AccessEntry) (names []string) {
	for _, p := range e.Policies {
		names = append(names, p.Name())
	}
	return names
}

// refusedAlthoughMapped returns the cause for a mapped caller that the API server refuses. source describes the access entry or aws-auth
// that maps the caller. refusedAlthoughMapped returns nil if the API server did not refuse the caller.
func (d *diagnosis) refusedAlthoughMapped(source string) *Cause {
	if !d.refused {
		return nil
	}
	return &Cause{
		ID: "refused-although-mapped", Step: stepAPIServer, User: "aws eks list-clusters" + d.awsCluster().RegionFlag() + d.withProfile(),
		Admin: d.authenticatorLogs(),
		Summary: fmt.Sprintf("%s admits %s, and the API server refuses the token; is this the API server of the cluster %s? EKS may also need some seconds to apply a change",
			source, d.report.Principal.ARN, d.ClusterName),
	}
}

// missIDs has the id of a cause for each kind of near miss. A near miss is an entry or a text that almost maps the caller. If a caller has
// several near misses, the first kind in this list is the cause. The list ends with the weakest evidence: a text that contains the caller's
// ARN but isn't read, and then an ARN with a similar spelling.
var missIDs = []struct {
	kind awsauth.NearMissKind
	id   string
}{
	{awsauth.MissSession, "session-arn"},
	{awsauth.MissPath, "role-path"},
	{awsauth.MissUserPath, "user-path"},
	{awsauth.MissPermissionSet, "sso-role-recreated"},
	{awsauth.MissAccount, "other-account"},
	{awsauth.MissPartition, "other-partition"},
	{awsauth.MissType, "other-principal-type"},
	{awsauth.MissShadowed, "entry-shadowed"},
	{awsauth.MissDropped, "entry-dropped"},
	{awsauth.MissMalformed, "malformed-arn"},
	{awsauth.MissSection, "section-lost"},
	{awsauth.MissUnread, "entry-not-read"},
	{awsauth.MissSpelling, "similar-arn"},
}

// notInAWSAuth returns the cause why aws-auth does not admit the caller. It returns nil if aws-auth admits the caller, or if this is
// unknown.
func (d *diagnosis) notInAWSAuth(caller access.Caller) *Cause {
	r := d.awsAuth.loaded.Resolve(caller.ARN)
	if r.Unknown != "" {
		return nil
	}
	if r.Mapped {
		if len(r.Matches) > 0 && !r.Matches[0].Admits(caller.Caller) {
			return &Cause{
				ID: "mapping-for-instances", Step: stepAWSAuth,
				User:    profilesCommand,
				Summary: access.InstancesOnly(r.Matches[0].Path()) + "; the role is that of nodes, so log in as another principal",
			}
		}
		return nil
	}
	if d.Principal != "" && !d.entries.known && d.cluster.mode() != access.ModeConfigMap {
		return nil // the principal may have an access entry
	}
	misses := d.awsAuth.object.NearMisses(r.CanonicalARN)
	for _, m := range missIDs {
		for _, miss := range misses {
			if miss.Kind != m.kind {
				continue
			}
			id := m.id
			if id == "role-path" && strings.Contains(r.CanonicalARN, ":role/AWSReservedSSO_") {
				id = "sso-role-path"
			}
			return &Cause{ID: id, Step: stepAWSAuth, Summary: fmt.Sprintf("aws-auth does not map %s: %s", r.CanonicalARN, miss)}
		}
	}
	return &Cause{ID: "not-mapped", Step: stepAWSAuth, Summary: fmt.Sprintf("aws-auth has no entry for %s", r.CanonicalARN)}
}

// whyNotMapped returns the cause c of a caller that aws-auth does not admit, with commands. If the principal has a stale access entry, or
// if the cluster admits another identity of the caller, it returns a better cause instead of c.
func (d *diagnosis) whyNotMapped(ctx context.Context, c *Cause, stale *access.AccessEntry) *Cause {
	if stale != nil {
		return d.staleEntry(stale)
	}
	if d.Principal == "" && (c.ID == "not-mapped" || c.ID == "similar-arn" || c.ID == "unauthorized") {
		if other := d.otherIdentity(ctx); other != nil {
			return other
		}
	}
	if c.User != "" || c.Admin != "" {
		return c
	}
	c.User = checkCommand
	switch mode := d.cluster.mode(); {
	case c.ID != "not-mapped" && c.ID != "no-access-entry": // the summary says what to write
		c.Admin = editCommand
	case mode == access.ModeAPI || mode == access.ModeAPIAndConfigMap:
		c.Admin = d.createEntry()
	default:
		c.Admin = d.addCommand()
	}
	return c
}
