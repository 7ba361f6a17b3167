package rbac

import (
	"fmt"
	"strings"
)

// builtin maps API groups to the resources that the API server itself serves in Kubernetes 1.30 to 1.37. It lacks some
// resources that are off by default. The resource events is only that of the core group. The resources users and groups
// exist only for impersonation.
var builtin = map[string]string{
	"":                             "bindings componentstatuses configmaps endpoints events limitranges namespaces nodes persistentvolumeclaims persistentvolumes pods podtemplates replicationcontrollers resourcequotas secrets serviceaccounts services users groups",
	"admissionregistration.k8s.io": "mutatingadmissionpolicies mutatingadmissionpolicybindings mutatingwebhookconfigurations validatingadmissionpolicies validatingadmissionpolicybindings validatingwebhookconfigurations",
	"apiextensions.k8s.io":         "customresourcedefinitions",
	"apiregistration.k8s.io":       "apiservices",
	"apps":                         "controllerrevisions daemonsets deployments replicasets statefulsets",
	"authentication.k8s.io":        "selfsubjectreviews tokenreviews",
	"authorization.k8s.io":         "localsubjectaccessreviews selfsubjectaccessreviews selfsubjectrulesreviews subjectaccessreviews",
	"autoscaling":                  "horizontalpodautoscalers",
	"batch":                        "cronjobs jobs",
	"certificates.k8s.io":          "certificatesigningrequests clustertrustbundles podcertificaterequests",
	"coordination.k8s.io":          "leases",
	"discovery.k8s.io":             "endpointslices",
	"flowcontrol.apiserver.k8s.io": "flowschemas prioritylevelconfigurations",
	"networking.k8s.io":            "ingressclasses ingresses ipaddresses networkpolicies servicecidrs",
	"node.k8s.io":                  "runtimeclasses",
	"policy":                       "poddisruptionbudgets",
	"rbac.authorization.k8s.io":    "clusterrolebindings clusterroles rolebindings roles",
	"resource.k8s.io":              "deviceclasses resourceclaims resourceclaimtemplates resourceslices",
	"scheduling.k8s.io":            "priorityclasses",
	"storage.k8s.io":               "csidrivers csinodes csistoragecapacities storageclasses volumeattachments volumeattributesclasses",
}

// shortNames maps the short names that kubectl accepts for common resources to the full names of these resources.
var shortNames = map[string]string{
	"cj": "cronjobs", "cm": "configmaps", "crd": "customresourcedefinitions", "deploy": "deployments", "ds": "daemonsets", "ep": "endpoints",
	"hpa": "horizontalpodautoscalers", "ing": "ingresses", "netpol": "networkpolicies", "no": "nodes", "ns": "namespaces",
	"pdb": "poddisruptionbudgets", "po": "pods", "pv": "persistentvolumes", "pvc": "persistentvolumeclaims", "rs": "replicasets",
	"sa": "serviceaccounts", "sc": "storageclasses", "sts": "statefulsets", "svc": "services",
}

// ParseRequest parses a request in the form of kubectl auth can-i: VERB RESOURCE or VERB RESOURCE/NAME. A resource that
// ParseRequest doesn't know, such as a custom resource, needs its API group, as in certificates.cert-manager.io. The
// resource * stands for all resources of all groups.
func ParseRequest(text string) (Request, error) {
	words := strings.Fields(text)
	if len(words) != 2 {
		return Request{}, fmt.Errorf("%q is not a verb and a resource, such as 'get pods'", text)
	}
	r := Request{Verb: words[0]}
	resource, name, named := strings.Cut(words[1], "/")
	switch {
	case strings.HasPrefix(words[1], "/"):
		return Request{}, fmt.Errorf("%q is a URL, and only requests for resources are supported", words[1])
	case named && name == "", strings.Contains(name, "/"):
		return Request{}, fmt.Errorf("%q is not RESOURCE/NAME", words[1])
	}
	r.Name = name
	if resource == "*" {
		r.Resource, r.Group = "*", "*"
		return r, nil
	}
	var ok bool
	if r.Resource, r.Group, ok = strings.Cut(strings.ToLower(resource), "."); ok {
		return r, nil
	}
	if r.Resource, r.Group, ok = find(r.Resource); !ok {
		return Request{}, fmt.Errorf("the API group of the resource %q is not known; write it as RESOURCE.GROUP, such as certificates.cert-manager.io", resource)
	}
	return r, nil
}

// find returns the full name and the API group of a built-in resource. name is the plural, the singular or the short
// name. find returns false if it doesn't know the resource.
func find(name string) (resource, group string, ok bool) {
	if long, ok := shortNames[name]; ok {
		name = long
	}
	for _, plural := range []string{name, name + "s", name + "es", strings.TrimSuffix(name, "y") + "ies"} {
		for group, list := range builtin {
			for resource := range strings.FieldsSeq(list) {
				if resource == plural {
					return resource, group, true
				}
			}
		}
	}
	return "", "", false
}
