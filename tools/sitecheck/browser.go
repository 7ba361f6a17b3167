package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

const (
	// The widths of the windows in pixels: a laptop, and a phone.
	wide, narrow = 1280, 390
	height       = 900
	// pageTimeout limits the actions on one page, which take less than a second.
	pageTimeout = time.Minute
	// searchWord is the title of a page. The search for this word must show this page first, and then other pages that have the word.
	searchWord = "self-lockout"
)

// page is a loaded page.
type page struct {
	IDs      []string `json:"ids"`      // the names that a fragment of an address can have
	Links    []string `json:"links"`    // the addresses of its links
	Problems []string `json:"problems"` // the faults of the page itself
}

// describe is a JavaScript expression, whose value has the fields of a page.
const describe = `({
	ids: [...document.querySelectorAll('[id]')].map((element) => element.id),
	links: [...document.querySelectorAll('a[href]')].map((link) => decodeURI(link.href)),
	problems: [
		...[...document.images].filter((image) => image.naturalWidth === 0).map((image) => 'the image ' + image.src + ' is empty'),
		...(document.querySelectorAll('h1').length === 1 ? [] : ['it does not have exactly one h1']),
	],
})`

// browser is a running Chromium with one tab.
type browser struct {
	tab    context.Context //nolint:containedctx // chromedp keeps the tab in a context
	origin string          // the address of the site's server

	mu       sync.Mutex
	problems []string // the problems of the page in the tab since the last call of taken
}

// startBrowser starts Chromium with an empty profile. origin is the address of the site. stop ends Chromium.
func startBrowser(ctx context.Context, origin string) (b *browser, stop func(), err error) {
	program := os.Getenv("CHROME")
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil && program == "" {
			program = found
		}
	}
	if program == "" {
		return nil, nil, errors.New("there is no Chromium; install it, such as with apt-get install chromium, or set CHROME to its path")
	}
	options := []chromedp.ExecAllocatorOption{chromedp.ExecPath(program), chromedp.Headless, chromedp.WindowSize(wide, height)}
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium's sandbox refuses root
	}
	allocator, stopAllocator := chromedp.NewExecAllocator(ctx, options...)
	tab, stopTab := chromedp.NewContext(allocator)
	stop = func() { stopTab(); stopAllocator() }
	b = &browser{tab: tab, origin: origin}
	if err := b.start(); err != nil {
		stop()
		return nil, nil, fmt.Errorf("starting %s: %w", program, err)
	}
	return b, stop, nil
}

// start starts to record the problems of the pages in the tab.
func (b *browser) start() error {
	if err := chromedp.Listen(b.tab, b.record); err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	if _, err := chromedp.Call(b.tab, network.Enable, network.EnableParams{}); err != nil {
		return fmt.Errorf("recording the requests: %w", err)
	}
	return nil
}

// record adds an event of the tab to the problems, if the event is one. chromedp calls it in another goroutine.
func (b *browser) record(event any) {
	problem := ""
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		problem = "an exception: " + e.ExceptionDetails.Text
	case *runtime.EventConsoleAPICalled:
		problem = "its scripts write to the console"
	case *log.EventEntryAdded:
		problem = fmt.Sprintf("the console says: %s %s", e.Entry.Text, e.Entry.URL)
	case *network.EventRequestWillBeSent:
		if !strings.HasPrefix(e.Request.URL, b.origin) {
			problem = "it asks another server: " + e.Request.URL
		}
	}
	if problem != "" {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.problems = append(b.problems, problem)
	}
}

// taken returns the recorded problems, and removes them from the list.
func (b *browser) taken() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := b.problems
	b.problems = nil
	return list
}

// do runs steps in the tab, for pageTimeout at most.
func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) error {
	_, err := run(b, chromedp.Steps(steps...))
	return err
}

