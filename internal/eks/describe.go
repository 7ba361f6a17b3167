package eks

import (
	"context"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
)

// Description holds what EKS knows about a cluster, without the access entries.
type Description struct {
	ARN      string
	Endpoint string // the URL of the API server
	Status   string // such as ACTIVE or DELETING
	CA       []byte // in PEM; empty while EKS creates the cluster
	Mode     access.Mode
	// Public reports whether clients outside the VPC can reach the API server.
	Public bool
}

// Active is the status of a cluster that can be used.
const Active = "ACTIVE"

// Describe returns the Description of the cluster. It accepts a cluster with any CA. It needs the permission eks:DescribeCluster.
func (c *Client) Describe(ctx context.Context) (Description, error) {
	described, err := c.describeCluster(ctx)
	if err != nil {
		return Description{}, err
	}
	d := Description{
		ARN: aws.ToString(described.Arn), Endpoint: aws.ToString(described.Endpoint), Status: string(described.Status),
		Public: described.ResourcesVpcConfig == nil || described.ResourcesVpcConfig.EndpointPublicAccess,
	}
	if d.CA, err = caOf(described); err != nil {
		return d, err
	}
	d.Mode, err = modeOf(described)
	return d, err
}

// HasEndpoint reports whether a URL has the host and port of the cluster's endpoint.
func (d *Description) HasEndpoint(server string) bool {
	own, err := url.Parse(d.Endpoint)
	other, otherErr := url.Parse(server)
	return err == nil && otherErr == nil && strings.EqualFold(own.Hostname(), other.Hostname()) && port(own) == port(other)
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	return "443"
}

// HasCA reports whether a PEM text contains the certificate of the cluster's CA.
func (d *Description) HasCA(ca []byte) bool {
	own, err := certificates(d.CA)
	other, otherErr := certificates(ca)
	return err == nil && otherErr == nil && shareCertificate(own, other)
}

// InspectEntries returns the access entries of these principals. It leaves out a principal without an access entry. If
// a permission is missing, it continues like [Client.Inspect]: each access entry lists its fields that can't be read,
// and errs has one error for each missing permission. At any other error InspectEntries stops, and errs has only this
// error.
func (c *Client) InspectEntries(ctx context.Context, arns []string) (entries []access.AccessEntry, errs []error) {
	denied := &denials{byAction: make(map[string]error)}
	for _, arn := range arns {
		switch entry, err := c.inspect(ctx, arn, denied); {
		case isNotFound(err):
		case err != nil:
			return entries, append(errs, err)
		default:
			entries = append(entries, entry)
		}
	}
	return entries, denied.errors()
}
