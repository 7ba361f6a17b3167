package recording

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"regexp"
	"strings"
)

const (
	// charWidth and lineHeight are the size of a character in the picture, in pixels. The attribute textLength gives the text
	// this width in every font. margin is the space around the text, in pixels.
	charWidth, lineHeight = 8.4, 19
	margin                = 16
	// bar is the height of the bar above the terminal, in pixels.
	bar = 34
	// pause is the time for which the picture shows a screen, in seconds.
	pause = 6
)

// run is a part of a line in one style. The style is the class of the text in the picture, or "". A class is c or w, for a
// colour or a weight, with the parameter of the escape sequence "Select Graphic Rendition". A style can have both.
type run struct{ style, text string }

// line is a line of the terminal. It has at most Width characters.
type line []run

// screen is a part of the output that the picture shows at once.
type screen []line

var sequence = regexp.MustCompile(`\x1b\[([0-9;]*)m`)

// lines returns the output as lines of the terminal. It breaks lines of more than Width characters, as a terminal does.
func lines(output string) (list []line) {
	style := ""
	for text := range strings.Lines(output) {
		text = strings.TrimSuffix(text, "\n")
		var l line
		column := 0
		add := func(text string) {
			for rest := []rune(text); len(rest) > 0; {
				if column == Width {
					list, l, column = append(list, l), nil, 0
				}
				n := min(Width-column, len(rest))
				l = append(l, run{style, string(rest[:n])})
				rest, column = rest[n:], column+n
			}
		}
		for {
			at := sequence.FindStringSubmatchIndex(text)
			if at == nil {
				add(text)
				break
			}
			add(text[:at[0]])
			switch parameter := text[at[2]:at[3]]; parameter {
			case "0", "":
				style = ""
			case "1", "2": // a weight, with a colour
				style = strings.TrimSpace(style + " w" + parameter)
			default:
				style = "c" + parameter
			}
			text = text[at[1]:]
		}
		list = append(list, l)
	}
	return list
}

// screens returns the screens of the recording, without empty lines at their ends. A line that begins in bold begins a screen.
func (c Cast) screens() (list []screen) {
	for _, l := range lines(c.Output()) {
		if begins := len(l) > 0 && l[0].style == "w1"; begins || len(list) == 0 {
			list = append(list, nil)
		}
		last := &list[len(list)-1]
		*last = append(*last, l)
	}
	for i, s := range list {
		for len(s) > 0 && len(s[len(s)-1]) == 0 {
			s = s[:len(s)-1]
		}
		list[i] = s
	}
	return list
}

// height returns the number of lines of the longest screen.
func (c Cast) height() int {
	height := 1
	for _, s := range c.screens() {
		height = max(height, len(s))
	}
	return height
}

const style = `
  .back { fill: #12171e; stroke: #303a47; }
  .bar { fill: #1a212b; }
  text { fill: #d9e0e8; font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; white-space: pre; }
  .c31 { fill: #ff9c92; }
  .c32 { fill: #8fd3a4; }
  .w1 { font-weight: 700; }
  .w2 { fill: #9aa7b5; }
  .title { fill: #9aa7b5; text-anchor: middle; }
  .screen { visibility: hidden; animation: show %ds step-end infinite; }
  @keyframes show { 0%% { visibility: visible; } %.4f%% { visibility: hidden; } }
  @media (prefers-reduced-motion: reduce) {
    .screen { animation: none; }
    .still { visibility: visible; }
  }
`

// SVG returns the recording as a picture that shows one screen after the other. The picture has a description for readers who
// can't see it. A reader who prefers no motion sees only the screen with the number still. The first screen has the number 0.
// SVG fails if the recording has no screen with the number still.
func (c Cast) SVG() ([]byte, error) {
	screens := c.screens()
	if still >= len(screens) {
		return nil, fmt.Errorf("the recording has %d screens, and no number %d", len(screens), still)
	}
	width, height := int(charWidth*Width)+2*margin, bar+lineHeight*c.height()+2*margin
	var out bytes.Buffer
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-labelledby="title desc">`+"\n", width, height, width, height)
	fmt.Fprintf(&out, "<title id=\"title\">%s</title>\n<desc id=\"desc\">%s</desc>\n", escape(title), escape(description))
	fmt.Fprintf(&out, "<style>"+style, pause*len(screens), 100/float64(len(screens)))
	for i := range screens {
		fmt.Fprintf(&out, "  .s%d { animation-delay: %ds; }\n", i, pause*i)
	}
	fmt.Fprintf(&out, "</style>\n"+`<rect class="back" x="0.5" y="0.5" width="%d" height="%d" rx="8"/>`+"\n", width-1, height-1)
	fmt.Fprintf(&out, `<path class="bar" d="M1 %d V8 a7 7 0 0 1 7-7 H%d a7 7 0 0 1 7 7 V%d Z"/>`+"\n", bar, width-8, bar)
	fmt.Fprintf(&out, `<text class="title" x="%d" y="22">%s</text>`+"\n", width/2, escape(title))
	for i, s := range screens {
		class := fmt.Sprintf("screen s%d", i)
		if i == still {
			class += " still"
		}
		fmt.Fprintf(&out, "<g class=%q>\n", class)
		for n, l := range s {
			writeLine(&out, l, bar+margin+lineHeight*n+14)
		}
		out.WriteString("</g>\n")
	}
	out.WriteString("</svg>\n")
	return out.Bytes(), nil
}

// writeLine writes a line as text elements of the picture, with the base line at y.
func writeLine(out *bytes.Buffer, l line, y int) {
	column := 0
	for _, r := range l {
		length := len([]rune(r.text))
		text := strings.TrimLeft(r.text, " ")
		indent := length - len([]rune(text))
		if text = strings.TrimRight(text, " "); text != "" {
			class := ""
			if r.style != "" {
				class = fmt.Sprintf(" class=%q", r.style)
			}
			fmt.Fprintf(out, `<text x="%.1f" y="%d" textLength="%.1f"%s>%s</text>`+"\n",
				margin+charWidth*float64(column+indent), y, charWidth*float64(len([]rune(text))), class, escape(text))
		}
		column += length
	}
}

// escape returns text as character data of XML.
func escape(text string) string {
	var out bytes.Buffer
	if err := xml.EscapeText(&out, []byte(text)); err != nil {
		panic(err) // a bytes.Buffer returns no error
	}
	return out.String()
}
