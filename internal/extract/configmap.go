package extract

import (
	"regexp"
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// isAWSAuth reports whether an object is the ConfigMap kube-system/aws-auth. The kind may be missing or misspelt, and
// the namespace may be missing.
func isAWSAuth(object map[string]any) bool {
	namespace := text(object, "metadata", "namespace")
	kind := text(object, "kind")
	return text(object, "metadata", "name") == awsauth.Name && (namespace == "" || namespace == awsauth.Namespace) &&
		(isConfigMap(kind) || kind == "" && (object["data"] != nil || object["apiVersion"] == "v1"))
}

// isConfigMap reports whether a kind is ConfigMap, or a misspelling such as config-maps.
func isConfigMap(kind string) bool { return strings.TrimSuffix(plain(kind), "s") == "configmap" }

// plain returns a name in lower case without separators.
func plain(name string) string {
	return strings.NewReplacer("-", "", "_", "", ".", "", " ", "").Replace(strings.ToLower(name))
}

// hashed matches the name aws-auth with the suffix of 10 characters that Kustomize appends to the names of generated
// ConfigMaps (kustomize, api/hasher).
var hashed = regexp.MustCompile(`^aws-auth-[a-z0-9]{10}$`)

// hasSection reports whether an object is named aws-auth and has a section below data or stringData.
func hasSection(object map[string]any) bool {
	if text(object, "metadata", "name") != awsauth.Name {
		return false
	}
	for _, field := range []string{"data", "stringData"} {
		data, _ := object[field].(map[string]any)
		for _, section := range awsauth.Sections() {
			if _, ok := data[string(section)]; ok {
				return true
			}
		}
	}
	return false
}

// otherConfigMap reports whether an object looks like aws-auth although the authenticator of EKS doesn't read it. It
// adds such an object to Others. The reason is the object's kind, name, namespace or form.
func (w *walker) otherConfigMap(path awsauth.Path, object map[string]any) bool {
	kind := text(object, "kind")
	other := func(format string, args ...any) bool {
		w.Others = append(w.Others, w.source.Error(path.To("metadata", "name"), format, args...))
		return true
	}
	if !isConfigMap(kind) && kind != "Secret" {
		return kind != "" && hasSection(object) &&
			other("this object of the kind %s is named aws-auth, and the authenticator reads only a ConfigMap; write kind: ConfigMap", kind)
	}
	name, namespace := text(object, "metadata", "name"), text(object, "metadata", "namespace")
	data, _ := object["data"].(map[string]any)
	if kind == "Secret" {
		data, _ = object["stringData"].(map[string]any)
	}
	entries := slices.ContainsFunc(awsauth.Sections(), func(section awsauth.Section) bool { return isList(section, data[string(section)]) })
	switch {
	case kind == "Secret" && (entries || hasSection(object)):
		return other("this Secret holds entries, and the authenticator reads only the ConfigMap kube-system/aws-auth; write kind: ConfigMap, and data")
	case kind == "Secret":
		return false
	case name == "" && entries:
		return other("this ConfigMap has no name, and the authenticator reads only kube-system/aws-auth; write name: aws-auth")
	case name == awsauth.Name && awsauth.HasUnknownTemplate(namespace), name == awsauth.Name && strings.Contains(namespace, "${"):
		return other("the namespace of this aws-auth is the template %q; lint the rendered text", namespace)
	case name == awsauth.Name:
		return other("this aws-auth is in the namespace %s, and the authenticator reads only the one in kube-system; write namespace: kube-system", namespace)
	case hashed.MatchString(name):
		return other("this ConfigMap is named %s, because Kustomize appends a hash, and the authenticator reads only aws-auth; set generatorOptions.disableNameSuffixHash: true", name)
	case plain(name) == "awsauth", entries:
		return other("this ConfigMap is named %s, and the authenticator reads only kube-system/aws-auth; write name: aws-auth, or don't lint this file", name)
	case name == "aws-iam-authenticator":
		return other("this ConfigMap is the configuration file of a self-hosted aws-iam-authenticator, as of kOps, and EKS does not read it; write its lists below data of aws-auth, as the texts mapRoles and mapUsers")
	}
	return false
}
