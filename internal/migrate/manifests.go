package migrate

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"
)

// yamlDocument returns the header comment, followed by a value as YAML with sorted keys.
func (w *writer) yamlDocument(v any) ([]byte, error) {
	text, err := yaml.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("writing YAML: %w", err)
	}
	return append([]byte(w.header()), text...), nil
}

// cfnPolicy and cfnProperties are properties of AWS::EKS::AccessEntry (CloudFormation template reference).
type cfnPolicy struct {
	PolicyArn   string   `json:"PolicyArn"`
	AccessScope cfnScope `json:"AccessScope"`
}

type cfnScope struct {
	Type       string   `json:"Type"`
	Namespaces []string `json:"Namespaces,omitempty"`
}

type cfnProperties struct {
	ClusterName      map[string]string `json:"ClusterName"`
	PrincipalArn     string            `json:"PrincipalArn"`
	Type             string            `json:"Type"`
	Username         string            `json:"Username,omitempty"`
	KubernetesGroups []string          `json:"KubernetesGroups,omitempty"`
	AccessPolicies   []cfnPolicy       `json:"AccessPolicies,omitempty"`
}

// cloudFormation returns a CloudFormation template in YAML.
func (w *writer) cloudFormation() ([]byte, error) {
	type resource struct {
		Type       string        `json:"Type"`
		Properties cfnProperties `json:"Properties"`
	}
	parameter := map[string]string{"Type": "String", "Description": "The name of the EKS cluster"}
	if w.Cluster != "" {
		parameter["Default"] = w.Cluster
	}
	ids := &names{taken: make(map[string]bool), clean: func(name string) string { return "AccessEntry" + replaceOthers(name, "") }}
	resources := make(map[string]resource, len(w.moves))
	for _, m := range w.moves {
		username, groups := m.fields()
		properties := cfnProperties{
			ClusterName: map[string]string{"Ref": "ClusterName"}, PrincipalArn: m.PrincipalARN, Type: m.Type, Username: username, KubernetesGroups: groups,
		}
		for _, p := range m.Policies {
			properties.AccessPolicies = append(properties.AccessPolicies, cfnPolicy{p.ARN, cfnScope(p.Scope)})
		}
		resources[ids.of(m.PrincipalARN)] = resource{"AWS::EKS::AccessEntry", properties}
	}
	return w.yamlDocument(map[string]any{
		"AWSTemplateFormatVersion": "2010-09-09", "Parameters": map[string]any{"ClusterName": parameter}, "Resources": resources,
	})
}

// manifestEntry has the fields of an access entry in a ClusterConfig of eksctl (eksctl schema, AccessEntry).
type manifestEntry struct {
	PrincipalARN       string           `json:"principalARN"`
	Type               string           `json:"type"`
	KubernetesUsername string           `json:"kubernetesUsername,omitempty"`
	KubernetesGroups   []string         `json:"kubernetesGroups,omitempty"`
	AccessPolicies     []manifestPolicy `json:"accessPolicies,omitempty"`
}

type manifestPolicy struct {
	PolicyARN   string `json:"policyARN"`
	AccessScope Scope  `json:"accessScope"`
}

func manifestPolicies(policies []Policy) (list []manifestPolicy) {
	for _, p := range policies {
		list = append(list, manifestPolicy{p.ARN, p.Scope})
	}
	return list
}

// placeholder is the text for the name of the cluster if the name is not known.
const placeholder = "CLUSTER"

// eksctl returns a ClusterConfig for eksctl.
func (w *writer) eksctl() ([]byte, error) {
	entries := []manifestEntry{}
	for _, m := range w.moves {
		username, groups := m.fields()
		entries = append(entries, manifestEntry{m.PrincipalARN, m.Type, username, groups, manifestPolicies(m.Policies)})
	}
	metadata := map[string]string{"name": cmp.Or(w.Cluster, placeholder)}
	if w.Region != "" {
		metadata["region"] = w.Region
	}
	return w.yamlDocument(map[string]any{
		"apiVersion": "eksctl.io/v1alpha5", "kind": "ClusterConfig", "metadata": metadata, "accessConfig": map[string]any{"accessEntries": entries},
	})
}

// ack returns a manifest of AWS Controllers for Kubernetes for each access entry (AWS Controllers for Kubernetes
// reference, AccessEntry).
func (w *writer) ack() ([]byte, error) {
	type spec struct {
		ClusterName      string           `json:"clusterName"`
		PrincipalARN     string           `json:"principalARN"`
		Type             string           `json:"type"`
		Username         string           `json:"username,omitempty"`
		KubernetesGroups []string         `json:"kubernetesGroups,omitempty"`
		AccessPolicies   []manifestPolicy `json:"accessPolicies,omitempty"`
	}
	objects := &names{taken: make(map[string]bool), joint: "-", clean: func(name string) string {
		return cmp.Or(strings.Trim(strings.ToLower(replaceOthers(name, "-")), "-"), "principal")
	}}
	var b bytes.Buffer
	b.WriteString(w.header())
	for i, m := range w.moves {
		username, groups := m.fields()
		text, err := yaml.Marshal(map[string]any{
			"apiVersion": "eks.services.k8s.aws/v1alpha1", "kind": "AccessEntry", "metadata": map[string]string{"name": objects.of(m.PrincipalARN)},
			"spec": spec{cmp.Or(w.Cluster, placeholder), m.PrincipalARN, m.Type, username, groups, manifestPolicies(m.Policies)},
		})
		if err != nil {
			return nil, fmt.Errorf("writing YAML: %w", err)
		}
		if i > 0 {
			b.WriteString("---\n")
		}
		b.Write(text)
	}
	return b.Bytes(), nil
}
