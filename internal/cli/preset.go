package cli

import (
	"maps"
	"slices"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
)

// preset is the access for a purpose: the username and groups in aws-auth, and the access entry or access policy with the same purpose. AWS
// documents all presets but view.
type preset struct {
	username string // empty means the default username of the principal
	groups   []string
	nodeType string // the type of an access entry with the same purpose; empty if the preset is for people
	policy   string // the EKS access policy with the same purpose; empty if the preset is for nodes
	note     string // what the user must do in addition
}

// viewersGroup is the group of the preset view. Neither AWS nor Kubernetes has a group for viewing, so the user must bind this group to the
// ClusterRole view (EKS user guide, "Grant IAM users access to Kubernetes with a ConfigMap").
const viewersGroup = "viewers"

const (
	nodesUsername   = "system:node:{{EC2PrivateDNSName}}"
	fargateUsername = "system:node:{{SessionName}}"
)

// presets are the values of --preset.
//   - admin: EKS user guide, "Grant IAM users access to Kubernetes with a ConfigMap"
//   - node: the same page, the section about nodes
//   - fargate: EKS user guide, "Amazon EKS Pod execution IAM role", with the group system:node-proxier that eksctl create fargateprofile
//     writes
//   - windows: EKS user guide, "Deploy Windows nodes on EKS clusters"
//   - view: see viewersGroup
var presets = map[string]preset{
	"admin":   {groups: []string{access.Masters}, policy: access.ClusterAdminPolicy},
	"node":    {username: nodesUsername, groups: []string{access.BootstrappersGroup, access.NodesGroup}, nodeType: "EC2_LINUX"},
	"windows": {username: nodesUsername, groups: []string{access.BootstrappersGroup, access.NodesGroup, access.WindowsProxyGroup}, nodeType: "EC2_WINDOWS"},
	"fargate": {username: fargateUsername, groups: []string{access.BootstrappersGroup, access.NodesGroup, access.FargateProxyGroup}, nodeType: "FARGATE_LINUX"},
	"view": {
		groups: []string{viewersGroup}, policy: "AmazonEKSViewPolicy",
		note: "aws-auth has no group for viewing; if the cluster doesn't bind the group " + viewersGroup + " yet, run: kubectl create clusterrolebinding " + viewersGroup + " --clusterrole=view --group=" + viewersGroup,
	},
}

func presetNames() []string { return slices.Sorted(maps.Keys(presets)) }
