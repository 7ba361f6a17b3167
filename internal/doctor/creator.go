package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	cloudtrailtypes "github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logstypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsapi"
)

// creatorMatters lists the causes after which doctor searches for the creator of the cluster. The creator can log in and repair the access
// of others.
var creatorMatters = []string{"not-mapped", "similar-arn", "no-aws-auth", "no-access-entry", "unauthorized"}

// findCreator is the tenth step. It searches for the principal that created the cluster, because EKS makes this principal an
// administrator. It first searches CloudTrail, which needs the permission cloudtrail:LookupEvents. Then it searches the authenticator's
// log, which needs the permissions logs:StartQuery and logs:GetQueryResults.
func (d *diagnosis) findCreator(ctx context.Context) (Status, string) {
	cause := d.report.Cause
	if cause == nil || d.ClusterName == "" || !slices.Contains(creatorMatters, cause.ID) {
		return "", ""
	}
	ctx, cancel := context.WithTimeout(ctx, 2*callTimeout)
	defer cancel()
	options, err := d.awsOptions(ctx)
	if err != nil {
		return StatusUnknown, "AWS can't be asked: " + err.Error()
	}
	cfg, err := awsapi.LoadConfig(ctx, append(slices.Clone(options), config.WithRegion(d.Region))...)
	if err != nil {
		return StatusUnknown, "AWS can't be asked: " + err.Error()
	}
	arn, trailErr := creatorByCloudTrail(ctx, cloudtrail.NewFromConfig(cfg), d.ClusterName)
	if arn != "" {
		return StatusOK, d.describeCreator(arn, "CloudTrail")
	}
	arn, logErr := creatorByLog(ctx, cloudwatchlogs.NewFromConfig(cfg), d.ClusterName, d.Now())
	if arn != "" {
		return StatusOK, d.describeCreator(arn, logSource)
	}
	reasons := []string{"CloudTrail keeps events for 90 days and has none", "the log has no login of kubernetes-admin in the last hours"}
	for i, err := range []error{trailErr, logErr} {
		if err != nil {
			reasons[i] = err.Error()
		}
	}
	return StatusUnknown, fmt.Sprintf("not found (%s); an administrator of the account runs this query in CloudWatch Logs Insights on the log group /aws/eks/%s/cluster: %s",
		strings.Join(reasons, "; "), d.ClusterName, fmt.Sprintf(logsQuery, creatorUsername))
}

const logSource = "the log of the authenticator"

// describeCreator returns a sentence that names the creator of the cluster.
func (d *diagnosis) describeCreator(arn, source string) string {
	if source == logSource { // an entry of aws-auth may have the username kubernetes-admin, too
		return fmt.Sprintf("according to %s, %s logged in as kubernetes-admin, which is the username of the creator unless an entry has it", source, arn)
	}
	if access.CallerKey(arn) == access.CallerKey(d.principal()) {
		return fmt.Sprintf("according to %s you created the cluster as %s; EKS knows a creator by its unique id, so the role or user may have been deleted and created again", source, arn)
	}
	return fmt.Sprintf("according to %s, %s created the cluster, and can log in unless its rights were removed", source, arn)
}

// maxPages limits the number of CloudTrail pages that doctor reads. A page has 50 events.
const maxPages = 5

// creatorByCloudTrail returns the ARN of the principal that created a cluster. CloudTrail has the events of the last 90 days.
// creatorByCloudTrail returns "" if the newest maxPages pages have no such event.
func creatorByCloudTrail(ctx context.Context, client *cloudtrail.Client, cluster string) (string, error) {
	pages := cloudtrail.NewLookupEventsPaginator(client, &cloudtrail.LookupEventsInput{LookupAttributes: []cloudtrailtypes.LookupAttribute{
		{AttributeKey: cloudtrailtypes.LookupAttributeKeyEventName, AttributeValue: aws.String("CreateCluster")},
	}})
	for range maxPages {
		if !pages.HasMorePages() {
			break
		}
		page, err := pages.NextPage(ctx)
		if err != nil {
			return "", describeAWSError("cloudtrail:LookupEvents", err)
		}
		for _, event := range page.Events {
			if arn := creatorIn(aws.ToString(event.CloudTrailEvent), cluster); arn != "" {
				return arn, nil
			}
		}
	}
	return "", nil
}

