package awsauth_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

const header = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: aws-auth\n  namespace: kube-system\n"

// parseOne returns the only aws-auth of a file.
func parseOne(t *testing.T, file string) *awsauth.Object {
	t.Helper()
	manifests, errs := awsauth.ParseManifests([]byte(file))
	if len(manifests) != 1 || len(errs) > 0 {
		t.Fatalf("%d manifests, errors %v in\n%s", len(manifests), errs, file)
	}
	return manifests[0].Object
}

// from returns the text from a position on. Lines and columns count as in an editor.
func from(text string, at awsauth.Position) string {
	lines := strings.Split(strings.TrimPrefix(text, "\ufeff"), "\n")
	if at.Line < 1 || at.Line > len(lines) {
		return fmt.Sprintf("(no line %d)", at.Line)
	}
	first := []rune(lines[at.Line-1])
	if at.Column < 1 || at.Column > len(first)+1 {
		return fmt.Sprintf("(no column %d in line %d)", at.Column, at.Line)
	}
	return strings.Join(append([]string{string(first[at.Column-1:])}, lines[at.Line:]...), "\n")
}

func quoteJSON(s string) string {
	quoted, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(quoted)
}

// TestScalarStyles writes one value in every style. It checks the value's position in a stored object and in three kinds
// of manifest. The text at the position must begin with the value, or with the text in want.
func TestScalarStyles(t *testing.T) {
	const role = "arn:aws:iam::111122223333:role/admin"
	for name, test := range map[string]struct{ text, want string }{
		"plain":                            {text: "- rolearn: " + role},
		"plain, flow":                      {text: "[{rolearn: " + role + " , username: x}]"},
		"plain, on the next line":          {text: "- rolearn:\n    " + role},
		"plain, in two lines":              {text: "- rolearn: arn:aws:iam::111122223333:role/a\n    b", want: "arn:aws:iam::111122223333:role/a"}, // the break is a space in the value
		"single quotes":                    {text: "- rolearn: '" + role + "'"},
		"single quotes, in two lines":      {text: "- rolearn: '" + role + "\n\n   '"},
		"double quotes":                    {text: `- rolearn: "` + role + `"`},
		"double quotes, in two lines":      {text: "- rolearn: \"arn:aws:iam::\\\n    111122223333:role/admin\"", want: `arn:aws:iam::\`}, // an escaped break is not in the value
		"JSON":                             {text: `[{"rolearn":"` + role + `","username":"x"}]`},
		"escape":                           {text: `- rolearn: "\u0061rn:aws:iam::111122223333:role/admin"`, want: `\u0061rn:`}, // the first character is written as an escape
		"literal":                          {text: "- rolearn: |-\n    " + role},
		"literal, with indentation":        {text: "- rolearn: |1-\n    " + role, want: " " + role}, // the value has a space in front
		"literal, after empty lines":       {text: "- rolearn: |-\n\n  \n    " + role},
		"folded":                           {text: "- rolearn: >-\n    " + role + "\n"},
		"folded, with a comment":           {text: "- rolearn: >+ # why\n    " + role + "\n\n"},
		"tag":                              {text: "- rolearn: !!str " + role},
		"tag and anchor":                   {text: "- rolearn: !Sub &a '" + role + "'"},
		"anchor, a comment and a line":     {text: "- rolearn: &a # why\n    \"" + role + "\""},
		"alias":                            {text: "- &r\n  rolearn: &a " + role + "\n- rolearn: *a", want: "*a"}, // the user has to edit the alias
		"merge":                            {text: "- &r\n  rolearn: " + role + "\n- <<: *r"},
		"CR LF":                            {text: "- username: x\r\n  rolearn: " + role + "\r\n"},
		"after characters of 2 to 4 bytes": {text: `[{"x": "é…😀", "rolearn": "` + role + `"}]`},
		"after a long line":                {text: `[{"x": "` + strings.Repeat("é", 3000) + `", "rolearn": "` + role + `"}]`},
		"after a line separator":           {text: "- username: \"a\u2028      b\"\n  rolearn: " + role},
		"key in another case":              {text: "- roleARN: " + role},
	} {
		t.Run(name, func(t *testing.T) {
			check := func(file string, o *awsauth.Object, want string) {
				t.Helper()
				if want == "" {
					want = role
				}
				roles := o.Parse().Roles
				at := roles[len(roles)-1].ARN.At()
				if got := from(file, at); !strings.HasPrefix(got, want) {
					t.Errorf("at %d:%d of\n%s\nstands %.60q, want %q", at.Line, at.Column, file, got, want)
				}
			}
			check(test.text, &awsauth.Object{Data: map[string]string{"mapRoles": test.text}}, test.want)
			literal := header + "data:\n  mapRoles: |\n    " + strings.ReplaceAll(test.text, "\n", "\n    ") + "\n"
			check(literal, parseOne(t, literal), test.want)
			// One line of JSON has the same text, except for the escapes.
			escaped := strings.Trim(quoteJSON(test.want), `"`)
			edited := header + "data:\n  mapRoles: " + quoteJSON(test.text) + "\n"
			check(edited, parseOne(t, edited), escaped)
			file := "{\n \"data\": {\"mapRoles\" : " + quoteJSON(test.text) + `},"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"aws-auth"}}`
			check(file, parseOne(t, file), escaped)
		})
	}
}

