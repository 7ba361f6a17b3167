package edit_test

import (
	"maps"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/edit"
)

// caseTexts returns the sections of the rules' cases and the original texts of the golden files.
func caseTexts(tb testing.TB) []string {
	tb.Helper()
	var texts []string
	for _, pattern := range []string{"testdata/*.txtar", "../validate/testdata/rules/*/*.txtar"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			tb.Fatalf("no cases in %s: %v", pattern, err)
		}
		for _, file := range files {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				tb.Fatal(err)
			}
			for _, f := range archive.Files {
				if f.Name == "before" {
					texts = append(texts, string(f.Data))
				}
				found, _ := awsauth.ParseManifests(f.Data)
				for _, m := range found {
					for _, s := range awsauth.Sections() {
						texts = append(texts, m.Object.Data[string(s)])
					}
				}
			}
		}
	}
	return texts
}

// FuzzEdit checks that no edit panics, and that the number of elements after an edit is the intended one.
func FuzzEdit(f *testing.F) {
	for i, text := range caseTexts(f) {
		f.Add(text, i%3, "arn:aws:iam::111122223333:role/x", "{{SessionName}}", "a: b")
	}
	f.Fuzz(func(t *testing.T, text string, index int, arn, username, group string) {
		for _, s := range []awsauth.Section{awsauth.MapRoles, awsauth.MapUsers} {
			e := awsauth.Entry{Section: s, Index: index, ARN: arn, Username: username, Groups: []string{group, "b"}}
			n := count(s, text)
			expect(t, s, "add", n+1)(edit.Add(text, e))
			expect(t, s, "remove", n-1)(edit.Remove(text, s, index))
			expect(t, s, "replace", n)(edit.Replace(text, e))
			expect(t, s, "set", n)(edit.SetValue(text, s, index, "username", username))
			expect(t, s, "rename", n)(edit.RenameKey(text, s, index, "groups", group))
			from, _, err := edit.Move(text, text, s, index, arn)
			expect(t, s, "move", n-1)(from, err)
		}
		n := count(awsauth.MapAccounts, text)
		expect(t, awsauth.MapAccounts, "add", n+1)(edit.AddAccount(text, group))
		expect(t, awsauth.MapAccounts, "set", n)(edit.SetValue(text, awsauth.MapAccounts, index, "", group))
		if _, err := edit.Remove(text, awsauth.MapAccounts, index); err == nil && n == 0 && len(parseAccounts(text).BadAccounts) == 0 {
			t.Errorf("removed an account of %q", text)
		}
	})
}

func parseAccounts(text string) *awsauth.Document {
	return (&awsauth.Object{Data: map[string]string{"mapAccounts": text}}).Parse()
}

func count(s awsauth.Section, text string) int {
	m := (&awsauth.Object{Data: map[string]string{string(s): text}}).Load()
	return len(m.Roles) + len(m.Users) + len(m.Accounts)
}

// expect returns a function that checks the result of an edit.
func expect(t *testing.T, s awsauth.Section, name string, want int) func(string, error) {
	t.Helper()
	return func(text string, err error) {
		t.Helper()
		if err == nil && count(s, text) != want {
			t.Errorf("%s: %d elements, want %d: %q", name, count(s, text), want, text)
		}
	}
}

// FuzzManifest checks that no edit of a file panics. An edit must change only mapRoles in the data of the aws-auth, and keep
// the number of aws-auth objects in the file.
func FuzzManifest(f *testing.F) {
	for _, pattern := range []string{"testdata/manifest/*.txtar", "../validate/testdata/rules/*/*.txtar"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatalf("no cases in %s: %v", pattern, err)
		}
		for _, file := range files {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				f.Fatal(err)
			}
			for _, part := range archive.Files {
				f.Add(part.Data, "- rolearn: x\n")
			}
		}
	}
	f.Fuzz(func(t *testing.T, src []byte, text string) {
		before, _ := awsauth.ParseManifests(src)
		for i, m := range before {
			got, err := edit.Manifest(src, m.Line, map[awsauth.Section]string{awsauth.MapRoles: text})
			if err != nil || i > 0 && before[i-1].Line == m.Line {
				continue
			}
			after, _ := awsauth.ParseManifests(got)
			if len(after) != len(before) {
				t.Fatalf("%d manifests, want %d: %q", len(after), len(before), got)
			}
			want := maps.Clone(m.Object.Data)
			want["mapRoles"] = text
			if !maps.Equal(after[i].Object.Data, want) {
				t.Errorf("data %q, want %q: %q", after[i].Object.Data, want, got)
			}
		}
	})
}
