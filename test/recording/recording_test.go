package recording_test

import (
	"bytes"
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/test/recording"
)

const images = "../../docs/images"

func read(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(images, name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// TestPictureShowsTheRecording: SVG makes the committed picture from the committed recording.
func TestPictureShowsTheRecording(t *testing.T) {
	cast, err := recording.Parse(read(t, recording.CastFile))
	if err != nil {
		t.Fatal(err)
	}
	want, err := cast.SVG()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, read(t, recording.PictureFile)) {
		t.Error("the picture differs from the recording; run make recording")
	}
}

// TestPicturesAreSafeAndDescribed: each SVG picture of the pages is XML with a title, has no script, and loads no other file.
func TestPicturesAreSafeAndDescribed(t *testing.T) {
	names, err := filepath.Glob(images + "/*.svg")
	if err != nil || len(names) < 3 {
		t.Fatalf("found the pictures %q: %v", names, err)
	}
	for _, name := range names {
		content := read(t, filepath.Base(name))
		if err := xml.Unmarshal(content, new(struct{})); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !strings.Contains(string(content), "<title") {
			t.Errorf("%s has no title", name)
		}
		for _, bad := range []string{"<script", "href=", "@import", "url(http", "<foreignObject"} {
			if strings.Contains(string(content), bad) {
				t.Errorf("%s contains %s", name, bad)
			}
		}
	}
}

// record returns a recording of texts, with a second between them.
func record(t *testing.T, texts ...string) recording.Cast {
	t.Helper()
	now := time.Unix(0, 0)
	var out strings.Builder
	recorder := recording.New(&out, func() time.Time { defer func() { now = now.Add(time.Second) }(); return now })
	for _, text := range texts {
		if _, err := recorder.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if out.String() != strings.Join(texts, "") {
		t.Errorf("the recorder passed on %q", out.String())
	}
	return recorder.Cast()
}

// TestCastIsAnAsciicast: the file has the header of an asciicast, and an event with carriage returns for each text. Parse reads
// the same recording from the file.
func TestCastIsAnAsciicast(t *testing.T) {
	cast := record(t, "\x1b[1mstart\x1b[0m\n", "<end>\n")
	text, err := cast.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"version":2,"width":100,"height":2,"idle_time_limit":2,"title":"make demo"}
[1.00,"o","\u001b[1mstart\u001b[0m\r\n"]
[2.00,"o","<end>\r\n"]
`
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("file (-want +got):\n%s", diff)
	}
	got, err := recording.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(cast, got); diff != "" {
		t.Errorf("recording (-want +got):\n%s", diff)
	}
}

// TestPictureBreaksLongLines: a line of 250 characters takes three lines of the picture, and no text is lost.
func TestPictureBreaksLongLines(t *testing.T) {
	screen := "\x1b[1mstep\x1b[0m\n"
	picture, err := record(t, screen, screen, screen, screen, strings.Repeat("x", 250)+"\n").SVG()
	if err != nil {
		t.Fatal(err)
	}
	for length, want := range map[int]int{100: 2, 50: 1} {
		if n := strings.Count(string(picture), ">"+strings.Repeat("x", length)+"<"); n != want {
			t.Errorf("the picture has %d lines of %d characters, want %d:\n%s", n, length, want, picture)
		}
	}
}

// TestSVGFailsWithoutStillScreen: SVG fails if the recording lacks the screen that readers who prefer no motion see.
func TestSVGFailsWithoutStillScreen(t *testing.T) {
	if _, err := record(t, "one screen\n").SVG(); err == nil {
		t.Error("want an error for a recording with one screen")
	}
}

// TestComparableKeepsWords: Comparable removes only ports, durations, colours and values of metrics.
func TestComparableKeepsWords(t *testing.T) {
	one := "\x1b[32m✔\x1b[0m runs on https://127.0.0.1:12345 (1.5 s)\n   awsauth_guard_reviews_total{verdict=\"deny\"} 6\n"
	other := "✔ runs on https://127.0.0.1:6443 (12.0 s)\n   awsauth_guard_reviews_total{verdict=\"deny\"} 7\n"
	if diff := cmp.Diff(recording.Comparable(one), recording.Comparable(other)); diff != "" {
		t.Errorf("these outputs must be equal:\n%s", diff)
	}
	for _, changed := range []string{
		strings.Replace(one, "✔", "✘", 1), strings.Replace(one, "deny", "allow", 1), strings.Replace(one, "runs", "ran", 1),
	} {
		if recording.Comparable(one) == recording.Comparable(changed) {
			t.Errorf("these outputs must differ:\n%s\n%s", one, changed)
		}
	}
}
