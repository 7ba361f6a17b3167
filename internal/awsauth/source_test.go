package awsauth_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// readOne returns the only document of a file.
func readOne(t *testing.T, text string) *awsauth.Source {
	t.Helper()
	sources, errs := awsauth.ReadSources([]byte(text))
	if len(sources) != 1 || len(errs) > 0 {
		t.Fatalf("%d documents, %v", len(sources), errs)
	}
	return sources[0]
}

// arnPlaces returns the line and column of the ARN in each entry of mapRoles.
func arnPlaces(o *awsauth.Object) (places [][2]int) {
	for _, m := range o.Parse().Roles {
		at := m.ARN.At()
		places = append(places, [2]int{at.Line, at.Column})
	}
	return places
}

// TestObjectOfKeepsPositions checks that the entries of a list outside of a ConfigMap have the positions of the file, in every
// form in which the list can be written.
func TestObjectOfKeepsPositions(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want [][2]int
	}{
		"block":           {"spec:\n  x:\n    # roles\n    - roleARN: a\n      username: b\n\n    # next\n    - username: c\n      roleARN: d\n  other: 1\n", [][2]int{{4, 16}, {9, 16}}},
		"not indented":    {"spec:\n  x:\n  - rolearn: a\n  - rolearn: b\n  other: 1\n", [][2]int{{3, 14}, {4, 14}}},
		"CR LF":           {"spec:\r\n  x:\r\n  - rolearn: a\r\n  - rolearn: b\r\n", [][2]int{{3, 14}, {4, 14}}},
		"flow":            {"spec:\n  x: [{\"rolearn\": \"a\"},\n     {\"rolearn\": \"b\"}]\n", [][2]int{{2, 20}, {3, 19}}},
		"JSON":            {`{"spec": {"x": [{"roleARN": "a"}]}}`, [][2]int{{1, 30}}},
		"text":            {"spec:\n  x: |\n    - rolearn: a\n    - rolearn: b\n", [][2]int{{3, 16}, {4, 16}}},
		"an alias":        {"a: &a {rolearn: a}\nspec:\n  x: [*a]\n", [][2]int{{3, 3}}},
		"flow, no quotes": {"spec:\n  x: [{rolearn: a}]\n", [][2]int{{2, 3}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := readOne(t, test.text)
			o := s.ObjectOf(map[awsauth.Section]awsauth.Path{awsauth.MapRoles: {"spec", "x"}})
			if diff := cmp.Diff(test.want, arnPlaces(o)); diff != "" {
				t.Errorf("(-want +got):\n%s\n%s", diff, o.Data["mapRoles"])
			}
		})
	}
}

func TestBareSectionKeepsPositions(t *testing.T) {
	o := awsauth.BareSection(awsauth.MapRoles, []byte("\ufeff- rolearn: a\n  username: b\n- rolearn: c\n"))
	if diff := cmp.Diff([][2]int{{1, 12}, {3, 12}}, arnPlaces(o)); diff != "" {
		t.Error(diff)
	}
}

// TestReadInnerKeepsPositions checks that positions in a file within another file count in the outer file.
func TestReadInnerKeepsPositions(t *testing.T) {
	const manifest = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"aws-auth"},"data":{"mapRoles":"- rolearn: a\n"}}`
	for name, test := range map[string]struct {
		text string
		want [][2]int
	}{
		"a literal in a literal": {"values: |\n  apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: aws-auth}\n  data:\n    mapRoles: |\n      - rolearn: a\n", [][2]int{{7, 18}}},
		"JSON in YAML":           {"a: b\nvalues: '" + manifest + "'\n", [][2]int{{2, 10 + strings.Index(manifest, "a\\n")}}},
		"JSON in JSON":           {`{"values": "` + strings.ReplaceAll(strings.ReplaceAll(manifest, `\`, `\\`), `"`, `\"`) + `"}`, [][2]int{{1, 132}}},
		"a folded text":          {"values: >-\n  " + manifest + "\n", [][2]int{{2, 3}}},
	} {
		t.Run(name, func(t *testing.T) {
			inner, errs := readOne(t, test.text).ReadInner(awsauth.Path{"values"})
			if len(inner) != 1 || len(errs) > 0 {
				t.Fatalf("%d documents, %v", len(inner), errs)
			}
			m, err := inner[0].Manifest(nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, arnPlaces(m.Object)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestSourceError checks that an error at a path has the position of the path's key. If the key is missing, it has the
// position of the last key that exists.
func TestSourceError(t *testing.T) {
	s := readOne(t, "# x\nspec:\n  list:\n  - a: 1\n")
	for want, path := range map[string]awsauth.Path{
		"3:3: bad": {"spec", "list"}, "4:5: bad": {"spec", "list", 0, "a"}, "2:1: bad": {"spec", "none"},
	} {
		if got := s.Error(path, "bad").Error(); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	if got := (awsauth.Path{"spec", "list", 0, "a"}).String(); got != "spec.list[0].a" {
		t.Error(got)
	}
}

// TestAliasesOfFilesAreLimited checks that a document is refused before its aliases are replaced, if it would be too large, and that
// ordinary aliases are read.
func TestAliasesOfFilesAreLimited(t *testing.T) {
	document := func(size, aliases int) string {
		return "x: &a " + strings.Repeat("x", size) + "\ny: [" + strings.Repeat("*a,", aliases) + "]\n"
	}
	for _, test := range []struct {
		about, text string
		ok          bool
	}{
		{"a few aliases", document(1000, 100), true},
		{"many aliases of a long text", document(100_000, 1000), false},
		{"aliases of aliases", "a: &a [" + strings.Repeat("x,", 1000) + "]\nb: &b [" + strings.Repeat("*a,", 1000) + "]\nc: [" + strings.Repeat("*b,", 1000) + "]\n", false},
		{"asterisks that are no aliases", "a: &a x\nb: |\n" + strings.Repeat("  *** "+strings.Repeat("x", 1000)+"\n", 500), true},
	} {
		sources, errs := awsauth.ReadSources([]byte(test.text))
		if ok := len(sources) == 1 && len(errs) == 0; ok != test.ok {
			t.Errorf("%s: got %d documents and the errors %v", test.about, len(sources), errs)
		}
	}
}
