package documents_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/awsauth-guard/awsauth-guard/internal/cli"
	"github.com/awsauth-guard/awsauth-guard/internal/server"
	"github.com/awsauth-guard/awsauth-guard/test/markdown"
)

// TestFlags: docs/reference/webhook.md has the table of the webhook's flags.
func TestFlags(t *testing.T) {
	t.Parallel()
	flags := pflag.NewFlagSet("webhook", pflag.ContinueOnError)
	server.DefaultOptions().AddFlags(flags)
	var b strings.Builder
	b.WriteString("| flag | default | meaning |\n|---|---|---|\n")
	flags.VisitAll(func(f *pflag.Flag) {
		value, usage := pflag.UnquoteUsage(f)
		name := "--" + f.Name
		if value != "" {
			name += " " + strings.ToUpper(value)
		}
		def := ""
		if f.DefValue != "" && f.DefValue != "false" {
			def = "`" + f.DefValue + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", name, def, markdown.Cell(usage))
	})
	markdown.Hold(t, filepath.Join(root, "docs", "reference", "webhook.md"), "flags", b.String())
}

// TestCommands: docs/reference/commands.md has the help of every command of kubectl awsauth, except config, which only contains
// config check.
func TestCommands(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for _, command := range []string{"", "lint", "diff", "explain", "get", "add", "set", "remove", "edit", "fix", "doctor", "whoami", "migrate", "migrate plan", "migrate apply", "migrate verify", "rules", "config check", "history", "history show", "rollback"} {
		var stdout, stderr bytes.Buffer
		args := append([]string{"/usr/local/bin/kubectl-awsauth"}, strings.Fields(command)...)
		if status := cli.Main(t.Context(), append(args, "--help"), strings.NewReader(""), &stdout, &stderr); status != 0 {
			t.Fatalf("%s: %s", command, &stderr)
		}
		fmt.Fprintf(&b, "## %s\n\n```text\n%s```\n\n", strings.TrimSpace("kubectl awsauth "+command), &stdout)
	}
	markdown.Hold(t, filepath.Join(root, "docs", "reference", "commands.md"), "commands", b.String())
}

// node is a part of a JSON schema.
type node struct {
	Description          string           `json:"description"`
	Type                 string           `json:"type"`
	Enum                 []any            `json:"enum"`
	Default              any              `json:"default"`
	Minimum              *int             `json:"minimum"`
	Maximum              *int             `json:"maximum"`
	Items                *node            `json:"items"`
	Properties           map[string]*node `json:"properties"`
	AdditionalProperties json.RawMessage  `json:"additionalProperties"`
	PatternProperties    map[string]*node `json:"patternProperties"`
}

// TestGuardConfig: docs/reference/guardconfig.md has the table of the fields of a GuardConfig. The test reads them from the schema
// that a test of internal/config writes.
func TestGuardConfig(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, "docs", "guardconfig.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	var schema node
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("| field | values | default | meaning |\n|---|---|---|---|\n")
	writeFields(&b, "", &schema)
	markdown.Hold(t, filepath.Join(root, "docs", "reference", "guardconfig.md"), "fields", b.String())
}

// writeFields writes a row of the table for each field below a node. It writes one row for the field rules, and no row for the
// fields below it, which are the rules.
func writeFields(b *strings.Builder, path string, n *node) {
	for _, name := range slices.Sorted(maps.Keys(n.Properties)) {
		of := n.Properties[name]
		field := strings.TrimPrefix(path+"."+name, ".")
		def := ""
		if of.Default != nil {
			text, err := json.Marshal(of.Default)
			if err != nil {
				panic(err) // can't happen, because the default comes from JSON
			}
			def = "`" + strings.Trim(string(text), `"`) + "`"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", field, values(field, of), def, markdown.Cell(of.Description))
		switch {
		case field == "rules":
		case of.Items != nil && len(of.Items.Properties) > 0:
			writeFields(b, field+"[]", of.Items)
		case len(of.PatternProperties) > 0:
			for _, value := range of.PatternProperties {
				writeFields(b, field+".ACCOUNT", value)
			}
		default:
			writeFields(b, field, of)
		}
		var additional node
		if json.Unmarshal(of.AdditionalProperties, &additional) == nil && len(additional.Properties) > 0 {
			writeFields(b, field+".ACCOUNT", &additional)
		}
	}
}

// values returns a description of the values that a field can have.
func values(field string, n *node) string {
	switch {
	case field == "rules":
		return "by rule: `deny`, `warn`, `off`"
	case len(n.Enum) > 0:
		var list []string
		for _, value := range n.Enum {
			if value != false { // false is off without quotes in YAML 1.1
				list = append(list, fmt.Sprintf("`%v`", value))
			}
		}
		return strings.Join(list, ", ")
	case n.Minimum != nil && n.Maximum != nil:
		return fmt.Sprintf("%d to %d", *n.Minimum, *n.Maximum)
	case n.Type == "array" && n.Items != nil:
		return "list of " + n.Items.Type + "s"
	}
	return n.Type
}

// document matches the line between two documents of a rendered chart.
var document = regexp.MustCompile(`(?m)^---$\n`)

// TestRBAC: docs/reference/rbac.md has the rules of every Role and ClusterRole of the chart, with the comments that
// give their reasons. The test reads them from the golden files of the chart.
func TestRBAC(t *testing.T) {
	t.Parallel()
	page := filepath.Join(root, "docs", "reference", "rbac.md")
	for _, golden := range []string{"default", "switches"} {
		text, err := os.ReadFile(filepath.Join(root, "test", "chart", "testdata", "golden", golden+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for _, part := range document.Split(string(text), -1) {
			kind, found := field(part, "kind"), strings.Contains(part, "\nrules:\n")
			if !found || kind != "Role" && kind != "ClusterRole" {
				continue
			}
			_, rules, _ := strings.Cut(part, "\nrules:\n")
			title := kind + " `" + field(part, "  name") + "`"
			if namespace := field(part, "  namespace"); namespace != "" {
				title += " in `" + namespace + "`"
			}
			fmt.Fprintf(&b, "### %s\n\n```yaml\n%s\n```\n\n", title, strings.TrimRight(rules, "\n"))
		}
		markdown.Hold(t, page, golden, b.String())
	}
}

// field returns the value of a key in a YAML document, from the first line that begins with the key. It returns "" if no line begins
// with the key.
func field(document, key string) string {
	match := regexp.MustCompile(`(?m)^` + key + `: "?([^"\n]*)"?$`).FindStringSubmatch(document)
	if match == nil {
		return ""
	}
	return match[1]
}

// TestAnnotations: docs/reference/annotations.md has every annotation and label awsauth-guard.io/NAME that the code or the chart
// has.
func TestAnnotations(t *testing.T) {
	t.Parallel()
	page := strings.Join(readPage(t, "docs/reference/annotations.md").lines, "\n")
	name := regexp.MustCompile(`awsauth-guard\.io/([a-z-]+)\b`)
	for _, file := range files(t, func(name string) bool {
		return strings.HasPrefix(name, "internal/") && strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, "charts/awsauth-guard/templates/")
	}) {
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range name.FindAllString(string(text), -1) {
			if match != "awsauth-guard.io/v1alpha" && !strings.Contains(page, "`"+match+"`") {
				t.Errorf("%s names %s, and the page does not", file, match)
			}
		}
	}
}
