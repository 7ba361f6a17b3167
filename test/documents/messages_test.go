package documents_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// foreign are parts of messages of Kubernetes and AWS that the pages quote. This repository's code doesn't have them.
var foreign = []string{
	"no endpoints available", "connection refused", "not found", "context deadline exceeded", "failed calling webhook",
	"must be logged in to the server", "The aws-auth ConfigMap in your cluster is invalid",
}

// phrase matches a quoted message: three words or more, without the characters of a command or a value.
var phrase = regexp.MustCompile("`([A-Za-z][A-Za-z'’…-]*(?: [A-Za-z'’…-]+){2,})`")

// TestMessages: if a page quotes a message, such as a log line, internal has this text. The test leaves out commands, and messages of
// Kubernetes and AWS.
func TestMessages(t *testing.T) {
	t.Parallel()
	var code bytes.Buffer
	for _, name := range files(t, func(name string) bool {
		return strings.HasPrefix(name, "internal/") && strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go")
	}) {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		code.Write(text)
	}
	count := 0
	for _, p := range pages(t) {
		if !strings.HasPrefix(p.name, "docs/") || strings.HasPrefix(p.name, "docs/rules/") || p.name == "docs/efficacy.md" {
			continue
		}
		for i, line := range p.lines {
			for _, match := range phrase.FindAllStringSubmatch(line, -1) {
				first, _, _ := strings.Cut(match[1], " ")
				if strings.Contains(match[1], " -") {
					continue // a command with a flag
				}
				if slices.Contains([]string{"kubectl", "helm", "terraform", "eksctl", "make", "aws", "go"}, first) || slices.ContainsFunc(foreign, func(text string) bool { return strings.Contains(match[1], text) }) {
					continue
				}
				count++
				for part := range strings.SplitSeq(match[1], "…") {
					if !bytes.Contains(code.Bytes(), []byte(strings.TrimSpace(part))) {
						t.Errorf("%s:%d: no file of internal has the message %q", p.name, i+1, match[1])
					}
				}
			}
		}
	}
	if count < 15 {
		t.Errorf("found only %d messages", count)
	}
}
