// Command sitecheck loads every page of the built site in headless Chromium, at the width of a desktop and of a phone.
// It fails if a page writes to the console, asks another server, is wider than the window, has an image that doesn't load, or doesn't
// have exactly one h1. It fails if a link leads to no page, file or heading of the site, or if the search doesn't find a certain page.
// It saves screenshots of some pages.
//
//	sitecheck SITE SCREENSHOTS
//
// It needs Chromium, such as Debian's package chromium. The variable CHROME names another program than the first in the PATH.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	// timeout limits the whole check, which takes less than two minutes on two cores without other work.
	timeout = 20 * time.Minute
	// prefix is the path below which GitHub Pages serves the site. If this program served the site at the root instead, it would not
	// find a link such as /docs/, which lacks the prefix.
	prefix = "/awsauth-guard/"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: sitecheck SITE SCREENSHOTS")
		os.Exit(2) //nolint:forbidigo // this is main
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	err := check(ctx, os.Stdout, os.Args[1], os.Args[2])
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "sitecheck:", err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

// check checks the site in the folder site, and saves screenshots in the folder screenshots.
func check(ctx context.Context, out io.Writer, site, screenshots string) error {
	pages, err := pagesOf(os.DirFS(site))
	if err != nil {
		return err
	}
	if len(pages) < 10 {
		return fmt.Errorf("%s has only %d pages; run make site", site, len(pages))
	}
	address, stop, err := serve(ctx, site)
	if err != nil {
		return err
	}
	defer stop()
	browser, closeBrowser, err := startBrowser(ctx, address)
	if err != nil {
		return err
	}
	defer closeBrowser()

	newest := address + "latest/"
	if !slices.Contains(pages, "latest/") {
		newest = address + "main/" // before the first release
	}
	var problems []string
	loaded := map[string]*page{}
	for _, name := range pages {
		p, err := browser.load(address + name)
		if err != nil {
			return fmt.Errorf("loading %s: %w", name, err)
		}
		loaded[address+name] = p
		for _, problem := range p.Problems {
			problems = append(problems, name+": "+problem)
		}
	}
	links := 0
	for _, name := range pages {
		for _, link := range loaded[address+name].Links {
			links++
			if problem := follow(site, address, link, loaded); problem != "" {
				problems = append(problems, fmt.Sprintf("%s: the link %s: %s", name, strings.TrimPrefix(link, address), problem))
			}
		}
	}
	found, err := browser.search(newest)
	if err != nil {
		return err
	}
	for _, problem := range found {
		problems = append(problems, "search: "+problem)
	}
	if err := browser.photograph(newest, screenshots); err != nil {
		return err
	}
	if len(problems) > 0 {
		return fmt.Errorf("%d problems:\n%s", len(problems), strings.Join(problems, "\n"))
	}
	_, err = fmt.Fprintf(out, "sitecheck: %d pages and %d links are right; screenshots are in %s\n", len(pages), links, screenshots)
	return err
}

// pagesOf returns the addresses of the site's pages, relative to its root: the folder of each index.html. It leaves out the index.html
// of the root and 404.html, which only lead to other pages.
func pagesOf(site fs.FS) (list []string, err error) {
	err = fs.WalkDir(site, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !entry.IsDir() && path.Base(name) == "index.html" && name != "index.html" {
			list = append(list, path.Dir(name)+"/")
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the site: %w", err)
	}
	slices.Sort(list)
	return list, nil
}

// serve serves the site on a loopback address until the caller calls stop. It returns the address of the site, which ends with prefix.
func serve(ctx context.Context, site string) (address string, stop func(), err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("serving the site: %w", err)
	}
	server := &http.Server{
		Handler:           http.StripPrefix(strings.TrimSuffix(prefix, "/"), http.FileServer(http.Dir(site))),
		ReadHeaderTimeout: 10 * time.Second,
	}
	go func() { _ = server.Serve(listener) }() // Serve returns when stop closes the server
	return "http://" + listener.Addr().String() + prefix, func() { _ = server.Close() }, nil
}

// follow returns the problem of a link. It returns "" if the link leads to a page, heading or file of the site, or leaves the site by
// https or mailto.
func follow(site, address, link string, pages map[string]*page) string {
	target, fragment, _ := strings.Cut(link, "#")
	name, inside := strings.CutPrefix(target, address)
	if !inside {
		if strings.HasPrefix(target, "https://") || strings.HasPrefix(target, "mailto:") {
			return ""
		}
		return "it leaves the site, and is not https"
	}
	if p, ok := pages[target]; ok {
		if fragment != "" && !slices.Contains(p.IDs, fragment) {
			return "the page has no heading with this name"
		}
		return ""
	}
	if strings.HasSuffix(name, "/") || name == "" {
		return "there is no such page"
	}
	info, err := os.Stat(filepath.Join(site, filepath.FromSlash(name)))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "there is no such file"
	case err != nil:
		return err.Error()
	case info.IsDir():
		return "it lacks the slash at the end"
	}
	return ""
}
