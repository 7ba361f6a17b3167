package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/report"
)

// write writes the rows in the format that the flags select. withRBAC reports whether get has read RBAC, or a part of it.
func (o *getOptions) write(w io.Writer, rows []row, withRBAC bool) error {
	switch o.format.value {
	case formatJSON, formatYAML:
		return writeObject(w, o.format.value, append([]row{}, rows...))
	case formatName:
		return writeNames(w, rows)
	}
	return o.writeTable(w, rows, withRBAC)
}

// writeNames writes the ARN or account of each principal once.
func writeNames(w io.Writer, rows []row) error {
	seen := make(map[string]bool)
	var b strings.Builder
	for i := range rows {
		if name := rows[i].Principal; name != "" && !seen[name] {
			seen[name] = true
			fmt.Fprintln(&b, report.OneLine(name))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeTable writes a table with a line for each row, like kubectl get.
func (o *getOptions) writeTable(w io.Writer, rows []row, withRBAC bool) error {
	t := tabwriter.NewWriter(w, 0, 8, 3, ' ', 0)
	withPaths := withRBAC || slices.ContainsFunc(rows, func(r row) bool { return len(r.PathsToAdmin) > 0 })
	header := []string{"PRINCIPAL", "SOURCE", "USERNAME", "GROUPS", "POLICIES", "ACCESS", "STATE"}
	if o.request != nil {
		header = append(header, "CAN")
	}
	if o.format.value == formatWide {
		if withPaths {
			header = append(header, "PATHS TO ADMIN")
		}
		header = append(header, "PLACE", "REASON")
	}
	if !o.noHeaders {
		fmt.Fprintln(t, strings.Join(header, "\t"))
	}
	for i := range rows {
		r := &rows[i]
		cells := []string{
			r.cell("principal", r.Principal), string(r.Source), r.cell(access.FieldUsername, r.usernameText()),
			r.cell(access.FieldGroups, strings.Join(r.Groups, ",")), r.cell(access.FieldPolicies, strings.Join(r.policyNames(), ",")),
			r.accessText(withRBAC), string(r.State),
		}
		if o.request != nil {
			cells = append(cells, r.Can)
		}
		if o.format.value == formatWide {
			if withPaths {
				cells = append(cells, strings.Join(r.PathsToAdmin, ", "))
			}
			cells = append(cells, r.Place, r.Reason)
		}
		for i, cell := range cells {
			if cells[i] = report.OneLine(cell); cells[i] == "" {
				cells[i] = "-"
			}
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	return t.Flush()
}

// unknownText is the text of a field whose value can't be determined.
const unknownText = "unknown"

// cell returns the text of a cell. It returns text, or unknownText if text is empty and the field is unknown.
func (r *row) cell(field, text string) string {
	if text == "" && slices.Contains(r.Unknown, field) {
		return unknownText
	}
	return text
}

// usernameText returns the username of a row. For an account of mapAccounts it returns a description of the usernames.
func (r *row) usernameText() string {
	if r.Source == access.SourceMapAccounts && r.Principal != "" {
		return "(their ARN)"
	}
	return r.Username
}

// policyNames returns the names of the access policies. If a policy applies only in some namespaces, these namespaces follow the name.
func (r *row) policyNames() []string {
	var list []string
	for _, p := range r.policies {
		name := p.Name()
		if p.Scope != access.ScopeCluster {
			name += " (" + strings.Join(p.Namespaces, ", ") + ")"
		}
		list = append(list, name)
	}
	return list
}

// accessText returns the text for the column ACCESS. It returns "" if the row has no effect, if RBAC was not read, or if RBAC binds no role
// beside the access policies, which have a column of their own. withRBAC reports whether get has read RBAC, or a part of it.
func (r *row) accessText(withRBAC bool) string {
	var roles []string
	named := make(map[string]bool)
	for _, b := range r.Roles {
		name := b.Name
		if b.Namespace != "" {
			name += " (" + b.Namespace + ")"
		}
		if !b.inherited && !named[name] {
			named[name] = true
			roles = append(roles, name)
		}
	}
	switch {
	case r.Admin:
		return "admin"
	case len(r.PathsToAdmin) > 0:
		return "can become admin"
	case r.Node:
		return "node"
	case slices.Contains(r.Unknown, access.FieldAdmin):
		return unknownText
	case len(roles) > 0:
		return strings.Join(roles, ",")
	case slices.Contains(r.Unknown, access.FieldRoles):
		return unknownText
	case withRBAC && r.effect && len(r.Policies) == 0:
		return "none"
	}
	return ""
}
