package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// imageName is the image that the chart installs.
const imageName = "ghcr.io/awsauth-guard/awsauth-guard"

// annotate adds those annotations of Artifact Hub to the Chart.yaml of a chart that differ between releases
// (https://artifacthub.io/docs/topics/annotations/helm/): the image, whether the release is a pre-release, and the changes. It takes
// the changes from the section of the version in a changelog, or from the section Unreleased if the version has no section.
func annotate(r release, chart, changelog string) error {
	text, err := os.ReadFile(changelog)
	if err != nil {
		return fmt.Errorf("reading the changelog: %w", err)
	}
	changes, err := changesOf(string(text), r.version())
	if err != nil {
		return fmt.Errorf("%s: %w", changelog, err)
	}
	name := filepath.Join(chart, "Chart.yaml")
	data, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("reading the chart: %w", err)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	annotations, err := child(document.Content[0], "annotations")
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	list, err := yaml.Marshal(changes)
	if err != nil {
		return fmt.Errorf("writing the changes: %w", err)
	}
	for _, a := range []struct{ key, value string }{
		{"artifacthub.io/changes", string(list)},
		{"artifacthub.io/images", fmt.Sprintf("- name: awsauth-guard\n  image: %s:%s\n", imageName, r.version())},
		{"artifacthub.io/prerelease", fmt.Sprint(strings.Contains(r.version(), "-"))},
	} {
		annotations.Content = append(annotations.Content,
			&yaml.Node{Kind: yaml.ScalarNode, Value: a.key},
			&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: a.value, Style: style(a.value)})
	}
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := errors.Join(encoder.Encode(&document), encoder.Close()); err != nil {
		return fmt.Errorf("writing the chart: %w", err)
	}
	if err := os.WriteFile(name, out.Bytes(), 0o600); err != nil {
		return fmt.Errorf("writing the chart: %w", err)
	}
	return nil
}

// style returns the style in which YAML shows a value: as a block if it has several lines, and in quotes otherwise.
func style(value string) yaml.Style {
	if strings.Contains(value, "\n") {
		return yaml.LiteralStyle
	}
	return yaml.DoubleQuotedStyle
}

// child returns the value of a key of a mapping.
func child(mapping *yaml.Node, key string) (*yaml.Node, error) {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i+1], nil
		}
	}
	return nil, fmt.Errorf("there is no %s", key)
}

var (
	heading = regexp.MustCompile(`(?m)^## \[?([^\]\s]+)\]?.*$`)
	item    = regexp.MustCompile(`(?m)^- (.*(?:\n {2}.*)*)`)
	mark    = strings.NewReplacer("`", "", "**", "")
)

// changesOf returns the items in the section of a version in a changelog, or in the section Unreleased if the version has
// no section. The items have no line breaks and no marks of Markdown.
func changesOf(changelog, version string) ([]string, error) {
	sections := map[string]string{}
	found := heading.FindAllStringSubmatchIndex(changelog, -1)
	for i, at := range found {
		end := len(changelog)
		if i+1 < len(found) {
			end = found[i+1][0]
		}
		sections[changelog[at[2]:at[3]]] = changelog[at[1]:end]
	}
	section, ok := sections[version]
	if !ok {
		section = sections["Unreleased"]
	}
	var changes []string
	for _, match := range item.FindAllStringSubmatch(section, -1) {
		changes = append(changes, mark.Replace(strings.Join(strings.Fields(match[1]), " ")))
	}
	if changes == nil {
		return nil, fmt.Errorf("neither %s nor Unreleased has an item", version)
	}
	return changes, nil
}
