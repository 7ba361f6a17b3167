package doctor

import (
	"context"
	"net/http"
	"time"

	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// The functions that the tests call.
var (
	Redact              = redact
	Quote               = quote
	CreatorByCloudTrail = creatorByCloudTrail
	CreatorByLog        = creatorByLog
)

// ParseToken decodes a token, and returns the host of STS.
func ParseToken(text string) (host string, err error) {
	t, err := parseToken(text)
	if err != nil {
		return "", err
	}
	return t.host, nil
}

// ReadExec returns the settings in an exec section.
func ReadExec(c *clientcmdapi.ExecConfig) (cluster, region, profile, role string) {
	p := plugin{config: c}
	p.readArguments()
	return p.cluster, p.region, p.profile, p.roleARN
}

// ExplainSTS returns the report after an answer of STS to a token for a cluster.
func ExplainSTS(cluster string, now time.Time, response *http.Response) (*Report, error) {
	answer, err := readSTSAnswer(response)
	if err != nil {
		return nil, err
	}
	d := newDiagnosis(Options{ClusterName: cluster, Now: func() time.Time { return now }})
	d.token = &token{host: "sts.eu-west-1.amazonaws.com"}
	d.explainSTS(answer)
	return &d.report, nil
}

// RunWithLimit is like Run, with a time limit for the plugin.
func RunWithLimit(ctx context.Context, o Options, limit time.Duration) *Report {
	o.pluginLimit = limit
	return Run(ctx, o)
}

// CreateEntry returns the command for an administrator who creates an access entry for a principal. cluster is the ARN
// of the cluster.
func CreateEntry(principal, cluster string) string {
	d := newDiagnosis(Options{Cluster: cluster, ClusterName: "prod", Region: "eu-west-1"})
	d.report.Principal = &Identity{ARN: principal}
	return d.createEntry()
}