// TestManifestStyles writes one text in the usual styles of manifests. The file's text at the position of each value must
// begin with the value.
func TestManifestStyles(t *testing.T) {
	for name, data := range map[string]string{
		"literal": `data:
  mapRoles: |
    - rolearn: arn:aws:iam::111122223333:role/a
      username: it's "a"
      groups: [g, h]
`,
		"literal, kept and indented": `data:
  mapRoles: |2+ # why

      - rolearn: arn:aws:iam::111122223333:role/a

        username: it's "a"
        groups: [g, h]

`,
		"literal after anchor and tag": `data:
  mapRoles: &roles !!str |-
   - rolearn: arn:aws:iam::111122223333:role/a
     username: it's "a"
     groups: [g, h]`,
		"one escaped line": `data:
  mapRoles: "- rolearn: arn:aws:iam::111122223333:role/a\n  username: it's \"a\"\n  groups: [g, \x68]\n"
`,
		"flow": `data: {"mapRoles": "- rolearn: arn:aws:iam::111122223333:role/a\n  username: it's \"a\"\n  groups: [g, h]"}
`,
		"explicit key": `data:
  ? mapRoles
  : |
    - rolearn: arn:aws:iam::111122223333:role/a
      username: it's "a"
      groups: [g, h]
`,
		"list within the list": `data:
  mapRoles: |
    - groups:
      - g
      - h
      rolearn: arn:aws:iam::111122223333:role/a
      username: it's "a"
`,
		"merge": `x: &base
  mapRoles: |
    - rolearn: arn:aws:iam::111122223333:role/a
      username: it's "a"
      groups: [g, h]
data:
  <<: *base
`,
	} {
		t.Run(name, func(t *testing.T) {
			for kind, file := range map[string]string{
				"LF":      header + data,
				"CR LF":   strings.ReplaceAll(header+data, "\n", "\r\n"),
				"BOM":     "\ufeff" + header + data,
				"later":   "# é\n---\na: é\n--- # b\n" + header + data,
				"unicode": "# \u2028# \u0085# é😀\n" + strings.Repeat("# é\n", 300) + header + data,
			} {
				o := parseOne(t, file)
				role := o.Parse().Roles[0]
				got := []awsauth.Scalar{
					{Value: role.ARN.Value, Position: role.ARN.At()},
					{Value: strings.ReplaceAll(role.Username.Value, "'", ""), Position: role.Username.At()},
				}
				for _, g := range role.Groups {
					got = append(got, awsauth.Scalar{Value: g.Value, Position: g.At()})
				}
				if len(got) != 4 {
					t.Fatalf("%s: %d values in\n%s", kind, len(got), file)
				}
				for _, v := range got {
					// The quotes around a and the apostrophe are written as escapes in some styles.
					text := strings.NewReplacer(`\\\"`, `"`, `\"`, `"`, "'", "", `\x68`, "h").Replace(from(file, v.Position))
					if !strings.HasPrefix(text, v.Value) {
						t.Errorf("%s: %s: at %d:%d stands %.30q, want %q", kind, v.Path, v.Line, v.Column, text, v.Value)
					}
				}
			}
		})
	}
}

