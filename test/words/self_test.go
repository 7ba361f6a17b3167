package words_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/test/words"
)

func TestRiddlesReportsWordsThatHideTheActor(t *testing.T) {
	t.Parallel()
	got := words.Riddles("Whoever asks gets what\n\tis stored.\n\nNone of the replicas write in its\nstead.\n")
	want := []words.Hit{{Line: 1, Text: "Whoever"}, {Line: 1, Text: "what is"}, {Line: 4, Text: "None of"}, {Line: 4, Text: "in its stead"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRiddlesAdmitsPlainSentences(t *testing.T) {
	t.Parallel()
	const plain = "The leader writes the history. A report says what\n\nis a heading of its own. It names what changed.\n"
	if got := words.Riddles(plain); got != nil {
		t.Errorf("got %v, want none", got)
	}
}

func TestMarkdownKeepsOnlyProse(t *testing.T) {
	t.Parallel()
	page := strings.Join([]string{
		"# A page", "<!-- whoever", "reads this -->",
		"It runs `whoever", "asks` and ``a ` nobody``, see [the page](guide/whoever.md).",
		"```console", "$ whoever", "~~~", "```", "The end.",
	}, "\n")
	want := strings.Join([]string{
		"# A page", "", "",
		"It runs x", " and x, see [the page].",
		"", "", "", "", "The end.",
	}, "\n")
	if diff := cmp.Diff(want, words.Markdown(page)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCommentsKeepsOnlyComments(t *testing.T) {
	t.Parallel()
	source := strings.Join([]string{
		"//go:build e2e", "", "// Package p is.", "package p", "",
		`const nobody = "// whoever" // A trailing one.`, "", "/* Two", "lines. */", "var x int //nolint:unused // whoever",
	}, "\n")
	want := strings.Join([]string{
		"", "", " Package p is.", "", "",
		" A trailing one.", "", " Two", "lines. ", "",
	}, "\n")
	got, err := words.Comments(source)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := words.Comments("no Go"); err == nil {
		t.Error("a text that isn't Go has no error")
	}
}

func TestMessagesKeepsOnlyStrings(t *testing.T) {
	t.Parallel()
	got, err := words.Messages("package p // nobody\n\nvar x = \"One \" + `two\nthree` // whoever")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("\n\n\"One \"`two\nthree`", got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := words.Messages("no Go"); err == nil {
		t.Error("a text that isn't Go has no error")
	}
}

func TestBansFindWholePhrases(t *testing.T) {
	t.Parallel()
	bans, err := words.ParseBans("# a comment\n\nput back -> restore\n")
	if err != nil || len(bans) != 1 || bans[0].Instead != "restore" {
		t.Fatalf("got %v, %v, want one ban", bans, err)
	}
	want := []words.Hit{{Line: 2, Text: "Put back"}}
	if diff := cmp.Diff(want, bans[0].Find("input backwards\nPut\nback the version")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := words.ParseBans("put back: restore"); err == nil {
		t.Error("a line without an arrow has no error")
	}
}

func TestLongSentencesEndsASentenceAtItsMarkOrBlock(t *testing.T) {
	t.Parallel()
	harmless := "One two three. Four five six: seven\neight nine; one two three\n\nfour five\n- six seven\n- eight nine\n" +
		"| one two | three four |\n| --- | --- |\n| five six | seven |\n"
	if got := words.LongSentences(harmless, 3); got != nil {
		t.Errorf("got %v, want none", got)
	}
	want := []words.Hit{{Line: 2, Text: "Four five six seven."}}
	if diff := cmp.Diff(want, words.LongSentences("One two.\nFour five\nsix seven. Eight nine.", 3)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
