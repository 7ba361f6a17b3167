package validate

import "github.com/awsauth-guard/awsauth-guard/internal/awsauth"

var foreignPartition = &Rule{
	ID:       "foreign-partition",
	Severity: Warn,
	Title:    "the principal is of another AWS partition than the cluster",
	Doc: `
A caller logs in with a signed request to STS in the cluster's own partition, and credentials of one partition
are not valid in another. So an entry for a principal of aws-cn in a cluster of aws, often copied from another
cluster, never matches a caller. The guard learns its own partition from its credentials. This rule runs only if
iam.mode makes the guard ask IAM.

Write the ARN of a principal of the cluster's partition.`,
	Source: "AWS whitepaper \"AWS Fault Isolation Boundaries\", Partitions; aws-iam-authenticator v0.7.18, pkg/token/token.go, verifyHost",
	Check:  checkForeignPartition,
}

func checkForeignPartition(p *Pass) {
	own := p.Change.IAM.Partition
	if own == "" {
		return
	}
	for m := range p.Doc.Mappings() {
		arn, err := awsauth.ParseARN(m.ARN.Value)
		if err != nil || arn.Partition == own {
			continue // malformed-arn reports it
		}
		p.Reportf(m.ARN, "write an ARN that begins with arn:"+own+":", "%q is in partition %s and can't log in to a cluster in partition %s", m.ARN.Value, arn.Partition, own)
	}
}

// foreign reports whether a principal is of another partition than the guard's own.
func (p *Pass) foreign(c *awsauth.AccessChange) bool {
	arn, err := c.After[0].Principal()
	return err == nil && p.Change.IAM.Partition != "" && arn.Partition != p.Change.IAM.Partition
}