// creatorIn returns the ARN of the principal that created an EKS cluster of this name, according to a CloudTrail event (EKS user guide,
// "Analyze AWS CloudTrail log file entries"). It returns "" for any other event.
func creatorIn(event, cluster string) string {
	var e struct {
		EventSource       string `json:"eventSource"`
		ErrorCode         string `json:"errorCode"`
		RequestParameters struct {
			Name        string `json:"name"`
			ClusterName string `json:"clusterName"`
		} `json:"requestParameters"`
		UserIdentity struct {
			ARN            string `json:"arn"`
			SessionContext struct {
				SessionIssuer struct {
					ARN string `json:"arn"`
				} `json:"sessionIssuer"`
			} `json:"sessionContext"`
		} `json:"userIdentity"`
	}
	if err := json.Unmarshal([]byte(event), &e); err != nil || e.EventSource != "eks.amazonaws.com" || e.ErrorCode != "" {
		return ""
	}
	if e.RequestParameters.Name != cluster && e.RequestParameters.ClusterName != cluster {
		return ""
	}
	if issuer := e.UserIdentity.SessionContext.SessionIssuer.ARN; issuer != "" {
		return issuer
	}
	return e.UserIdentity.ARN
}

// creatorUsername is a text that the authenticator logs when the creator of the cluster logs in, because EKS gives the creator the username
// kubernetes-admin.
const creatorUsername = "username=kubernetes-admin"

// logPeriod limits how far back doctor searches the log. It is short because CloudWatch Logs Insights charges for the amount of log that a
// query reads.
const logPeriod = 24 * time.Hour

var logARN = regexp.MustCompile(`\barn="?(arn:[\w+=,.@:/-]+).*\busername="?kubernetes-admin"?(?:\s|$)`)

// creatorByLog returns the ARN of a caller that logged in as kubernetes-admin, according to the authenticator's log in CloudWatch. It
// returns "" if the log has no such login. A cluster writes this log only if an administrator has enabled it.
func creatorByLog(ctx context.Context, client *cloudwatchlogs.Client, cluster string, now time.Time) (string, error) {
	started, err := client.StartQuery(ctx, &cloudwatchlogs.StartQueryInput{
		LogGroupName: aws.String("/aws/eks/" + cluster + "/cluster"), QueryString: aws.String(fmt.Sprintf(logsQuery, creatorUsername)),
		StartTime: aws.Int64(now.Add(-logPeriod).Unix()), EndTime: aws.Int64(now.Unix()),
	})
	if err != nil {
		return "", describeAWSError("logs:StartQuery", err)
	}
	for wait := 250 * time.Millisecond; ; wait *= 2 {
		results, err := client.GetQueryResults(ctx, &cloudwatchlogs.GetQueryResultsInput{QueryId: started.QueryId})
		if err != nil {
			return "", describeAWSError("logs:GetQueryResults", err)
		}
		if results.Status != logstypes.QueryStatusRunning && results.Status != logstypes.QueryStatusScheduled {
			return arnIn(results.Results), nil
		}
		select {
		case <-ctx.Done():
			return "", errors.New("logs:GetQueryResults: the query did not end in time")
		case <-time.After(wait):
		}
	}
}

// arnIn returns the ARN in the first message of a query's results that shows a login as kubernetes-admin. It returns "" if there is no such
// message.
func arnIn(rows [][]logstypes.ResultField) string {
	for _, row := range rows {
		for _, field := range row {
			if m := logARN.FindStringSubmatch(aws.ToString(field.Value)); m != nil && aws.ToString(field.Field) == "@message" {
				return m[1]
			}
		}
	}
	return ""
}

// describeAWSError returns an error for the user after an AWS call has failed. The error names the action and contains no secret. If the
// log of the authenticator does not exist, the error says so.
func describeAWSError(action string, err error) error {
	if _, ok := errors.AsType[*logstypes.ResourceNotFoundException](err); ok {
		return errors.New("the cluster does not write the log of the authenticator")
	}
	return fmt.Errorf("%s: %w", action, awsapi.NewError(err))
}
