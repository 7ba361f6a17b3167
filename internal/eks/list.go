package eks

import (
	"context"
	"fmt"
	"slices"

	awseks "github.com/aws/aws-sdk-go-v2/service/eks"
)

// maxClusters limits the number of clusters that ListClusters reads. The default quota of AWS is 100 clusters in a region (EKS service quotas).
const maxClusters = 2000

// ListClusters returns the sorted names of the clusters in a region of the account of the credentials. It needs the permission
// eks:ListClusters.
func ListClusters(ctx context.Context, region string, more ...Option) (names []string, err error) {
	cfg, err := loadConfig(ctx, region, more)
	if err != nil {
		return nil, err
	}
	pages := awseks.NewListClustersPaginator(awseks.NewFromConfig(cfg), &awseks.ListClustersInput{}, func(o *awseks.ListClustersPaginatorOptions) {
		o.StopOnDuplicateToken = true
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, callError("ListClusters", err)
		}
		if names = append(names, page.Clusters...); len(names) > maxClusters {
			return nil, fmt.Errorf("eks:ListClusters: the region has more than %d clusters", maxClusters)
		}
	}
	slices.Sort(names)
	return names, nil
}
