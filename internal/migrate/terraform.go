package migrate

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
)

// terraform returns resources for the provider hashicorp/aws. It adds an import block for each resource that already exists.
func (w *writer) terraform() []byte {
	var b bytes.Buffer
	b.WriteString(w.header())
	cluster := hclString(w.Cluster)
	if w.Cluster == "" {
		b.WriteString("\nvariable \"cluster_name\" {\n  type = string\n}\n")
		cluster = "var.cluster_name"
	}
	resources := &names{taken: make(map[string]bool), joint: "_", clean: func(name string) string {
		name = replaceOthers(name, "_")
		if name == "" || name[0] >= '0' && name[0] <= '9' {
			name = "_" + name
		}
		return name
	}}
	for _, m := range w.moves {
		w.terraformEntry(&b, m, resources.of(m.PrincipalARN), cluster)
	}
	return b.Bytes()
}

// terraformEntry writes the resources of one principal: its access entry and the associations of its access policies.
func (w *writer) terraformEntry(b *bytes.Buffer, m Move, name, cluster string) {
	resource := "aws_eks_access_entry." + name
	fmt.Fprintf(b, "\nresource \"aws_eks_access_entry\" %q {\n", name)
	username, groups := m.fields()
	var list []string
	for _, g := range groups {
		list = append(list, hclString(g))
	}
	type attribute struct{ name, value string }
	attributes := []attribute{{"cluster_name", cluster}, {"principal_arn", hclString(m.PrincipalARN)}, {"type", hclString(m.Type)}}
	if username != "" {
		attributes = append(attributes, attribute{"user_name", hclString(username)})
	}
	if len(list) > 0 {
		attributes = append(attributes, attribute{"kubernetes_groups", "[" + strings.Join(list, ", ") + "]"})
	}
	width := 0
	for _, a := range attributes {
		width = max(width, len(a.name))
	}
	for _, a := range attributes {
		fmt.Fprintf(b, "  %-*s = %s\n", width, a.name, a.value)
	}
	b.WriteString("}\n")
	w.terraformImport(b, m, resource, ":"+m.PrincipalARN)
	for _, p := range m.Policies {
		association := name + "_" + replaceOthers(p.Name(), "_")
		fmt.Fprintf(b, "\nresource \"aws_eks_access_policy_association\" %q {\n", association)
		fmt.Fprintf(b, "  cluster_name  = %s.cluster_name\n  principal_arn = %s.principal_arn\n  policy_arn    = %s\n\n", resource, resource, hclString(p.ARN))
		fmt.Fprintf(b, "  access_scope {\n    type = %s\n  }\n}\n", hclScope(p.Scope))
		w.terraformImport(b, m, "aws_eks_access_policy_association."+association, "#"+m.PrincipalARN+"#"+p.ARN)
	}
}

// terraformImport writes an import block for a resource if the principal already has the access entry. Otherwise it writes nothing. rest
// is the part of the import id after the cluster's name.
func (w *writer) terraformImport(b *bytes.Buffer, m Move, resource, rest string) {
	if m.Existing == "" {
		return
	}
	id := hclString(w.Cluster + rest)
	if w.Cluster == "" {
		id = `"${var.cluster_name}` + hclString(rest)[1:]
	}
	fmt.Fprintf(b, "\nimport {\n  to = %s\n  id = %s\n}\n", resource, id)
}

// hclScope returns the values of a scope in HCL: the type, and the attribute namespaces on a separate line.
func hclScope(s Scope) string {
	var list []string
	for _, namespace := range s.Namespaces {
		list = append(list, hclString(namespace))
	}
	if len(list) == 0 {
		return hclString(s.Type)
	}
	return hclString(s.Type) + "\n    namespaces = [" + strings.Join(list, ", ") + "]"
}

// hclString quotes a text as an HCL string. It escapes ${ and %{, which begin templates in HCL.
func hclString(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteRune('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case !unicode.IsPrint(r):
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return strings.NewReplacer("${", "$${", "%{", "%%{").Replace(b.String())
}
