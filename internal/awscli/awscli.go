// Package awscli writes the commands of the AWS CLI that change access entries, for a user who copies them into a POSIX shell.
package awscli

import (
	"cmp"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/textutil"
)

// Cluster is the EKS cluster that a command names.
type Cluster struct {
	// Name is the name of the cluster. If it is empty, the command has the placeholder CLUSTER.
	Name string
	// Region is the region of the cluster. If it is empty, the command uses the region of the AWS configuration.
	Region string
}

// Word returns the name of the cluster, quoted for a shell, or the placeholder CLUSTER if the name is empty.
func (c Cluster) Word() string { return textutil.ShellWord(cmp.Or(c.Name, "CLUSTER")) }

// RegionFlag returns the flag --region with a leading space, or "" without a region.
func (c Cluster) RegionFlag() string {
	if c.Region == "" {
		return ""
	}
	return " --region " + textutil.ShellWord(c.Region)
}

// AccessEntry returns the command that creates, updates or deletes an access entry. action is create, update or delete. principal is the
// ARN of the principal, already quoted for a shell. The caller appends flags such as the groups.
func (c Cluster) AccessEntry(action, principal string) string {
	return "aws eks " + action + "-access-entry" + c.flags() + " --principal-arn " + principal
}

// AssociatePolicy returns the command that associates an access policy with the access entry of a principal, for the whole cluster.
// principal is the ARN of the principal, already quoted for a shell. partition is the cluster's AWS partition, such as aws-cn. policy is the
// name of the policy. AWS documents the ARNs of access policies only for the partition aws, so in another partition the command looks the
// ARN up.
func (c Cluster) AssociatePolicy(principal, partition, policy string) string {
	arn := "arn:aws:eks::aws:cluster-access-policy/" + policy
	if partition != "aws" {
		arn = `"$(aws eks list-access-policies` + c.RegionFlag() + ` --query "accessPolicies[?name=='` + policy + `'].arn" --output text)"`
	}
	return "aws eks associate-access-policy" + c.flags() + " --principal-arn " + principal + " --policy-arn " + arn + " --access-scope type=cluster"
}

func (c Cluster) flags() string { return " --cluster-name " + c.Word() + c.RegionFlag() }

// GroupsFlag returns the flag --kubernetes-groups with a leading space. Without groups its value is the JSON of an empty list, because the
// AWS CLI needs a value.
func GroupsFlag(groups []string) string {
	if len(groups) == 0 {
		return " --kubernetes-groups '[]'"
	}
	words := []string{" --kubernetes-groups"}
	for _, g := range groups {
		words = append(words, textutil.ShellWord(g))
	}
	return strings.Join(words, " ")
}
