package awsauth_test

import (
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// TestOutlineFindsTheEndOfEachNode checks that the offsets of nodes are in order. For a scalar that is not a block scalar,
// the text between its offsets must parse to its value. The test uses the sections of the rules' cases and some texts of
// its own.
func TestOutlineFindsTheEndOfEachNode(t *testing.T) {
	sections := []string{
		"- {a, b: , c: [d: e, f], 'g': \"h\\\"i\"} # j\n", "- ? a\n  : b\n  ? c\n-\n- ''\n- !!str\n- &x !!str y # z\n- *x\n",
		"- a: >-\n    b\n\n    c\n  d: |+\n    e\n\n- f: g\n   h\n  i:\n  - j\n", "\ufeff- a: \u00e9\u00e9 # x\n  b: \"c\n    d\"\n", "[\n  # a\n  b, # c\n  'd''e',\n]\n",
	}
	for _, objects := range caseObjects(t) {
		for _, o := range objects {
			roles, users, accounts := texts(o)
			sections = append(sections, roles, users, accounts)
		}
	}
	nodes := 0
	for _, text := range sections {
		root, err := awsauth.Outline(text)
		if err != nil || root == nil {
			continue
		}
		var visit func(s *awsauth.Span, from, to int)
		visit = func(s *awsauth.Span, from, to int) {
			nodes++
			if s.Mark < from || s.Mark > s.Start || s.Start > s.Text || s.Text > s.End || s.End > to {
				t.Errorf("%q: %+v is not in order between %d and %d", text, s, from, to)
				return
			}
			at := s.Start
			if s.Flow {
				at = s.Text + 1
			}
			for _, item := range s.Items {
				visit(item, at, s.End)
				at = item.End
			}
			if s.Kind != awsauth.ScalarSpan || s.Quote == awsauth.Literal || s.Quote == awsauth.Folded {
				return
			}
			var node yaml.Node
			part := text[s.Text:s.End]
			if err := yaml.Unmarshal([]byte("["+part+"]"), &node); err != nil { // a text without quotes may need a block
				err = yaml.Unmarshal([]byte("- "+strings.ReplaceAll(part, "\n", "\n ")), &node)
				if err != nil {
					t.Errorf("%q: %q does not parse: %v", text, part, err)
					return
				}
			}
			if list := node.Content[0].Content; part != "" && (len(list) != 1 || list[0].Value != s.Value) && !strings.ContainsAny(part, ",[]{}") {
				t.Errorf("%q: the text %q is not the value %q", text, part, s.Value)
			}
		}
		visit(root, 0, len(text))
	}
	if nodes < 1000 {
		t.Errorf("only %d nodes", nodes)
	}
}
