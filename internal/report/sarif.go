package report

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// homepage is the URL of the project.
const homepage = "https://github.com/awsauth-guard/awsauth-guard"

// SARIF writes a SARIF 2.1.0 log, for example for GitHub code scanning. Add writes the findings of each file, and End writes the errors.
type SARIF struct {
	w           io.Writer
	base        string // see NewSARIF
	driver      sarifDriver
	index       map[string]int // index of a rule in driver.Rules, by id
	begun       bool           // the beginning of the log is written
	results     jsonList
	invocation  sarifInvocation
	occurrences map[string]int // number of equal findings in the present file; see fingerprint
}

// NewSARIF returns a SARIF that writes to w. version is the version of the program. base is a folder: the log has the path of a file in
// this folder relative to the folder.
func NewSARIF(w io.Writer, version, base string) *SARIF {
	s := &SARIF{w: w, base: base, index: make(map[string]int), results: jsonList{depth: 3}, invocation: sarifInvocation{Successful: true}}
	s.driver = sarifDriver{Name: "awsauth-guard", Version: version, InformationURI: homepage}
	for i, rule := range AllRules() {
		r := sarifRule{
			ID: rule.ID, Short: sarifText{Text: rule.Title}, Full: sarifText{Text: paragraphs(rule.Doc)},
			Help: sarifText{paragraphs(rule.Doc), rule.Page()}, HelpURI: homepage + "/blob/main/docs/rules/" + rule.ID + ".md",
		}
		r.Default.Level = sarifLevel(rule.Severity)
		s.driver.Rules = append(s.driver.Rules, r)
		s.index[rule.ID] = i
	}
	return s
}

type sarifTool struct {
	Driver sarifDriver `json:"driver"`
}

type sarifDriver struct {
	Name           string      `json:"name"`
	Version        string      `json:"version"`
	InformationURI string      `json:"informationUri"`
	Rules          []sarifRule `json:"rules"`
}

type sarifRule struct {
	ID      string    `json:"id"`
	Short   sarifText `json:"shortDescription"`
	Full    sarifText `json:"fullDescription"`
	Help    sarifText `json:"help"`
	HelpURI string    `json:"helpUri"`
	Default struct {
		Level string `json:"level"`
	} `json:"defaultConfiguration"`
}

type sarifText struct {
	Text     string `json:"text"`
	Markdown string `json:"markdown,omitempty"`
}

type sarifInvocation struct {
	Successful    bool                `json:"executionSuccessful"`
	Notifications []sarifNotification `json:"toolExecutionNotifications,omitempty"`
}

type sarifNotification struct {
	Level     string          `json:"level"`
	Message   sarifText       `json:"message"`
	Locations []sarifLocation `json:"locations"`
}

type sarifResult struct {
	RuleID       string            `json:"ruleId"`
	RuleIndex    *int              `json:"ruleIndex,omitempty"`
	Level        string            `json:"level"`
	Message      sarifText         `json:"message"`
	Locations    []sarifLocation   `json:"locations"`
	Fingerprints map[string]string `json:"partialFingerprints"`
}

type sarifLocation struct {
	Physical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   *sarifRegion  `json:"region,omitempty"`
	} `json:"physicalLocation"`
	Logical []sarifLogical `json:"logicalLocations,omitempty"`
}

type sarifArtifact struct {
	URI    string `json:"uri"`
	BaseID string `json:"uriBaseId,omitempty"`
}

type sarifRegion struct {
	Line   int `json:"startLine"`
	Column int `json:"startColumn"`
}

type sarifLogical struct {
	FullName string `json:"fullyQualifiedName"`
}

// Add writes the findings of a file. It keeps the errors of the file for End.
func (s *SARIF) Add(f File) error {
	s.occurrences = make(map[string]int)
	for _, p := range f.Problems {
		s.invocation.Successful = false
		s.invocation.Notifications = append(s.invocation.Notifications, sarifNotification{
			Level: "error", Message: sarifText{Text: p.Message}, Locations: []sarifLocation{s.location(p.File, p.Line, p.Column)},
		})
	}
	var b strings.Builder
	if err := s.begin(&b); err != nil {
		return err
	}
	for _, f := range f.Findings {
		if err := s.results.add(&b, s.result(f)); err != nil {
			return err
		}
	}
	return flush(s.w, &b)
}

