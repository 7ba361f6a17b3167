package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

const (
	// begin and end are the lines of the page before and after the table.
	begin, end = "<!-- begin versions -->\n", "<!-- end versions -->\n"
	// releaseRow is the first row of the table. It has the tested release of each version.
	releaseRow = "tested release"
	yes, no    = "yes", "no"
	notRun     = "not run"
)

// column has the results of one version of Kubernetes, by the title of the row.
type column map[string]string

// failed reports whether a check of the column fails.
func (c column) failed() bool { return slices.Contains(slices.Collect(maps.Values(c)), no) }

// table is the table of the page: its columns, by the version.
type table map[string]column

// readTable reads the table of a page. It fails if the page has no table, or a row has too many or too few cells.
func readTable(text string) (table, error) {
	_, rest, ok1 := strings.Cut(text, begin)
	rest, _, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		return nil, fmt.Errorf("the page lacks the line %q or %q", strings.TrimSpace(begin), strings.TrimSpace(end))
	}
	t := table{}
	var versions []string
	for line := range strings.Lines(rest) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case strings.TrimSpace(line) == "" || strings.HasPrefix(cells[0], "---"):
		case versions == nil:
			versions = cells[1:]
			for _, version := range versions {
				t[version] = column{}
			}
		case len(cells) != 1+len(versions):
			return nil, fmt.Errorf("a row has more or fewer cells than the first row: %s", line)
		default:
			for i, version := range versions {
				t[version][cells[0]] = cells[1+i]
			}
		}
	}
	return t, nil
}

// setVersions adds an empty column for each of the versions that has none, and removes the columns of all other versions.
func (t table) setVersions(versions []string) {
	maps.DeleteFunc(t, func(version string, _ column) bool { return !slices.Contains(versions, version) })
	for _, version := range versions {
		if t[version] == nil {
			t[version] = column{}
		}
	}
}

// versions returns the versions of the columns, oldest first.
func (t table) versions() []string {
	return slices.SortedFunc(maps.Keys(t), func(a, b string) int { return cmp.Compare(minor(a), minor(b)) })
}

// minor returns 30 for the version 1.30.
func minor(version string) int {
	_, text, _ := strings.Cut(version, ".")
	n, _ := strconv.Atoi(text) // 0 for other texts
	return n
}

// writeInto returns the page with this table. The page must have a table already.
func (t table) writeInto(text string) string {
	versions := t.versions()
	var b strings.Builder
	row := func(title string, cell func(version string) string) {
		b.WriteString("| " + title + " |")
		for _, version := range versions {
			b.WriteString(" " + cell(version) + " |")
		}
		b.WriteByte('\n')
	}
	row("", func(version string) string { return version })
	b.WriteString("|---|" + strings.Repeat("---|", len(versions)) + "\n")
	for _, title := range rows() {
		row(title, func(version string) string { return cmp.Or(t[version][title], notRun) })
	}
	before, rest, _ := strings.Cut(text, begin)
	_, after, _ := strings.Cut(rest, end)
	return before + begin + b.String() + end + after
}

// rows returns the titles of the rows.
func rows() []string {
	titles := []string{releaseRow}
	for _, check := range checks {
		titles = append(titles, check.title)
	}
	return titles
}
