package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// renderSections returns a YAML file with the texts of the three sections. A section that is missing has an empty text. If a text is not
// UTF-8, renderSections returns an error, because YAML can't hold the text.
func renderSections(data map[string]string) ([]byte, error) {
	root := &yaml.Node{Kind: yaml.MappingNode}
	for _, section := range awsauth.Sections() {
		text := data[string(section)]
		if !utf8.ValidString(text) {
			return nil, fmt.Errorf("%s has bytes that are not UTF-8", section)
		}
		root.Content = append(root.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: string(section)}, literal(text))
	}
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if err := errors.Join(encoder.Encode(root), encoder.Close()); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// literal returns a text as a block scalar. A text that is blank, or that a block scalar can't hold exactly, is in quotes instead.
func literal(text string) *yaml.Node {
	node := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text, Style: yaml.LiteralStyle}
	var read string
	written, err := yaml.Marshal(node)
	if err != nil || yaml.Unmarshal(written, &read) != nil || read != text || strings.TrimSpace(text) == "" {
		node.Style = yaml.DoubleQuotedStyle
	}
	return node
}

// parseSections reads the texts of the sections from the file that the user saved. It returns the texts that differ from those in data. A
// section that the file lacks has an empty text.
func parseSections(src []byte, data map[string]string) (map[awsauth.Section]string, error) {
	var document yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(src))
	if err := decoder.Decode(&document); err != nil {
		return nil, err
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("the file must have only one YAML document; remove the line --- and the text that does not belong to the sections")
	}
	if document.Kind != yaml.DocumentNode || len(document.Content) != 1 || document.Content[0].Kind != yaml.MappingNode {
		return nil, errors.New("the file must have the keys mapRoles, mapUsers and mapAccounts, each with a text")
	}
	texts := make(map[awsauth.Section]string)
	pairs := document.Content[0].Content
	for i := 0; i+1 < len(pairs); i += 2 {
		key, value := pairs[i], pairs[i+1]
		section := awsauth.Section(key.Value)
		_, twice := texts[section]
		switch {
		case !awsauth.IsSection(key.Value):
			return nil, fmt.Errorf("line %d: %q is not one of the keys mapRoles, mapUsers and mapAccounts", key.Line, key.Value)
		case twice:
			return nil, fmt.Errorf("line %d: the file has %s twice; keep one of them", key.Line, section)
		case value.Kind == yaml.ScalarNode && value.Tag == "!!null":
			texts[section] = ""
		case value.Kind != yaml.ScalarNode || value.Tag != "!!str":
			return nil, fmt.Errorf("line %d: %s must be a text; write | after its colon, and indent the lines below it", key.Line, section)
		default:
			texts[section] = value.Value
		}
	}
	for _, section := range awsauth.Sections() {
		if texts[section] == data[string(section)] {
			delete(texts, section)
		} else if _, ok := texts[section]; !ok {
			texts[section] = ""
		}
	}
	return texts, nil
}