// TestValuesInFoldedTextHaveItsPosition writes the text of mapRoles in styles in which the offsets of its values are not
// known. Every value must have the position of the text.
func TestValuesInFoldedTextHaveItsPosition(t *testing.T) {
	for name, test := range map[string]struct{ want, data string }{
		"folded, more indented lines": {`- rolearn: arn`, `data:
  mapRoles: >
    - rolearn: arn:aws:iam::111122223333:role/a
      username: it's "a"

      groups: [g, h]
`},
		"folded, empty lines": {`[{rolearn: "arn`, `data:
  mapRoles: >-

    [{rolearn: "arn:aws:iam::111122223333:role/a",

    username: it's "a",
    groups: [g, h]}]
`},
		"escaped line breaks": {"\\\n", `data:
  mapRoles: "\
    - rolearn: arn:aws:iam::111122223333:role/a\n\
    \  username: it's \"a\"\n\

    \  groups: [g,
    h]\n"
`},
		"single quotes": {`[{rolearn: "arn`, `data:
  mapRoles: '[{rolearn: "arn:aws:iam::111122223333:role/a",

    username: "it''s \"a\"",
    groups: [g, h]}]'
`},
	} {
		t.Run(name, func(t *testing.T) {
			for kind, file := range map[string]string{"LF": header + test.data, "BOM": "\ufeff" + header + test.data, "later": "# é\n---\na: é\n--- # b\n" + header + test.data} {
				role := parseOne(t, file).Parse().Roles[0]
				for _, at := range []awsauth.Position{role.ARN.At(), role.Username.At(), role.Groups[1].At()} {
					if got := from(file, at); !strings.HasPrefix(got, test.want) {
						t.Errorf("%s: at %d:%d stands %.30q, want %q", kind, at.Line, at.Column, got, test.want)
					}
				}
			}
		})
	}
}

// TestAliasedText checks that the text of a key that is an alias has the position of the alias.
func TestAliasedText(t *testing.T) {
	file := header + "data:\n  note: &n |\n    - rolearn: 5\n  mapRoles: *n\n"
	at := parseOne(t, file).Parse().Roles[0].At()
	if got := from(file, at); !strings.HasPrefix(got, "*n") {
		t.Errorf("at %d:%d stands %q", at.Line, at.Column, got)
	}
}

func TestPositionsOfKeys(t *testing.T) {
	file := header + `data:
  mapRoles: |
    []
  "mapUsers": &u []
  mapRoles: ""
binaryData: {mapUsers: "", mapUsers: "", a: ""}
data:
  mapRoles:
  mapUsers:
  - userarn: x
  mapAccounts: 5
`
	doc := parseOne(t, file).Parse()
	var got []string
	for name, keys := range map[string][]awsauth.Scalar{"data": doc.DataKeys, "binary": doc.BinaryKeys, "not text": doc.NotText, "again": doc.DuplicateKeys} {
		for _, k := range keys {
			text, _, _ := strings.Cut(from(file, k.Position), "\n")
			got = append(got, fmt.Sprintf("%s %s %d: %s", name, k.Path, k.Line, text))
		}
	}
	want := []string{
		"again binaryData.mapUsers 11: mapUsers: \"\", a: \"\"}",
		"again data 12: data:",
		"binary binaryData.a 11: a: \"\"}",
		"binary binaryData.mapUsers 11: mapUsers: \"\", a: \"\"}",
		"data data.mapRoles 13: mapRoles:",
		"not text data.mapAccounts 16: mapAccounts: 5",
		"not text data.mapUsers 14: mapUsers:",
	}
	sorted := func(a, b string) bool { return a < b }
	if diff := cmp.Diff(want, got, cmpopts.SortSlices(sorted)); diff != "" {
		t.Error(diff)
	}
}
