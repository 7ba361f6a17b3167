package config

import (
	"fmt"
	"regexp"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// ClusterListKind is the kind of a file with the AWS accounts of several clusters.
const ClusterListKind = "ClusterList"

// ClusterList is a file with the AWS accounts of several clusters. kubectl awsauth reads it with --clusters.
type ClusterList struct {
	// APIVersion is awsauth-guard.io/v1alpha1.
	APIVersion string `yaml:"apiVersion"`

	// Kind is ClusterList.
	Kind string `yaml:"kind"`

	// Accounts lists the accounts. An account can be listed more than once, for example with other regions and another role.
	Accounts []ClusterAccount `yaml:"accounts"`
}

// ClusterAccount is an AWS account with EKS clusters.
type ClusterAccount struct {
	// Account is the id of the account.
	Account string `yaml:"account"`

	// RoleARN is the ARN of a role in this account, including the path. The program assumes this role. Without a role it uses the
	// credentials of the environment.
	RoleARN string `yaml:"roleARN,omitempty"`

	// ExternalID is the external id for assuming the role.
	ExternalID string `yaml:"externalID,omitempty"`

	// Regions are the regions with clusters.
	Regions []string `yaml:"regions"`

	// Clusters are the names of the clusters to read in each region. Without this list the program reads every cluster of the regions.
	Clusters []string `yaml:"clusters,omitempty"`
}

// Limits of a ClusterList.
const (
	maxAccounts = 1000
	maxRegions  = 100 // AWS has fewer than 50 regions
)

var (
	regionForm  = regexp.MustCompile(`^[a-z]{2,}(-[a-z]+)+-\d+$`)
	clusterForm = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z_-]{0,99}$`) // EKS API reference, CreateCluster
)

// ParseClusters decodes the text of a file and checks it. The error is as for [Parse].
func ParseClusters(name string, src []byte) (*ClusterList, error) {
	c := &ClusterList{}
	if err := parse(name, src, ClusterListKind, c, func(d *decoder) { d.checkClusters(c) }); err != nil {
		return nil, err
	}
	return c, nil
}

// checkClusters reports values that have the right type but can't be correct.
func (d *decoder) checkClusters(c *ClusterList) {
	d.checkKind(c.APIVersion, c.Kind)
	if line, ok := d.lines["accounts"]; ok && (len(c.Accounts) == 0 || len(c.Accounts) > maxAccounts) {
		d.report(line, "accounts", "has %d accounts; write 1 to %d", len(c.Accounts), maxAccounts)
	}
	for i := range c.Accounts {
		a, path := &c.Accounts[i], fmt.Sprintf("accounts[%d]", i)
		if line, ok := d.lines[path+".account"]; ok && !awsauth.IsAccountID(a.Account) {
			d.report(line, path+".account", "is %q; write the 12 digits of an account in quotes", a.Account)
			continue
		}
		if _, ok := d.lines[path+".roleARN"]; ok {
			d.checkRole(path+".roleARN", a.RoleARN, a.Account)
		}
		if line, ok := d.lines[path+".externalID"]; ok && a.RoleARN == "" {
			d.report(line, path+".externalID", "needs roleARN, the role to assume")
		}
		if line, ok := d.lines[path+".regions"]; ok && (len(a.Regions) == 0 || len(a.Regions) > maxRegions) {
			d.report(line, path+".regions", "has %d regions; write 1 to %d", len(a.Regions), maxRegions)
		}
		d.checkForm(path+".regions", a.Regions, regionForm, "a region, such as eu-west-1")
		d.checkForm(path+".clusters", a.Clusters, clusterForm, "the name of an EKS cluster")
	}
}

// checkForm reports each text of a list that doesn't match a form, and each text that appears twice.
func (d *decoder) checkForm(path string, list []string, form *regexp.Regexp, want string) {
	seen := make(map[string]bool)
	for i, text := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		line, ok := d.lines[at]
		switch {
		case !ok:
		case !form.MatchString(text):
			d.report(line, at, "is %q; write %s", text, want)
		case seen[text]:
			d.report(line, at, "%q appears twice", text)
		}
		seen[text] = true
	}
}
