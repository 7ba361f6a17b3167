package cli

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/config"
	"github.com/awsauth-guard/awsauth-guard/internal/iam"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// iamCalls limits the number of concurrent lookups. The IAM client also limits the number of its calls.
const iamCalls = 8

// lookedUp is the result of a lookup of a principal in IAM.
type lookedUp struct {
	existence validate.Existence
	facts     access.IAMFacts
	err       error
}

// addStale sets the grants of s, and marks the stale ones. A grant is stale if IAM has no such principal. An access entry is also stale if
// markStale says so. The state of a grant is unknown if IAM gives no answer, and that of an access entry also if it has no creation time.
// addStale prints each reason why IAM gives no answer once. It returns an error if the AWS credentials can't be used.
func (a *app) addStale(ctx context.Context, s *accessSources) error {
	client, err := a.newIAMClient(ctx, config.IAM{})
	if err != nil {
		return err
	}
	found := lookUpPrincipals(ctx, client, access.Grants(s.document, s.cluster))
	var unknown map[string]error
	if s.cluster != nil {
		unknown = markStale(s.cluster.AccessEntries, found)
	}
	s.grants = access.Grants(s.document, s.cluster)
	reported := make(map[string]bool) // by reason
	for i := range s.grants {
		g := &s.grants[i]
		l, ok := found[g.Key()]
		switch {
		case !ok || g.State != access.StateOK:
		case g.Source == access.SourceAccessEntry && errors.Is(unknown[g.Key()], access.ErrNoCreationTime):
			g.State, g.Reason = access.StateUnknown, access.ErrNoCreationTime.Error()
		case l.existence == validate.Missing:
			g.State, g.Reason = access.StateStale, missingInIAM
		case l.err != nil:
			g.State, g.Reason = access.StateUnknown, "IAM was not able to say whether the principal exists"
			if reason := l.err.Error(); !reported[reason] {
				reported[reason] = true
				a.fail(fmt.Errorf("looking up %s in IAM: %w; for each other principal with this reason the state is unknown, too", g.Principal, l.err))
			}
		}
	}
	return nil
}

// missingInIAM is the reason why a grant is stale if its principal was deleted.
const missingInIAM = "IAM has no such principal"

// markStale marks the stale access entries: those whose principal IAM doesn't have, and those that are older than their principal. EKS
// stores the unique id of the principal when it creates an access entry. So if a principal was deleted and created again, the old access
// entry matches no caller, although the ARN is the same. found has the results of lookUpPrincipals. unknown has the access entries of
// which markStale can't say whether they are stale, each with the reason. The keys of both are results of [access.CallerKey].
func markStale(entries []access.AccessEntry, found map[string]lookedUp) (unknown map[string]error) {
	unknown = make(map[string]error)
	for i := range entries {
		e := &entries[i]
		key := access.CallerKey(e.PrincipalARN)
		l, ok := found[key]
		switch {
		case !ok:
			continue
		case l.existence == validate.Missing:
			e.Stale = missingInIAM
			continue
		case l.existence != validate.Exists:
			unknown[key] = fmt.Errorf("IAM gave no answer: %w", l.err)
			continue
		}
		switch e.Freshness(l.facts) {
		case access.Fresh:
		case access.FreshnessUnknown:
			unknown[key] = access.ErrNoCreationTime
		case access.Stale:
			e.Stale = fmt.Sprintf("the principal was created at %s, after its access entry, so it was deleted and created again; delete the access entry and create it again",
				l.facts.Created.UTC().Format(time.RFC3339))
		}
	}
	return unknown
}

// lookUpPrincipals looks up the roles and users of the grants in IAM. It leaves out grants by which no caller logs in, except shadowed
// ones. It returns the results by the keys of the grants.
func lookUpPrincipals(ctx context.Context, client *iam.Client, grants []access.Grant) map[string]lookedUp {
	ctx, cancel := context.WithTimeout(ctx, iamTimeout)
	defer cancel()
	var mu sync.Mutex
	found := make(map[string]lookedUp)
	group := new(errgroup.Group)
	group.SetLimit(iamCalls)
	asked := make(map[string]bool)
	for i := range grants {
		g := &grants[i]
		arn, err := awsauth.ParseARN(g.Principal)
		inForce := g.State == access.StateOK || g.State == access.StateShadowed
		if err != nil || arn.Service != "iam" || arn.Resource == "root" || !inForce || asked[g.Key()] {
			continue
		}
		asked[g.Key()] = true
		group.Go(func() error {
			var l lookedUp
			l.facts, l.existence, l.err = client.Facts(ctx, arn)
			mu.Lock()
			defer mu.Unlock()
			found[g.Key()] = l
			return nil
		})
	}
	_ = group.Wait() // the functions return no error; each result has its own
	return found
}
