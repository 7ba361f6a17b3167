package words_test

import (
	"cmp"
	_ "embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/awsauth-guard/awsauth-guard/test/words"
)

const (
	// maxRiddles is the permitted number of riddle words per 1,000 words. Go comments of cert-manager have 0.2, its pages 0.7.
	maxRiddles = 1.5
	// maxWords is the permitted number of words in a sentence of a page.
	maxWords = 40
	// root is the folder of the repository.
	root = "../.."
)

//go:embed banned.txt
var banned string

// A text is the part of a file that the checks read: the prose of a page, or the comments or messages of a Go file.
type text struct{ file, prose string }

var (
	pages = sync.OnceValues(func() ([]text, error) {
		return read(".md", func(page string) (string, error) { return words.Markdown(page), nil })
	})
	comments = sync.OnceValues(func() ([]text, error) { return read(".go", words.Comments) })
	messages = sync.OnceValues(func() ([]text, error) { return read(".go", words.Messages) })
)

// read returns the texts of the files with a suffix, in every module of the repository. It leaves out this package's
// folder, because it quotes banned phrases. It also leaves out folders of test data, hidden folders and build results.
func read(suffix string, prose func(string) (string, error)) (texts []text, err error) {
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, path)
		if entry.IsDir() {
			hidden := strings.HasPrefix(name, ".") && name != "."
			if hidden || entry.Name() == "testdata" || slices.Contains([]string{"bin", "dist", "test/words"}, filepath.ToSlash(name)) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, suffix) || !entry.Type().IsRegular() {
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		p, err := prose(string(content))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		texts = append(texts, text{filepath.ToSlash(name), p})
		return nil
	})
	if err == nil && len(texts) < 30 {
		err = fmt.Errorf("found %d files *%s in %s, want the whole repository", len(texts), suffix, root)
	}
	return texts, err
}

// must returns a copy of the texts that get returns. It fails the test if get fails.
func must(t *testing.T, get func() ([]text, error)) []text {
	t.Helper()
	texts, err := get()
	if err != nil {
		t.Fatal(err)
	}
	return slices.Clone(texts)
}

// TestProseHasFewRiddleWords fails if pages or Go comments have too many riddle words. It names the files with the most of
// these words.
func TestProseHasFewRiddleWords(t *testing.T) {
	t.Parallel()
	for name, texts := range map[string][]text{"pages": must(t, pages), "Go comments": must(t, comments)} {
		total, riddles := 0, 0
		hits := map[string][]words.Hit{}
		for _, text := range texts {
			found := words.Riddles(text.prose)
			hits[text.file] = found
			total += words.Count(text.prose)
			riddles += len(found)
		}
		rate := 1000 * float64(riddles) / float64(total)
		t.Logf("%s: %d riddle words in %d words: %.2f per 1,000", name, riddles, total, rate)
		if rate <= maxRiddles {
			continue
		}
		t.Errorf("%s have %.2f riddle words per 1,000 words, want at most %.1f; rewrite these sentences so that they name the actor and the action:",
			name, rate, maxRiddles)
		slices.SortFunc(texts, func(a, b text) int {
			return cmp.Or(len(hits[b.file])-len(hits[a.file]), strings.Compare(a.file, b.file))
		})
		for _, text := range texts[:10] {
			for _, hit := range hits[text.file] {
				t.Errorf("%s:%d: %s", text.file, hit.Line, hit.Text)
			}
		}
	}
}

// TestMessagesHaveNoRiddleWord fails if a text of the programs, such as an error, a finding or a help text, has a riddle word.
func TestMessagesHaveNoRiddleWord(t *testing.T) {
	t.Parallel()
	for _, text := range must(t, messages) {
		program := strings.HasPrefix(text.file, "internal/") || strings.HasPrefix(text.file, "cmd/")
		if !program || strings.HasSuffix(text.file, "_test.go") {
			continue
		}
		for _, hit := range words.Riddles(text.prose) {
			t.Errorf("%s:%d: %s", text.file, hit.Line, hit.Text)
		}
	}
}

// TestProseHasNoBannedPhrase fails if a page or a Go comment has a phrase of banned.txt.
func TestProseHasNoBannedPhrase(t *testing.T) {
	t.Parallel()
	bans, err := words.ParseBans(banned)
	if err != nil {
		t.Fatal("banned.txt:", err)
	}
	for _, text := range append(must(t, pages), must(t, comments)...) {
		for _, ban := range bans {
			for _, hit := range ban.Find(text.prose) {
				t.Errorf("%s:%d: %q; write instead: %s", text.file, hit.Line, hit.Text, ban.Instead)
			}
		}
	}
}

// TestPagesHaveNoLongSentence fails if a sentence of a page has more than maxWords words.
func TestPagesHaveNoLongSentence(t *testing.T) {
	t.Parallel()
	for _, text := range must(t, pages) {
		for _, hit := range words.LongSentences(text.prose, maxWords) {
			t.Errorf("%s:%d: a sentence of %d words, want at most %d: %s", text.file, hit.Line, words.Count(hit.Text), maxWords, hit.Text)
		}
	}
}
