package awsauth_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// plan returns a plan with these resources in a child module, and these changes.
func plan(resources, changes string) string {
	return `{"format_version":"1.2","terraform_version":"1.9.5","planned_values":{"root_module":{"child_modules":[{"address":"module.eks","resources":[` +
		resources + `]}]}},"resource_changes":[` + changes + `]}`
}

func TestParseTerraform(t *testing.T) {
	const (
		metadata  = `"metadata":[{"name":"aws-auth","namespace":"kube-system","annotations":{"a":"b"},"labels":null,"generate_name":""}]`
		configMap = `{"address":"module.eks.kubernetes_config_map.a","mode":"managed","type":"kubernetes_config_map","values":{` + metadata + `,"binary_data":{"b":"eA=="},"immutable":true,"data":{"mapRoles":"- rolearn: x\n"}}}`
	)
	type resource struct {
		Address            string
		Before, After      map[string]string
		Binary, Annotation string
		Immutable          bool
		Replaced           bool
	}
	for name, test := range map[string]struct {
		text string
		want []resource
		errs []string
	}{
		"a ConfigMap": {
			text: plan(configMap, ""),
			want: []resource{{
				Address: "module.eks.kubernetes_config_map.a", After: map[string]string{"mapRoles": "- rolearn: x\n"},
				Binary: "b", Annotation: "b", Immutable: true,
			}},
		},
		"a state": {
			text: `{"format_version":"1.0","terraform_version":"1.9.5","values":{"root_module":{"resources":[` +
				`{"address":"kubernetes_config_map_v1_data.a","mode":"managed","type":"kubernetes_config_map_v1_data","values":{` + metadata + `,"data":{"mapUsers":""},"force":true}},` +
				`{"address":"data.kubernetes_config_map.a","mode":"data","type":"kubernetes_config_map","values":{` + metadata + `,"data":{"mapRoles":"x"}}}` +
				`]}}}`,
			want: []resource{{Address: "kubernetes_config_map_v1_data.a", After: map[string]string{"mapUsers": ""}}},
		},
		"an empty state": {text: `{"format_version":"1.0"}`},
		"manifests": {
			text: plan(`{"address":"kubernetes_manifest.a[0]","mode":"managed","type":"kubernetes_manifest","values":{"manifest":{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"aws-auth"},"data":{"mapRoles":"m"}},"object":null}},`+
				`{"address":"kubectl_manifest.a","mode":"managed","type":"kubectl_manifest","values":{"yaml_body":"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: aws-auth}\ndata:\n  mapRoles: |\n    k\n"}}`, ""),
			want: []resource{
				{Address: "kubernetes_manifest.a[0]", After: map[string]string{"mapRoles": "m"}},
				{Address: "kubectl_manifest.a", After: map[string]string{"mapRoles": "k\n"}},
			},
		},
		"removed": {
			text: plan("", `{"address":"kubernetes_config_map.a","mode":"managed","type":"kubernetes_config_map","change":{"actions":["delete"],"before":{`+metadata+`,"data":{"mapRoles":"r"}},"after":null}},`+
				`{"address":"kubernetes_config_map_v1_data.a","mode":"managed","type":"kubernetes_config_map_v1_data","change":{"actions":["delete"],"before":{`+metadata+`,"data":{"mapRoles":"r"}}}},`+
				`{"address":"kubernetes_config_map.forgotten","mode":"managed","type":"kubernetes_config_map","change":{"actions":["forget"],"before":{`+metadata+`,"data":{"mapRoles":"r"}}}}`),
			want: []resource{
				{Address: "kubernetes_config_map.a", Before: map[string]string{"mapRoles": "r"}},
				{Address: "kubernetes_config_map_v1_data.a", Before: map[string]string{"mapRoles": "r"}, After: map[string]string{}},
			},
		},
		"unknown": {
			text: plan(configMap+`,{"address":"kubectl_manifest.a","mode":"managed","type":"kubectl_manifest","values":{"name":"aws-auth"}},`+
				`{"address":"kubectl_manifest.other","mode":"managed","type":"kubectl_manifest","values":{"name":"other"}},`+
				`{"address":"kubernetes_manifest.a","mode":"managed","type":"kubernetes_manifest","values":{"manifest":{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"aws-auth"}}}}`,
				`{"address":"module.eks.kubernetes_config_map.a","change":{"actions":["create"],"after_unknown":{"id":true,"data":{"mapRoles":true,"mapUsers":false},"metadata":[{"uid":true}]}}},`+
					`{"address":"kubectl_manifest.a","change":{"actions":["create"],"after_unknown":{"yaml_body":true}}},`+
					`{"address":"kubernetes_manifest.a","change":{"actions":["create"],"after_unknown":{"manifest":{"data":true}}}}`),
			errs: []string{
				"module.eks.kubernetes_config_map.a: data.mapRoles is known after apply only; lint it then, with terraform show -json | kubectl awsauth lint -",
				"kubectl_manifest.a: yaml_body is known after apply only; lint it then, with terraform show -json | kubectl awsauth lint -",
				"kubernetes_manifest.a: data is known after apply only; lint it then, with terraform show -json | kubectl awsauth lint -",
			},
		},
		"refused by kubectl": {
			text: plan(`{"address":"kubernetes_manifest.a","mode":"managed","type":"kubernetes_manifest","values":{"manifest":{"kind":"ConfigMap","metadata":{"name":"aws-auth"}}}},`+
				`{"address":"kubectl_manifest.a","mode":"managed","type":"kubectl_manifest","values":{"yaml_body":"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: aws-auth}\ndata: {mapRoles: a, mapRoles: b}\n"}},`+
				`{"address":"kubectl_manifest.b","mode":"managed","type":"kubectl_manifest","values":{"yaml_body":"\tname: aws-auth"}}`, ""),
			want: []resource{{Address: "kubectl_manifest.a", After: map[string]string{"mapRoles": "b"}}},
			errs: []string{
				"kubernetes_manifest.a: kubectl does not apply this aws-auth: its apiVersion is not v1; write apiVersion: v1",
				`kubectl_manifest.a: yaml_body:4:21: the manifest has the key "data.mapRoles" twice; keep one of them`,
				"kubectl_manifest.b: yaml_body:1:1: the document does not parse as YAML: a tab indents this line, and YAML allows spaces only; replace the tab with spaces",
			},
		},
		"changed": {
			text: plan(configMap, `{"address":"module.eks.kubernetes_config_map.a","mode":"managed","type":"kubernetes_config_map","change":{"actions":["update"],"before":{`+metadata+`,"data":{"mapRoles":"old"}}}},`+
				`{"address":"module.eks.kubernetes_config_map.a","deposed":"0123abcd","mode":"managed","type":"kubernetes_config_map","change":{"actions":["no-op"],"before":{`+metadata+`,"data":{"mapRoles":"deposed"}}}}`),
			want: []resource{{
				Address: "module.eks.kubernetes_config_map.a", Before: map[string]string{"mapRoles": "old"}, After: map[string]string{"mapRoles": "- rolearn: x\n"},
				Binary: "b", Annotation: "b", Immutable: true,
			}},
		},
		"a byte order mark": {
			text: "\ufeff" + plan(configMap, ""),
			want: []resource{{Address: "module.eks.kubernetes_config_map.a", After: map[string]string{"mapRoles": "- rolearn: x\n"}, Binary: "b", Annotation: "b", Immutable: true}},
		},
		"unchanged": {
			text: plan(configMap, `{"address":"module.eks.kubernetes_config_map.a","mode":"managed","type":"kubernetes_config_map","change":{"actions":["no-op"],"before":{`+metadata+`,"data":{"mapRoles":"old"}}}}`),
			want: []resource{{
				Address: "module.eks.kubernetes_config_map.a", After: map[string]string{"mapRoles": "- rolearn: x\n"}, Binary: "b", Annotation: "b", Immutable: true,
			}},
		},
		"replaced": {
			text: plan(configMap+`,{"address":"kubernetes_config_map_v1_data.a","mode":"managed","type":"kubernetes_config_map_v1_data","values":{`+metadata+`,"data":{"mapUsers":"new"}}},`+
				`{"address":"kubernetes_config_map.renamed","mode":"managed","type":"kubernetes_config_map","values":{"metadata":[{"name":"other","namespace":"kube-system"}]}},`+
				`{"address":"kubernetes_config_map.named","mode":"managed","type":"kubernetes_config_map","values":{`+metadata+`,"data":{"mapUsers":"named"}}}`,
				`{"address":"module.eks.kubernetes_config_map.a","mode":"managed","type":"kubernetes_config_map","change":{"actions":["delete","create"],"before":{`+metadata+`,"data":{"mapRoles":"old"}}}},`+
					`{"address":"kubernetes_config_map_v1_data.a","mode":"managed","type":"kubernetes_config_map_v1_data","change":{"actions":["create","delete"],"before":{`+metadata+`,"data":{"mapUsers":"old"}}}},`+
					`{"address":"kubernetes_config_map.renamed","mode":"managed","type":"kubernetes_config_map","change":{"actions":["delete","create"],"before":{`+metadata+`,"data":{"mapRoles":"gone"}}}},`+
					`{"address":"kubernetes_config_map.named","mode":"managed","type":"kubernetes_config_map","change":{"actions":["delete","create"],"before":{"metadata":[{"name":"other"}],"data":{"mapRoles":"other"}}}}`),
			want: []resource{
				{
					Address: "module.eks.kubernetes_config_map.a", Before: map[string]string{"mapRoles": "old"}, After: map[string]string{"mapRoles": "- rolearn: x\n"},
					Binary: "b", Annotation: "b", Immutable: true, Replaced: true,
				},
				{Address: "kubernetes_config_map_v1_data.a", Before: map[string]string{"mapUsers": "old"}, After: map[string]string{"mapUsers": "new"}, Replaced: true},
				{Address: "kubernetes_config_map.renamed", Before: map[string]string{"mapRoles": "gone"}},
				{Address: "kubernetes_config_map.named", After: map[string]string{"mapUsers": "named"}},
			},
		},
		"a plan that failed": {
			text: `{"format_version":"1.2","planned_values":{"root_module":{}},"errored":true}`,
			errs: []string{"the plan is not complete, because planning has failed (errored: true); repair that and plan again"},
		},
		"other resources": {
			text: plan(`{"address":"kubernetes_config_map.b","mode":"managed","type":"kubernetes_config_map","values":{"metadata":[{"name":"other","namespace":"kube-system"}],"data":{}}},`+
				`{"address":"kubernetes_config_map.c","mode":"managed","type":"kubernetes_config_map","values":{"metadata":[{"name":"aws-auth","namespace":"default"}],"data":{}}},`+
				`{"address":"aws_s3_bucket.b","mode":"managed","type":"aws_s3_bucket","values":{"metadata":1,"data":[1]}},`+
				`{"address":"kubernetes_config_map.d","mode":"managed","type":"kubernetes_config_map","values":{}}`, ""),
		},
		"not JSON": {
			text: `{"format_version":"1.0",`,
			errs: []string{"the output of terraform show -json does not parse: unexpected end of JSON input"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			resources, errs := awsauth.ParseTerraform([]byte(test.text))
			var got []resource
			for _, r := range resources {
				g := resource{Address: r.Address, Replaced: r.Replaced}
				if r.Before != nil {
					g.Before = r.Before.Data
				}
				if r.After != nil {
					g.After, g.Immutable, g.Annotation = r.After.Data, r.After.Immutable, r.After.Annotations["a"]
					if g.Binary == "" && len(r.After.BinaryData) == 0 {
						g.Annotation = ""
					}
					if len(r.After.BinaryData) > 0 {
						g.Binary = r.After.BinaryData[0]
					}
				}
				got = append(got, g)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("resources (-want +got):\n%s", diff)
			}
			var texts []string
			for _, err := range errs {
				texts = append(texts, err.Error())
				if _, ok := errors.AsType[*awsauth.ResourceError](err); !ok && name != "not JSON" && name != "a plan that failed" {
					t.Errorf("%v has no address", err)
				}
			}
			if diff := cmp.Diff(test.errs, texts); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
}

// TestNotShown checks that a state file and a log of Terraform get an error that names them. Other texts get no error.
func TestNotShown(t *testing.T) {
	for text, want := range map[string]string{
		`{"version":4,"terraform_version":"1.9.5","serial":3,"lineage":"x","resources":[]}`: "it is Terraform's state file; lint the output of terraform show -json",
		"\n{\"@level\":\"info\",\"@message\":\"Terraform 1.9.5\"}\n{\"@level\":\"info\"}\n": "it is a log of Terraform; write the plan to a file with -out, and lint the output of terraform show -json for it",
		plan("", ""): "",
		`{"apiVersion":"v1","kind":"ConfigMap","data":{"x":"\"@level\" \"lineage\""}}`: "",
		`{"version":4}`:         "",
		`{"@level":"info"`:      "",
		"version: 4\n@level: x": "",
		"":                      "",
	} {
		got := ""
		if err := awsauth.NotShown([]byte(text)); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

func TestIsTerraform(t *testing.T) {
	for text, want := range map[string]bool{
		plan("", ""):            true,
		"\ufeff" + plan("", ""): true,
		"\n" + `{"format_version":"1.0","terraform_version":"1.9.5"}`:          true,
		`{"apiVersion":"v1","kind":"ConfigMap"}`:                               false,
		`{"apiVersion":"v1","kind":"ConfigMap","data":{"format_version":"x"}}`: false,
		"format_version: 1\nterraform_version: 2\n":                            false,
		"": false,
	} {
		if got := awsauth.IsTerraform([]byte(text)); got != want {
			t.Errorf("IsTerraform is %t for %s", got, text)
		}
	}
}
