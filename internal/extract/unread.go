package extract

import (
	"bytes"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

var (
	// describeOutput matches the output of kubectl describe configmap.
	describeOutput = regexp.MustCompile(`(?s)\A\s*Name:[ \t]+aws-auth[ \t]*\r?\n.*\nData\r?\n====`)
	// tableOutput matches the table of kubectl get configmap.
	tableOutput = regexp.MustCompile(`\A\s*(NAMESPACE[ \t]+)?NAME[ \t]+DATA[ \t]+AGE`)
	// goMap matches a mapping as Go prints it, such as map[mapRoles:…].
	goMap = regexp.MustCompile(`\A\s*map\[map(Roles|Users|Accounts):`)
	// hclBlock matches a block of Terraform's language at the beginning of a line, and hclList an argument of terraform-aws-eks.
	hclBlock = regexp.MustCompile(`(?m)^(resource|module|variable|locals|provider|terraform|data|output)\b[ \t]*("[^"\n]*"[ \t]*)*\{`)
	hclList  = regexp.MustCompile(`(?m)^\s*(aws_auth|map)_(roles|users|accounts)\s*=`)
	// yttLine matches a directive of ytt.
	yttLine = regexp.MustCompile(`(?m)(^|\s)#@[ /]`)
	// tfJSON matches the keys of Terraform's language in JSON.
	tfJSON = regexp.MustCompile(`\A\s*\{\s*"(//|resource|module|variable|locals|provider|terraform|data|output)"\s*:`)
	// sectionInJSON matches a JSON object that begins with the data of an aws-auth. tfJSON also matches such an object,
	// which is not in Terraform's language.
	sectionInJSON = regexp.MustCompile(`\A\s*\{\s*"data"\s*:\s*\{\s*"map(Roles|Users|Accounts)"`)
)

// terraformExtensions are the extensions of files in Terraform's language.
var terraformExtensions = []string{".tf", ".tofu", ".tfvars", ".hcl"}

// planFirst says what to lint instead of Terraform's language.
const planFirst = "lint the plan: terraform plan -out=PLAN, then terraform show -json PLAN | kubectl awsauth lint -"

// unreadText returns the reason why lint can't read a text as manifests, or "" if it may be manifests. It recognizes
// outputs of kubectl that are meant for people, mappings as Go prints them, Terraform's language and templates of ytt.
// name is the name of the file.
func unreadText(name string, src []byte) string {
	const asYAML = "; lint the output of kubectl get configmap -n kube-system aws-auth -o yaml"
	manifest := bytes.Contains(src, []byte("apiVersion"))
	switch {
	case describeOutput.Match(src):
		return "the text is the output of kubectl describe, which does not show the exact text" + asYAML
	case tableOutput.Match(src):
		return "the text is the table of kubectl get, which has no entries" + asYAML
	case goMap.Match(src):
		return "the text is a mapping as Go prints it, which can't be read back" + asYAML
	case slices.Contains(terraformExtensions, filepath.Ext(name)), strings.HasSuffix(name, ".tf.json"):
		return "the file is in Terraform's language, whose values are known only in a plan; " + planFirst
	case !manifest && (hclBlock.Match(src) || hclList.Match(src)):
		return "the text is in Terraform's language, whose values are known only in a plan; " + planFirst
	case yttLine.Match(src) && namePattern.Match(src):
		return "the text is a template of ytt; lint the rendered text: ytt -f FILE | kubectl awsauth lint -"
	case tfJSON.Match(src) && !manifest && !sectionInJSON.Match(src):
		return "the text is Terraform's language in JSON, whose values are known only in a plan; " + planFirst
	}
	return ""
}

// patch reports whether a document is a JSON patch of aws-auth, or a merge patch that removes a section. It adds such a document to
// Unrendered, with the reason why lint doesn't evaluate it.
func (w *walker) patch() bool {
	switch document := w.source.Value.(type) {
	case []any:
		for i, item := range document {
			operation, _ := item.(map[string]any)
			path := text(operation, "path")
			if text(operation, "op") == "" || !slices.ContainsFunc(awsauth.Sections(), func(s awsauth.Section) bool { return path == "/data/"+string(s) }) {
				continue
			}
			w.unrendered(awsauth.Path{i}, "the document is a JSON patch, and the result depends on the patched text; write --patch json, and --old FILE with that text")
			return true
		}
	case map[string]any:
		data, _ := document["data"].(map[string]any)
		if document["kind"] != nil || document["apiVersion"] != nil {
			return false
		}
		for _, section := range awsauth.Sections() {
			if value, ok := data[string(section)]; ok && value == nil {
				w.unrendered(awsauth.Path{"data", string(section)}, "the document is a patch that removes %s, and the result depends on the patched text; write --patch merge, and --old FILE with that text", section)
				return true
			}
		}
	}
	return false
}

// entryLine matches the key of an entry's ARN, such as rolearn. The key may be quoted.
var entryLine = regexp.MustCompile(`(?i)\b(role|user)_?arn["']?\s*:`)

// bareSection returns an aws-auth for an input that is only the text of mapRoles or mapUsers, such as the output of
// kubectl get -o jsonpath. It also accepts a text that does not parse, if the text begins like a list and has the key
// of an entry's ARN. It returns false for other inputs.
func bareSection(src []byte, sources []*awsauth.Source, errs []error) (Object, bool) {
	text := bytes.TrimPrefix(src, []byte("\ufeff"))
	found := entryLine.FindSubmatch(text)
	switch {
	case len(sources) == 1 && len(errs) == 0:
		list, ok := sources[0].Value.([]any)
		if !ok || !isList(awsauth.MapRoles, list) || found == nil {
			return Object{}, false
		}
	case found == nil, len(sources) > 0, namePattern.Match(text), !beginsWithList(text), bytes.Contains(text, []byte("\n---")):
		return Object{}, false
	}
	section := awsauth.MapRoles
	if i := bytes.Index(bytes.ToLower(text), []byte("rolearn")); i < 0 && bytes.Contains(bytes.ToLower(text), []byte("userarn")) {
		section = awsauth.MapUsers
	}
	return Object{Object: awsauth.BareSection(section, src), Line: 1, Lists: "a list of entries as " + string(section)}, true
}

// beginsWithList reports whether the first line with content begins an element of a list. A comment is no content.
func beginsWithList(text []byte) bool {
	for line := range bytes.Lines(text) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		return bytes.HasPrefix(line, []byte("- ")) || bytes.Equal(line, []byte("-"))
	}
	return false
}
