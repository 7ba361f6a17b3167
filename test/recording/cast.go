// Package recording records the output that a program prints to a terminal. It writes the recording as an asciicast
// (https://docs.asciinema.org/manual/asciicast/v2/), and as an animated SVG picture for pages.
package recording

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"
)

// Width is the number of columns of the recorded terminal.
const Width = 100

// Event is a text that the program printed.
type Event struct {
	// Seconds is the time since the start of the recording.
	Seconds float64
	Text    string
}

// Cast is a recording.
type Cast struct {
	Events []Event
}

// header is the first line of an asciicast. A player shortens longer pauses to IdleLimit seconds.
type header struct {
	Version   int     `json:"version"`
	Width     int     `json:"width"`
	Height    int     `json:"height"`
	IdleLimit float64 `json:"idle_time_limit"`
	Title     string  `json:"title"`
}

// Marshal returns the recording as an asciicast.
func (c Cast) Marshal() ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(header{Version: 2, Width: Width, Height: c.height(), IdleLimit: 2, Title: title}); err != nil {
		return nil, fmt.Errorf("encoding the header: %w", err)
	}
	for _, e := range c.Events {
		// A player moves to the beginning of a line only after a carriage return.
		text := strings.ReplaceAll(e.Text, "\n", "\r\n")
		if err := encoder.Encode([]any{json.Number(fmt.Sprintf("%.2f", e.Seconds)), "o", text}); err != nil {
			return nil, fmt.Errorf("encoding an event: %w", err)
		}
	}
	return out.Bytes(), nil
}

// Parse reads an asciicast that Marshal wrote.
func Parse(data []byte) (Cast, error) {
	var c Cast
	decoder := json.NewDecoder(bytes.NewReader(data))
	var h header
	if err := decoder.Decode(&h); err != nil {
		return c, fmt.Errorf("decoding the header: %w", err)
	}
	if h.Version != 2 || h.Width != Width {
		return c, fmt.Errorf("the asciicast has the version %d and %d columns, want 2 and %d", h.Version, h.Width, Width)
	}
	for {
		var e Event
		var kind string
		err := decoder.Decode(&[]any{&e.Seconds, &kind, &e.Text})
		if errors.Is(err, io.EOF) {
			return c, nil
		}
		if err != nil {
			return c, fmt.Errorf("decoding an event: %w", err)
		}
		e.Text = strings.ReplaceAll(e.Text, "\r\n", "\n")
		c.Events = append(c.Events, e)
	}
}

// Output returns everything that the program printed.
func (c Cast) Output() string {
	var out strings.Builder
	for _, e := range c.Events {
		out.WriteString(e.Text)
	}
	return out.String()
}

// changing matches the parts of the output that can differ between two runs: colours, which need a terminal, ports, durations,
// and the values of metrics.
var changing = regexp.MustCompile(`\x1b\[[0-9;]*m|:[0-9]{4,5}\b|\([0-9.]+ s\)|(?m:^( *awsauth_guard_\S+) .*$)`)

// Comparable returns the output without the parts that can differ between two runs of the same program.
func Comparable(output string) string {
	return changing.ReplaceAllString(output, "$1")
}

// Recorder records the texts that are written to it, and writes them to another writer.
type Recorder struct {
	out   io.Writer
	now   func() time.Time
	start time.Time
	cast  Cast
}

// New starts a recording. The recorder also writes the recorded texts to out. now returns the current time.
func New(out io.Writer, now func() time.Time) *Recorder {
	return &Recorder{out: out, now: now, start: now()}
}

// Write records a text and writes it to the other writer.
func (r *Recorder) Write(text []byte) (int, error) {
	r.cast.Events = append(r.cast.Events, Event{Seconds: r.now().Sub(r.start).Seconds(), Text: string(text)})
	n, err := r.out.Write(text)
	if err != nil {
		return n, fmt.Errorf("writing the recorded text: %w", err)
	}
	return n, nil
}

// Cast returns the recording so far.
func (r *Recorder) Cast() Cast { return r.cast }
