package edit_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/edit"
)

// newEntry is the entry that the tests add.
var newEntry = awsauth.Entry{
	Section: awsauth.MapRoles, ARN: "arn:aws:iam::444455556666:role/New", Username: "new:{{SessionName}}", Groups: []string{"system:masters", "on"},
}

// styleEdits are the edits that TestEditsKeepTheStyle makes in each text. Each text has three entries in another style.
var styleEdits = []struct {
	name string
	edit func(text string) (string, error)
}{
	{"add", func(text string) (string, error) { return edit.Add(text, newEntry) }},
	{"remove the first", func(text string) (string, error) { return edit.Remove(text, awsauth.MapRoles, 0) }},
	{"remove the last", func(text string) (string, error) { return edit.Remove(text, awsauth.MapRoles, 2) }},
	{"remove all", func(text string) (string, error) {
		var err error
		for i := 2; i >= 0 && err == nil; i-- {
			text, err = edit.Remove(text, awsauth.MapRoles, i)
		}
		return text, err
	}},
	{"replace the ARN and the username", func(text string) (string, error) {
		e := loadRoles(text)[0]
		e.ARN, e.Username = newEntry.ARN, "yes"
		return edit.Replace(text, e)
	}},
	{"replace groups", func(text string) (string, error) {
		e := loadRoles(text)[2]
		e.Groups = []string{e.Groups[0], e.Groups[2], "new"}
		return edit.Replace(text, e)
	}},
	{"replace all groups", func(text string) (string, error) {
		e := loadRoles(text)[1]
		e.Groups = []string{"readers"}
		return edit.Replace(text, e)
	}},
	{"rename a key", func(text string) (string, error) {
		return edit.RenameKey(text, awsauth.MapRoles, 1, "username", "user")
	}},
	{"set a value", func(text string) (string, error) {
		return edit.SetValue(text, awsauth.MapRoles, 1, "username", "it's new")
	}},
	{"move", func(text string) (string, error) {
		from, to, err := edit.Move(text, "# users\n", awsauth.MapRoles, 1, loadRoles(text)[1].ARN)
		return from + "=== mapUsers\n" + to, err
	}},
}

func loadRoles(text string) []awsauth.Entry {
	return (&awsauth.Object{Data: map[string]string{"mapRoles": text}}).Load().Roles
}

// TestEditsKeepTheStyle: each edit of a text in each style of the oracle's generator gives exactly the text in the golden
// file. UPDATE_GOLDEN=1 writes this file.
func TestEditsKeepTheStyle(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			before := string(archive.Files[0].Data)
			got := &txtar.Archive{Comment: archive.Comment, Files: archive.Files[:1:1]}
			for _, e := range styleEdits {
				text, err := e.edit(before)
				if err != nil {
					text = "refused: " + err.Error()
				}
				if !strings.HasSuffix(text, "\n") {
					text += "\n"
				}
				got.Files = append(got.Files, txtar.File{Name: e.name, Data: []byte(text)})
			}
			if diff := cmp.Diff(string(txtar.Format(archive)), string(txtar.Format(got))); diff != "" {
				if os.Getenv("UPDATE_GOLDEN") == "" {
					t.Errorf("%s (-want +got):\n%s", file, diff)
				} else if err := os.WriteFile(file, txtar.Format(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestOtherLinesStay: after an edit, the lines of the other elements and the comments outside of the element have the same
// bytes and the same order. In a list in brackets, the line of a neighbour may change, because the comma is in this line.
func TestOtherLinesStay(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts := make(map[string]string)
		for _, f := range archive.Files {
			texts[f.Name] = string(f.Data)
		}
		before := texts["before"]
		changed := 0
		if slices.Contains([]string{"cdk-json-line", "flow-list", "json-pretty"}, strings.TrimSuffix(filepath.Base(file), ".txtar")) {
			changed = 1
		}
		for _, c := range []struct {
			name        string
			part, whole string
			most        int // the lines of part that whole may lack
		}{
			{"add", before, texts["add"], changed},
			{"remove the first", texts["remove the first"], before, changed},
			{"remove the last", texts["remove the last"], before, changed},
			{"replace the ARN and the username", before, texts["replace the ARN and the username"], 4}, // a folded scalar has two lines
			{"replace groups", before, texts["replace groups"], 2},
			{"rename a key", before, texts["rename a key"], 1},
			{"set a value", before, texts["set a value"], 2},
		} {
			if strings.HasPrefix(c.part, "refused") || strings.HasPrefix(c.whole, "refused") {
				continue
			}
			if n := missingLines(c.part, c.whole); n > c.most {
				t.Errorf("%s: %s changes %d lines, want at most %d", file, c.name, n, c.most)
			}
		}
	}
}

// missingLines returns the number of lines of part that are not in whole. Lines in another order count as missing.
func missingLines(part, whole string) int {
	a, b := strings.SplitAfter(part, "\n"), strings.SplitAfter(whole, "\n")
	common := make([][]int, len(a)+1) // common[i][j] is the length of the longest common subsequence of a[i:] and b[j:]
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i, line := range slices.Backward(a) {
		for j, other := range slices.Backward(b) {
			if common[i][j] = max(common[i+1][j], common[i][j+1]); line == other {
				common[i][j] = common[i+1][j+1] + 1
			}
		}
	}
	return len(a) - common[0][0]
}
