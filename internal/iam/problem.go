package iam

import (
	"context"
	"log/slog"

	"github.com/awsauth-guard/awsauth-guard/internal/awsapi"
)

// Reasons for the answer Unknown. Package awsapi has further reasons.
const (
	reasonNotFoundOnce   = "IAM did not find it, and no time was left for a second call"
	reasonOtherPartition = "another partition"
	reasonAccountChanged = "the credentials are of another account than before"
	reasonTooMany        = "the change has too many principals to look up"
	reasonRateLimited    = "too many principals were looked up within a minute"
)

func noAccess(account string) string { return "no access to account " + account + " is configured" }

// logProblem logs a problem with an account. It logs the same reason for the same account at most once in
// problemInterval.
func (c *Client) logProblem(ctx context.Context, account string, p *awsapi.Error) {
	if !c.problems.Allow(p.Reason + " " + account) {
		return
	}
	attrs := p.Attrs()
	if account != "" {
		attrs = append(attrs, slog.String("account", account))
	}
	c.log.LogAttrs(ctx, slog.LevelWarn, "cannot determine whether a principal exists", attrs...)
}