// run runs an action in the tab, for pageTimeout at most.
func run[T any](b *browser, action chromedp.Action[T]) (T, error) {
	ctx, cancel := context.WithTimeout(b.tab, pageTimeout)
	defer cancel()
	return chromedp.Run(ctx, action) //nolint:wrapcheck // the callers name the page
}

// load loads a page, reads its fields, and measures its width in windows of both widths.
func (b *browser) load(address string) (*page, error) {
	if err := b.do(chromedp.EmulateViewport(wide, height), chromedp.Navigate(address)); err != nil {
		return nil, err
	}
	p, err := run(b, chromedp.Evaluate[page](describe))
	if err != nil {
		return nil, err
	}
	for _, width := range []int64{wide, narrow} {
		if err := b.do(chromedp.EmulateViewport(width, height)); err != nil {
			return nil, err
		}
		got, err := run(b, chromedp.Evaluate[int64](`document.documentElement.scrollWidth`))
		if err != nil {
			return nil, err
		}
		if got > width {
			p.Problems = append(p.Problems, fmt.Sprintf("it is %d pixels wide in a window of %d", got, width))
		}
	}
	p.Problems = append(p.Problems, b.taken()...)
	return &p, nil
}

// search types searchWord into the search field of a page, and returns the problems of the results.
func (b *browser) search(address string) ([]string, error) {
	query, result := chromedp.CSS("#query"), chromedp.CSS("#results a")
	if err := b.do(chromedp.EmulateViewport(wide, height), chromedp.Navigate(address), chromedp.SendKeys(query, searchWord), chromedp.WaitVisible(result)); err != nil {
		return nil, fmt.Errorf("searching for %q: %w", searchWord, err)
	}
	titles, err := run(b, chromedp.Evaluate[string](`[...document.querySelectorAll('#results b')].map((title) => title.textContent).join('\n')`))
	if err != nil {
		return nil, fmt.Errorf("reading the results: %w", err)
	}
	problems := b.taken()
	if first, rest, _ := strings.Cut(titles, "\n"); first != searchWord || rest == "" {
		problems = append(problems, fmt.Sprintf("%q finds\n%s", searchWord, titles))
	}
	// The first result is a link to another page.
	if _, err := chromedp.RunResponse(b.tab, chromedp.SendKeys(query, kb.Enter)); err != nil {
		problems = append(problems, "the key Enter does not open the first result: "+err.Error())
	}
	return append(problems, b.taken()...), nil
}

// photograph saves screenshots of some pages at both widths, and of the home page and the tutorial also with dark colours.
func (b *browser) photograph(address, folder string) error {
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return fmt.Errorf("making the folder of the screenshots: %w", err)
	}
	for _, target := range []string{"", "docs/tutorial/", "ja/", "docs/", "docs/rules/", "docs/rules/yaml-syntax/", "docs/reference/metrics/", "docs/how-to/lint-in-ci/"} {
		for _, width := range []int64{wide, narrow} {
			for _, scheme := range []string{"light", "dark"} {
				if scheme == "dark" && target != "" && target != "docs/tutorial/" {
					continue
				}
				colours := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
				if _, err := chromedp.Call(b.tab, emulation.SetEmulatedMedia, colours); err != nil {
					return fmt.Errorf("choosing %s colours: %w", scheme, err)
				}
				if err := b.do(chromedp.EmulateViewport(width, height), chromedp.Navigate(address+target)); err != nil {
					return fmt.Errorf("loading %s: %w", target, err)
				}
				picture, err := run(b, chromedp.CaptureScreenshot())
				if err != nil {
					return fmt.Errorf("photographing %s: %w", target, err)
				}
				name := strings.ReplaceAll(strings.Trim(target, "/"), "/", "-")
				if name == "" {
					name = "home"
				}
				file := filepath.Join(folder, fmt.Sprintf("%s-%d-%s.png", name, width, scheme))
				if err := os.WriteFile(file, picture, 0o600); err != nil {
					return fmt.Errorf("saving a screenshot: %w", err)
				}
			}
		}
	}
	return nil
}
