package validate

import (
	"regexp"
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

var unknownDataKey = &Rule{
	ID:       "unknown-data-key",
	Severity: Warn,
	Title:    "the authenticator does not read a key under data or binaryData",
	Doc: `
The authenticator reads mapRoles, mapUsers and mapAccounts under data, and ignores every other key without an
error. Entries below another key give no access.

Move entries to mapRoles, mapUsers or mapAccounts, and move other data to another ConfigMap.`,
	Source: "aws-iam-authenticator v0.7.18, pkg/mapper/configmap/configmap.go, ParseMap",
	Check:  checkUnknownDataKey,
}

// reportUnknownDataKey reports a key. Its hint depends on the name of the key and on the text below it.
func (p *Pass) reportUnknownDataKey(key awsauth.Scalar) {
	text := ""
	if p.Change.New != nil && key.Path == "data."+key.Value {
		text = p.Change.New.Data[key.Value]
	}
	switch {
	case bare(key.Value) == "mapgroups":
		p.Reportf(key, groupHint+", in mapRoles", "the authenticator reads nothing from the key %q, because IAM groups can't log in", key.Value)
	case configSections.MatchString(text):
		p.Reportf(key, "write "+strings.Join(sectionsIn(text), " and ")+" as keys of data, each with | and its list below",
			"the authenticator reads nothing from the key %q, because its text has the form of the file in the ConfigMap aws-iam-authenticator", key.Value)
	case entryList.MatchString(text):
		p.Reportf(key, "move its entries to mapRoles or mapUsers", "the authenticator reads nothing from the key %q, which holds entries", key.Value)
	default:
		p.Reportf(key, "move it to a ConfigMap of its own; the keys of aws-auth are mapRoles, mapUsers and mapAccounts", "the authenticator reads nothing from the key %q", key.Value)
	}
}

var (
	configSections = regexp.MustCompile(`(?m)^[ \t]*(mapRoles|mapUsers|mapAccounts)[ \t]*:`)
	entryList      = regexp.MustCompile(`(?im)^[ \t]*(?:- *)?["']?(?:rolearn|userarn)["']?[ \t]*:`)
)

// sectionsIn returns the sections whose names are keys in a text, in lookup order.
func sectionsIn(text string) (sections []string) {
	for _, s := range awsauth.Sections() {
		if slices.ContainsFunc(configSections.FindAllStringSubmatch(text, -1), func(match []string) bool { return match[1] == string(s) }) {
			sections = append(sections, string(s))
		}
	}
	return sections
}

func checkUnknownDataKey(p *Pass) {
	for _, key := range slices.Concat(p.Doc.DataKeys, p.Doc.BinaryKeys) {
		if _, misspelt := nearDataKey(key.Value); misspelt && key.Path == "data."+key.Value {
			continue // misspelt-data-key reports it
		}
		if !awsauth.IsSection(key.Value) { // binary-data reports sections under binaryData
			p.reportUnknownDataKey(key)
		}
	}
}
