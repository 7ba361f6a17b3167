package cli

import (
	"context"
	"fmt"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/config"
	"github.com/awsauth-guard/awsauth-guard/internal/migrate"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// lookUpMigrated looks up the principals of grants in IAM, and returns the results by [access.Grant.Key]. The result of a
// failed lookup has the reason of the failure. lookUpMigrated returns an error only if the AWS credentials can't be used.
func (a *app) lookUpMigrated(ctx context.Context, grants []access.Grant) (map[string]migrate.Found, error) {
	client, err := a.newIAMClient(ctx, config.IAM{})
	if err != nil {
		return nil, err
	}
	found := make(map[string]migrate.Found)
	reported := make(map[string]bool) // by reason
	results := lookUpPrincipals(ctx, client, grants)
	for i := range grants {
		g := &grants[i]
		l, ok := results[g.Key()]
		if _, done := found[g.Key()]; done || !ok {
			continue
		}
		switch l.existence {
		case validate.Exists:
			found[g.Key()] = migrate.Found{ARN: l.facts.ARN, Created: l.facts.Created}
		case validate.Missing:
			f := migrate.Found{}
			if arn, err := awsauth.ParseARN(g.Principal); err == nil {
				f.Replacement = client.Replacement(ctx, arn)
			}
			found[g.Key()] = f
		case validate.Unknown:
			reason := fmt.Sprint(l.err)
			found[g.Key()] = migrate.Found{Unknown: reason}
			if !reported[reason] {
				reported[reason] = true
				a.note("looking up %s in IAM: %s; other principals with this reason are not listed", g.Principal, reason)
			}
		}
	}
	return found, nil
}
