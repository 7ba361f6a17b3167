package migrate_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/awsauth-guard/awsauth-guard/internal/migrate"
)

// terraformSchema has the arguments of the resources in the provider hashicorp/aws (provider documentation,
// aws_eks_access_entry and aws_eks_access_policy_association), and the arguments of an import block.
var terraformSchema = map[string]struct{ required, optional []string }{
	"aws_eks_access_entry":              {[]string{"cluster_name", "principal_arn"}, []string{"kubernetes_groups", "type", "user_name", "tags"}},
	"aws_eks_access_policy_association": {[]string{"cluster_name", "principal_arn", "policy_arn", "access_scope"}, nil},
	"access_scope":                      {[]string{"type"}, []string{"namespaces"}},
	"import":                            {[]string{"to", "id"}, nil},
}

var (
	terraformBlock    = regexp.MustCompile(`^ *(?:resource "(\w+)" "\w+"|(\w+)) \{$`)
	terraformArgument = regexp.MustCompile(`^ *(\w+) += `)
)

// Each block of the Terraform form has the required arguments and no unknown argument. The test doesn't use the provider,
// because a download of the provider needs the network.
func TestTerraformHasTheArgumentsOfTheProvider(t *testing.T) {
	t.Parallel()
	text, err := formPlan().Write(migrate.FormTerraform, migrate.Destination{Cluster: "prod"})
	if err != nil {
		t.Fatal(err)
	}
	type block struct {
		kind string
		has  []string
	}
	var open []block
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		switch start, argument := terraformBlock.FindStringSubmatch(line), terraformArgument.FindStringSubmatch(line); {
		case start != nil:
			kind := start[1] + start[2]
			if len(open) > 0 {
				open[len(open)-1].has = append(open[len(open)-1].has, kind)
			}
			open = append(open, block{kind: kind})
		case argument != nil:
			open[len(open)-1].has = append(open[len(open)-1].has, argument[1])
		case strings.TrimSpace(line) == "}":
			b := open[len(open)-1]
			open = open[:len(open)-1]
			schema, known := terraformSchema[b.kind]
			if !known {
				t.Errorf("unknown block %s", b.kind)
			}
			for _, name := range schema.required {
				if !slices.Contains(b.has, name) {
					t.Errorf("a block %s has no %s", b.kind, name)
				}
			}
			for _, name := range b.has {
				if !slices.Contains(schema.required, name) && !slices.Contains(schema.optional, name) {
					t.Errorf("a block %s has the unknown argument %s", b.kind, name)
				}
			}
		case line != "" && !strings.HasPrefix(line, "#"):
			t.Errorf("the line %q is not part of a block", line)
		}
	}
}

// The template has only properties of the resource type (CloudFormation template reference, AWS::EKS::AccessEntry). Each
// resource has a valid logical id and the required properties.
func TestCloudFormationHasThePropertiesOfTheResource(t *testing.T) {
	t.Parallel()
	text, err := formPlan().Write(migrate.FormCloudFormation, migrate.Destination{Cluster: "prod"})
	if err != nil {
		t.Fatal(err)
	}
	var template struct {
		Resources map[string]struct {
			Type       string
			Properties struct {
				ClusterName, PrincipalArn any
				Type, Username            string
				KubernetesGroups          []string
				AccessPolicies            []struct {
					PolicyArn   string
					AccessScope struct {
						Type       string
						Namespaces []string
					}
				}
			}
		}
		AWSTemplateFormatVersion string
		Parameters               map[string]map[string]string
	}
	if err := yaml.UnmarshalStrict(text, &template); err != nil {
		t.Fatal(err)
	}
	for id, r := range template.Resources {
		if !regexp.MustCompile(`^[A-Za-z0-9]{1,255}$`).MatchString(id) || r.Type != "AWS::EKS::AccessEntry" || r.Properties.ClusterName == nil || r.Properties.PrincipalArn == nil {
			t.Errorf("%s: %+v", id, r)
		}
	}
}
