package extract

import (
	"bytes"
	"slices"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// terraform returns the objects in the output of terraform show -json. If no resource writes an aws-auth, it searches
// two other places: the values of other resources, such as a helm_release, and the outputs, such as
// aws_auth_configmap_yaml of terraform-aws-eks.
func terraform(src []byte) Result {
	resources, errs := awsauth.ParseTerraform(src)
	r := Result{Errors: errs, Plan: bytes.Contains(src, []byte(`"resource_changes"`))}
	for _, t := range resources {
		r.Objects = append(r.Objects, Object{
			Object: t.After, Before: t.Before, Replaced: t.Replaced, AfterDelete: t.Left, Resource: t.Address, InText: true, Write: t.Write,
		})
	}
	if len(resources) > 0 || len(errs) > 0 {
		return r
	}
	sources, _ := awsauth.ReadSources(src)
	for _, s := range sources {
		for _, key := range []string{"planned_values", "values"} {
			w := newWalker(s)
			w.kind = "the output of Terraform"
			w.walk(awsauth.Path{key, "outputs"}, s.At(awsauth.Path{key, "outputs"}))
			w.module(awsauth.Path{key, "root_module"})
			r.add(w.Result)
		}
	}
	return r
}

// configMaps are the types of ConfigMap resources in Terraform. ParseTerraform has already searched them and found no
// kube-system/aws-auth, so any aws-auth among them is in another namespace.
var configMaps = []string{"kubernetes_config_map", "kubernetes_config_map_v1", "kubernetes_config_map_v1_data"}

// otherNamespace adds a ConfigMap resource to Others if its name is aws-auth. Its namespace is not kube-system: it may
// be missing in the configuration.
func (w *walker) otherNamespace(values awsauth.Path, address string) {
	metadata, _ := w.source.At(values.To("metadata", 0)).(map[string]any)
	if text(metadata, "name") == awsauth.Name {
		w.Others = append(w.Others, w.source.Error(values, "%s is in the namespace %q, and the authenticator reads only the aws-auth in kube-system; write namespace = %q in its metadata",
			address, text(metadata, "namespace"), awsauth.Namespace))
	}
}

// module searches the resources of a module and of its child modules.
func (w *walker) module(path awsauth.Path) {
	if len(path) > maxDepth {
		return
	}
	module, _ := w.source.At(path).(map[string]any)
	resources, _ := module["resources"].([]any)
	for i, item := range resources {
		resource, _ := item.(map[string]any)
		at := path.To("resources", i, "values")
		switch {
		case text(resource, "mode") != "managed":
		case slices.Contains(configMaps, text(resource, "type")):
			w.otherNamespace(at, text(resource, "address"))
		default:
			w.walk(at, resource["values"])
		}
	}
	children, _ := module["child_modules"].([]any)
	for i := range children {
		w.module(path.To("child_modules", i))
	}
}
