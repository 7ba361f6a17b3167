package awsauth_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// described holds the properties of a document's texts and elements that FuzzPlain compares.
type described struct {
	Texts    []awsauth.Text
	Elements []describedElement
}

type describedElement struct {
	Fields                 []awsauth.Position
	Values, Keys           []string
	Other, Again, Wrong    int
	Mapping                bool
	Kind, Block            string
	HasRole, HasUser, Name bool
}

func describeDocument(d *awsauth.Document) (all described) {
	for _, t := range d.Texts {
		all.Texts = append(all.Texts, *t)
	}
	for m := range d.Mappings() {
		e := describedElement{
			Fields: []awsauth.Position{m.At(), m.ARN.At(), m.Username.At()}, Values: []string{m.ARN.Value, m.Username.Value},
			Other: len(m.OtherKeys()), Again: len(m.DuplicateKeys()), Wrong: len(m.WrongTypes()), Mapping: m.IsMapping(), Kind: m.Kind(),
			Block: m.Block(), HasRole: m.HasKey("rolearn"), HasUser: m.HasKey("userarn"), Name: m.HasKey("username"),
		}
		for _, g := range m.Groups {
			e.Fields, e.Values = append(e.Fields, g.At()), append(e.Values, g.Value)
		}
		for _, k := range m.Keys() {
			e.Fields, e.Keys = append(e.Fields, k.At()), append(e.Keys, k.Value)
		}
		all.Elements = append(all.Elements, e)
	}
	return all
}

// FuzzPlain checks that a text of the plain form gives the same document, whether its node tree is built on demand or at
// once.
func FuzzPlain(f *testing.F) {
	for _, objects := range caseObjects(f) {
		for _, o := range objects {
			roles, users, _ := texts(o)
			f.Add(roles, users)
		}
	}
	f.Add("- \"groups\":\n  - \"system:nodes\"\n  \"rolearn\": \"arn:aws:iam::111122223333:role/a\"\n  \"username\": \"x y\"\n", "- userarn: a\n  groups:\n\n- username: null\n  groups:\n      - 'b{'\n")
	f.Fuzz(func(t *testing.T, roles, users string) {
		o := object(roles, users, "")
		with, plain := o.ParseWithTree()
		if !plain {
			return
		}
		want, got := describeDocument(with), describeDocument(o.Parse())
		if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(awsauth.Text{}, awsauth.Fault{})); diff != "" {
			t.Errorf("the tree is built at once, and on demand (-at once +on demand):\n%s", diff)
		}
	})
}

// TestPlainForm checks that the texts that kubectl, eksctl and Terraform write have the plain form.
func TestPlainForm(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"kubectl":        "- groups:\n  - system:bootstrappers\n  - system:nodes\n  rolearn: arn:aws:iam::111122223333:role/node\n  username: system:node:{{EC2PrivateDNSName}}\n",
		"documentation":  "- rolearn: arn:aws:iam::111122223333:role/node\n  username: system:node:{{EC2PrivateDNSName}}\n  groups:\n    - system:bootstrappers\n    - system:nodes",
		"yamlencode":     "- \"groups\":\n  - \"system:masters\"\n  \"rolearn\": \"arn:aws:iam::111122223333:role/admin\"\n  \"username\": \"{{SessionName}}\"\n",
		"without groups": "- rolearn: arn:aws:iam::111122223333:role/a\n  username: a\n\n- rolearn: arn:aws:iam::111122223333:role/b\n  username: b\n",
	} {
		if _, plain := object(text, "", "").ParseWithTree(); !plain {
			t.Errorf("%s: the text does not have the plain form", name)
		}
	}
}

// TestNotPlainForm checks texts that must not have the plain form: texts with a fault, and texts with YAML that the plain
// form leaves out, such as comments and aliases.
func TestNotPlainForm(t *testing.T) {
	t.Parallel()
	const entry = "- rolearn: arn:aws:iam::111122223333:role/a\n"
	for name, text := range map[string]string{
		"unknown key":         entry + "  user: a\n",
		"key of mapUsers":     entry + "  userarn: a\n",
		"capital letters":     entry + "  userName: a\n",
		"key twice":           entry + "  username: a\n  username: b\n",
		"value on two lines":  entry + "  username: a\n    b\n",
		"list below username": entry + "  username:\n  - a\n",
		"group after a text":  entry + "  groups: a\n  - b\n",
		"group further left":  entry + "  groups:\n    - a\n  - b\n",
		"number":              entry + "  username: 1\n",
		"truth value":         entry + "  username: yes\n",
		"second document":     entry + "---\n" + entry,
		"end of the document": entry + "...\n" + entry,
		"text after the list": entry + "rolearn: b\n",
		"scalar":              entry + "- a\n",
		"comment":             entry + "# a\n",
		"alias":               "- &a\n  rolearn: b\n- *a\n",
		"escape":              entry + "  username: \"a\\tb\"\n",
		"another alphabet":    entry + "  username: \"ä\"\n",
		"carriage return":     entry + "  username: a\r\n",
		"sso":                 "- sso:\n  username: a\n",
		"no list":             "rolearn: a\n",
	} {
		if _, plain := object(text, "", "").ParseWithTree(); plain {
			t.Errorf("%s: the text has the plain form", name)
		}
	}
}
