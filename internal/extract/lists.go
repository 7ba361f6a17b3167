package extract

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// sectionOf returns the section of aws-auth whose entries stand under a key in the input of another tool. parent is the
// key above. The keys for mapRoles are:
//
//   - mapRoles, in values of charts, AWSIamConfig, and AWSManagedControlPlane of Cluster API
//   - map_roles and aws_auth_roles, in terraform-aws-eks
//   - roles below awsAuth
func sectionOf(key, parent string) (awsauth.Section, bool) {
	name := plain(key)
	for _, s := range awsauth.Sections() {
		what := strings.TrimPrefix(plain(string(s)), "map")
		if strings.HasSuffix(name, "map"+what) || strings.HasSuffix(name, "awsauth"+what) || name == what && plain(parent) == "awsauth" {
			return s, true
		}
	}
	return "", false
}

// lists adds an aws-auth object if a mapping, such as values of a chart, has lists of entries. The object is made from
// these lists.
func (w *walker) lists(path awsauth.Path, object map[string]any) {
	parent := ""
	if len(path) > 0 {
		parent = fmt.Sprint(path[len(path)-1])
	}
	found := map[awsauth.Section]awsauth.Path{}
	var names []string
	for _, key := range slices.Sorted(maps.Keys(object)) {
		s, ok := sectionOf(key, parent)
		if !ok {
			continue
		}
		at := path.To(key)
		switch {
		case isTable(object[key]):
			w.unrendered(at, "%s of %s is a mapping of entries, from which another tool makes a list; lint the output of that tool", at, w.kind)
		case !isList(s, object[key]):
		case found[s] != nil:
			w.addLists(map[awsauth.Section]awsauth.Path{s: at}, []string{at.String()})
		default:
			found[s] = at
			names = append(names, at.String())
		}
	}
	if len(found) > 0 {
		w.addLists(found, names)
	}
}

func (w *walker) addLists(found map[awsauth.Section]awsauth.Path, names []string) {
	o := w.source.ObjectOf(found)
	line := 0
	for _, path := range found {
		if l, _ := w.source.Position(path); line == 0 || l < line {
			line = l
		}
	}
	lists := strings.Join(names, " and ")
	if w.kind != theFile {
		lists += " of " + w.kind
	}
	w.Objects = append(w.Objects, Object{Object: o, Line: line, Lists: lists, tool: w.tool})
}

// isList reports whether a value looks like a list of entries of a section, or like the text of such a list.
func isList(s awsauth.Section, value any) bool {
	switch value := value.(type) {
	case string:
		folded := strings.ToLower(value)
		return strings.Contains(folded, "rolearn") || strings.Contains(folded, "userarn")
	case []any:
		return slices.ContainsFunc(value, func(item any) bool {
			if s == awsauth.MapAccounts {
				account, ok := item.(string)
				return ok && awsauth.IsAccountID(account)
			}
			return isEntry(item)
		})
	}
	return false
}

// isTable reports whether a value is a mapping whose values are entries. Some charts and modules have such a mapping
// instead of a list.
func isTable(value any) bool {
	table, _ := value.(map[string]any)
	for _, item := range table {
		if isEntry(item) {
			return true
		}
	}
	return false
}

// isEntry reports whether a value looks like an entry: a mapping with an ARN, or a mapping with a username and groups.
func isEntry(value any) bool {
	entry, _ := value.(map[string]any)
	has := func(name string) bool {
		for key := range entry {
			if plain(key) == name {
				return true
			}
		}
		return false
	}
	return has("rolearn") || has("userarn") || has("username") && has("groups")
}

// eksctl reports whether an object is a configuration of eksctl with entries. It adds such an object to Unrendered,
// because eksctl adds these entries to the aws-auth in the cluster.
func (w *walker) eksctl(path awsauth.Path, object map[string]any) bool {
	mappings, ok := object["iamIdentityMappings"].([]any)
	if !ok || len(mappings) == 0 || !strings.HasPrefix(text(object, "apiVersion"), "eksctl.io/") {
		return false
	}
	w.unrendered(path.To("iamIdentityMappings"), "eksctl adds iamIdentityMappings of %s to the aws-auth that the cluster has, so the result is not known here; "+
		"lint the live object after eksctl has run: kubectl awsauth lint --context NAME", w.kind)
	return true
}

// parameterLists are the keys under which an Argo CD Application, or a helm_release of Terraform, lists the parameters of a chart.
var parameterLists = []any{"parameters", "fileParameters", "set", "set_list", "set_sensitive"}

// parameters reports whether a mapping is a parameter of a chart that sets a list of entries. It adds such a parameter
// to Unrendered.
func (w *walker) parameters(path awsauth.Path, object map[string]any) bool {
	name := text(object, "name")
	if len(path) < 2 || !slices.Contains(parameterLists, path[len(path)-2]) || !listName.MatchString(name) {
		return false
	}
	w.unrendered(path, "%s sets %s by a parameter of a chart, so the text is known only after Helm has rendered it; render the chart first: helm template CHART | kubectl awsauth lint -", w.kind, name)
	return true
}

// kustomizePatch reports whether a mapping is a patch of aws-auth within the object of another tool, such as a
// Kustomization of Flux. It adds such a patch to Unrendered.
func (w *walker) kustomizePatch(path awsauth.Path, object map[string]any) bool {
	patch, ok := object["patch"].(string)
	if !ok || text(object, "target", "name") != awsauth.Name && !namePattern.MatchString(patch) {
		return false
	}
	w.unrendered(path.To("patch"), "%s holds a patch of aws-auth, and the result depends on the patched text; build it first: kubectl kustomize FOLDER | kubectl awsauth lint -", w.kind)
	return true
}

// kustomization reports whether an object is a Kustomization. It adds such an object to Unrendered, because lint builds
// a Kustomization only if the user names its folder.
func (w *walker) kustomization(path awsauth.Path, object map[string]any) bool {
	kind := text(object, "kind")
	if (kind != "Kustomization" || !strings.HasPrefix(text(object, "apiVersion"), "kustomize.config.k8s.io/")) && (kind != "" || object["configMapGenerator"] == nil) {
		return false
	}
	w.unrendered(path, "a Kustomization makes manifests of the files beside it; name its folder: kubectl awsauth lint FOLDER")
	return true
}
