package entryplan

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// The types of resources in a template. customCluster is the type of a Cluster of aws-cdk-lib/aws-eks. A Lambda function creates this
// cluster.
const (
	templateEntry     = "AWS::EKS::AccessEntry"
	templateCluster   = "AWS::EKS::Cluster"
	templateNodeGroup = "AWS::EKS::Nodegroup"
	templateFargate   = "AWS::EKS::FargateProfile"
	customCluster     = "Custom::AWSCDK-EKS-Cluster"
)

// readTemplate adds the EKS resources of a CloudFormation template to the plan.
func (p *Plan) readTemplate(s *awsauth.Source) {
	resources, _ := s.At(awsauth.Path{"Resources"}).(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(resources)) {
		t := template{s, awsauth.Path{"Resources", name}}
		kind, _ := s.At(t.path.To("Type")).(string)
		properties := t.to("Properties")
		switch kind {
		case templateEntry:
			p.templateEntry(t, properties)
		case templateCluster:
			p.templateCluster(t, properties.to("Name"), properties.to("AccessConfig"), "AuthenticationMode", "BootstrapClusterCreatorAdminPermissions")
		case customCluster:
			p.templateCluster(t, properties.to("Config", "name"), properties.to("Config", "accessConfig"), "authenticationMode", "bootstrapClusterCreatorAdminPermissions")
		case templateNodeGroup:
			p.NodeRoles = append(p.NodeRoles, properties.to("NodeRole").text())
		case templateFargate:
			p.NodeRoles = append(p.NodeRoles, properties.to("PodExecutionRoleArn").text())
		}
	}
}

func (p *Plan) templateEntry(t, properties template) {
	e := &Entry{
		Cluster: properties.to("ClusterName").text(), Principal: properties.to("PrincipalArn").text(),
		Type: properties.to("Type").text(), Username: properties.to("Username").text(),
	}
	places := map[string]awsauth.Position{
		"": t.place(), fieldPrincipal: properties.to("PrincipalArn").place(), fieldType: properties.to("Type").place(), fieldUsername: properties.to("Username").place(),
	}
	var groups []template
	groups, e.GroupsUnknown = properties.to("KubernetesGroups").items()
	for n, group := range groups {
		e.Groups = append(e.Groups, group.text())
		places[groupField(n)] = group.place()
	}
	p.Entries = append(p.Entries, Resource[Entry]{After: e, Places: places})
	policies, unknown := properties.to("AccessPolicies").items()
	for _, policy := range policies {
		p.Associations = append(p.Associations, Resource[Association]{
			After: &Association{
				Cluster: e.Cluster, Principal: e.Principal, EntryType: e.Type,
				Policy: policy.to("PolicyArn").text(), Scope: policy.to("AccessScope", "Type").text(),
			},
			Places: map[string]awsauth.Position{"": t.place(), fieldPrincipal: places[fieldPrincipal], fieldPolicy: policy.to("PolicyArn").place()},
		})
	}
	if unknown {
		something := Text{Unknown: true}
		p.Associations = append(p.Associations, Resource[Association]{
			After:  &Association{Cluster: e.Cluster, Principal: e.Principal, EntryType: e.Type, Policy: something, Scope: something},
			Places: map[string]awsauth.Position{"": t.place()},
		})
	}
}

func (p *Plan) templateCluster(t, name, config template, mode, bootstrap string) {
	p.Clusters = append(p.Clusters, Resource[Cluster]{
		After: &Cluster{Name: name.unset(), Mode: config.to(mode).text(), Bootstrap: config.to(bootstrap).text()},
		Places: map[string]awsauth.Position{
			"": t.place(), fieldMode: config.to(mode).place(), fieldBootstrap: config.to(bootstrap).place(),
		},
	})
}

// template is a value in a CloudFormation template.
type template struct {
	source *awsauth.Source // the template
	path   awsauth.Path    // the path of the value
}

func (t template) to(steps ...any) template { return template{t.source, t.path.To(steps...)} }

func (t template) place() awsauth.Position {
	p := awsauth.Position{Path: t.path.String()}
	p.Line, p.Column = t.source.Position(t.path)
	return p
}

// isComputed reports whether a CloudFormation function computes the value. The value is then unknown. The function may compute the value
// alone, or a mapping or list of the resource's Properties that holds the value. A function is a mapping such as {Ref: …} or, in YAML, a
// value with a tag such as !Ref.
func (t template) isComputed() bool {
	for n := 3; n <= len(t.path); n++ {
		path := t.path[:n]
		if tag := t.source.Tag(path); strings.HasPrefix(tag, "!") && !strings.HasPrefix(tag, "!!") {
			return true
		}
		object, _ := t.source.At(path).(map[string]any)
		for key := range object {
			if len(object) == 1 && (key == "Ref" || strings.HasPrefix(key, "Fn::")) {
				return true
			}
		}
	}
	return false
}

// text returns the value as text. The text is unknown if the value is computed, or if it is a mapping, a list, a number, or a text with
// ${ or with a dynamic reference such as {{resolve:ssm:NAME}}.
func (t template) text() Text {
	if t.isComputed() {
		return Text{Unknown: true}
	}
	switch value := t.source.At(t.path).(type) {
	case nil:
		return Text{}
	case bool:
		return Text{Value: strconv.FormatBool(value)}
	case string:
		if strings.Contains(value, "{{resolve:") || strings.Contains(value, "${") {
			return Text{Unknown: true}
		}
		return Text{Value: value}
	}
	return Text{Unknown: true}
}

// unset is like text, but an empty or missing value is unknown, too. It is for a property for which CloudFormation can choose the value,
// such as the name of a cluster.
func (t template) unset() Text {
	if text := t.text(); text.Value != "" {
		return text
	}
	return Text{Unknown: true}
}

// items returns the elements of a list. more reports whether the elements are uncertain, because a function computes
// the list, or because Fn::If computes an element.
func (t template) items() (list []template, more bool) {
	if t.isComputed() {
		return nil, true
	}
	values, _ := t.source.At(t.path).([]any)
	for i := range values {
		item := t.to(i)
		object, _ := values[i].(map[string]any)
		if _, noValue := object["Fn::If"]; noValue {
			more = true // the element may be AWS::NoValue
		}
		list = append(list, item)
	}
	return list, more
}