func (s *SARIF) begin(b *strings.Builder) error {
	if s.begun {
		return nil
	}
	s.begun = true
	tool, err := indented(sarifTool{s.driver}, 3)
	if err != nil {
		return err
	}
	b.WriteString(`{
  "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
  "version": "2.1.0",
  "runs": [
    {
      "tool": ` + tool + `,
      "columnKind": "unicodeCodePoints",
      "results": [`)
	return nil
}

// End writes the rest of the log, with the errors of all files.
func (s *SARIF) End(Total) error {
	var b strings.Builder
	if err := s.begin(&b); err != nil {
		return err
	}
	s.results.end(&b)
	invocations, err := indented([]sarifInvocation{s.invocation}, 3)
	if err != nil {
		return err
	}
	b.WriteString(",\n      \"invocations\": " + invocations + "\n    }\n  ]\n}\n")
	return flush(s.w, &b)
}

func (s *SARIF) result(f Finding) sarifResult {
	line, column := f.Line, f.Column
	message := f.Message
	if f.InText {
		line, column = 0, 0
	}
	if f.Hint != "" {
		message += "; " + f.Hint
	}
	r := sarifResult{RuleID: f.Rule, Level: sarifLevel(f.Severity), Message: sarifText{Text: message}}
	at := s.location(f.File, line, column)
	r.Fingerprints = map[string]string{"awsauthGuard/v1": s.fingerprint(f, at.Physical.Artifact.URI)}
	name := f.Path
	if f.Resource != "" {
		name = f.Resource + "." + f.Path
	}
	at.Logical = []sarifLogical{{name}}
	r.Locations = []sarifLocation{at}
	if i, ok := s.index[f.Rule]; ok {
		r.RuleIndex = &i
	}
	return r
}

// positions matches the parts of a path or a message that change when an entry moves: indexes and line numbers.
var positions = regexp.MustCompile(`\[\d+\]|\bline \d+`)

// identity returns a text that is the same for a finding in every run, even if the finding moves within its file.
func identity(rule, file, resource, path, message string) string {
	return strings.Join([]string{rule, file, resource, positions.ReplaceAllString(path, "[]"), positions.ReplaceAllString(message, "")}, "\x00")
}

// fingerprint returns an id for a finding. The id is the same in every run, even if the finding moves within its file. Equal findings in a
// file have different ids. If further equal findings are added after a finding, it keeps its id.
func (s *SARIF) fingerprint(f Finding, uri string) string {
	what := identity(f.Rule, uri, f.Resource, f.Path, f.Message)
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d", what, s.occurrences[what]))
	s.occurrences[what]++
	return hex.EncodeToString(sum[:16])
}

func sarifLevel(s validate.Severity) string {
	if s == validate.Deny {
		return "error"
	}
	return "warning"
}

func (s *SARIF) location(file string, line, column int) (l sarifLocation) {
	l.Physical.Artifact = s.artifact(file)
	if line > 0 {
		l.Physical.Region = &sarifRegion{line, max(column, 1)}
	}
	return l
}

// artifact returns the location of a file. Code scanning requires a URI relative to the repository, so the URI of a file in s.base is
// relative to s.base.
func (s *SARIF) artifact(file string) sarifArtifact {
	if filepath.IsAbs(file) {
		relative, err := filepath.Rel(s.base, file)
		if err != nil || !filepath.IsLocal(relative) {
			return sarifArtifact{URI: (&url.URL{Scheme: "file", Path: filepath.ToSlash(file)}).String()}
		}
		file = relative
	}
	path := strings.Trim(filepath.ToSlash(file), "<>") // <stdin> is not a valid address
	return sarifArtifact{(&url.URL{Path: strings.TrimPrefix(path, "./")}).String(), "%SRCROOT%"}
}
