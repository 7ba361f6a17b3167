package validate

import (
	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

var foreignPartition = &Rule{
	ID:       "foreign-partition",
	Severity: Warn,
	Title:    "the principal belongs to a different AWS partition than the cluster",
	Doc: `
A caller logs in with a signed request to STS in the cluster's own partition, and credentials of one partition are
not valid in another. So if the cluster is in the partition aws, an entry for a principal of aws-cn never matches a
caller. Often such an entry was copied from another cluster. If the guard asks IAM (iam.mode), it learns the
cluster's partition from its own credentials. Otherwise it assumes the partition of the node roles, because nodes
are always in the cluster's partition. If there is no node role, it assumes the partition of the first entry.

Write the ARN of a principal of the cluster's partition.`,
	Source: "AWS whitepaper \"AWS Fault Isolation Boundaries\", Partitions; aws-iam-authenticator v0.7.18, pkg/token/token.go, verifyHost",
	Check:  checkForeignPartition,
}

func checkForeignPartition(p *Pass) {
	own := p.Change.IAM.Partition
	if own == "" {
		p.checkMixedPartitions()
		return
	}
	for m := range p.Doc.Mappings() {
		arn, err := awsauth.ParseARN(m.ARN.Value)
		if err != nil || arn.Partition == own {
			continue // malformed-arn reports an ARN that does not parse
		}
		right := arn
		right.Partition = own
		p.Reportf(m.ARN, "write "+right.String()+" with an account of this partition", "%q is in partition %s and can't log in to a cluster in partition %s", m.ARN.Value, arn.Partition, own)
	}
}

// checkMixedPartitions reports principals whose partition differs from that of the first node role. If there is no node
// role, it compares them with the first entry.
func (p *Pass) checkMixedPartitions() {
	var own, of string
	for m := range p.Doc.Mappings() {
		arn, err := m.Entry.Principal()
		if m.Entry.ARN == "" || err != nil {
			continue
		}
		if access.IsNode(m.Entry) {
			own, of = arn.Partition, "the node roles are"
			break
		}
		if own == "" {
			own, of = arn.Partition, "the first entry is"
		}
	}
	for m := range p.Doc.Mappings() {
		arn, err := m.Entry.Principal()
		if m.Entry.ARN == "" || err != nil || arn.Partition == own {
			continue
		}
		right := arn
		right.Partition = own
		p.Reportf(m.ARN, "write "+right.String()+" with an account of this partition", "%q is in partition %s, but %s in partition %s; a cluster admits principals of only one partition", m.ARN.Value, arn.Partition, of, own)
	}
}

// foreign reports whether a principal is in another partition than the guard's own credentials.
func (p *Pass) foreign(c *awsauth.AccessChange) bool {
	arn, err := c.After[0].Principal()
	return err == nil && p.Change.IAM.Partition != "" && arn.Partition != p.Change.IAM.Partition
}
