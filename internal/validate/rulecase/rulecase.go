// Package rulecase reads the cases of the rules. The oracle, the tests of the command line and the efficacy table use
// them, too.
//
// A case is a txtar file with a comment on the mistake and these sections:
//   - aws-auth.yaml: the object after the change; absent for a deletion
//   - old.yaml: the object before the change
//   - replaced.yaml: the version before old.yaml
//   - fixed.yaml: the object after a person has followed the hints, if a program can't follow them
//   - facts: the operation, the requester, the time, the answers of IAM and the policy
//   - want: the findings, written by UPDATE_GOLDEN=1
package rulecase

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"sigs.k8s.io/yaml"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// The sections of a case.
const (
	newObject      = "aws-auth.yaml"
	oldObject      = "old.yaml"
	replacedObject = "replaced.yaml"
	fixedObject    = "fixed.yaml"
	factsName      = "facts"
	wantName       = "want"
)

// Case is one change with its policy and the expected findings.
type Case struct {
	File string
	// Comment describes the mistake.
	Comment string
	Change  validate.Change
	Policy  validate.Policy
	// Want is the expected output.
	Want string

	archive *txtar.Archive
}

// facts is the section facts of a case: the operation, the requester, the time, the answers of IAM and the policy.
type facts struct {
	Operation validate.Operation
	Requester validate.Requester
	Now       time.Time
	IAM       validate.IAM
	validate.Policy
}

// Kind is the promise of a case, given by the prefix of its file name.
type Kind string

// A bad case has findings of its own rule and no other. An ok case has no findings. A report is named after the public
// report that it is made from, such as terraform-aws-eks-2289. It has findings of its own rule, perhaps among others,
// and its comment has the report's URL.
const (
	Bad    Kind = "bad"
	OK     Kind = "ok"
	Report Kind = "report"
)

// Kind returns the kind of the case.
func (c *Case) Kind() Kind {
	switch name := filepath.Base(c.File); {
	case strings.HasPrefix(name, "bad-"):
		return Bad
	case strings.HasPrefix(name, "ok-"):
		return OK
	}
	return Report
}

// Glob reads the cases that match a pattern, sorted by file. It returns an error if no file matches.
func Glob(pattern string) ([]*Case, error) {
	files, err := filepath.Glob(pattern)
	if err != nil {
		return nil, fmt.Errorf("listing the cases: %w", err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no case matches %s; write bad-*.txtar and ok-*.txtar there", pattern)
	}
	cases := make([]*Case, len(files))
	for i, file := range files {
		if cases[i], err = Read(file); err != nil {
			return nil, err
		}
	}
	return cases, nil
}

// Read reads the case in a file.
func Read(file string) (*Case, error) {
	archive, err := txtar.ParseFile(file)
	if err != nil {
		return nil, fmt.Errorf("read a case: %w", err)
	}
	c := &Case{File: file, Comment: strings.TrimSpace(string(archive.Comment)), archive: archive}
	if err := c.read(); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return c, nil
}

func (c *Case) read() error {
	for _, f := range c.archive.Files {
		if !slices.Contains([]string{newObject, oldObject, replacedObject, fixedObject, factsName, wantName}, f.Name) {
			return fmt.Errorf("unknown section %s", f.Name)
		}
	}
	if c.Comment == "" {
		return fmt.Errorf("the comment of the case is empty")
	}
	var f facts
	if err := yaml.UnmarshalStrict(c.section(factsName), &f); err != nil {
		return fmt.Errorf("facts: %w", err)
	}
	c.Policy, c.Want = f.Policy, string(c.section(wantName))
	c.Change = validate.Change{Operation: f.Operation, Requester: f.Requester, Now: f.Now, IAM: f.IAM}
	var err error
	if c.Change.Old, err = c.object(oldObject); err != nil {
		return err
	}
	if c.Change.New, err = c.object(newObject); err != nil {
		return err
	}
	replaced, err := c.object(replacedObject)
	if err != nil {
		return err
	}
	if replaced != nil {
		c.Change.Replaced = []*awsauth.Object{replaced}
	}
	if c.Change.Operation == validate.Document && c.Change.Old != nil {
		c.Change.Operation = validate.Update
	}
	if c.Change.Operation != validate.Document {
		c.Change.Old, c.Change.New = c.Change.Old.AsReviewed(), c.Change.New.AsReviewed()
	}
	return nil
}

// visible maps placeholders to the invisible characters that they stand for.
var visible = strings.NewReplacer("<TAB>", "\t", "<NBSP>", "\u00a0", "<CR>", "\r", "<BOM>", "\ufeff", "<ZWSP>", "\u200b")

// object reads the aws-auth in a section. It returns nil if the case has no such section. It returns an error if the
// section does not hold exactly one aws-auth.
func (c *Case) object(name string) (*awsauth.Object, error) {
	data := c.manifest(name)
	if data == nil {
		return nil, nil
	}
	manifests, errs := awsauth.ParseManifests(data)
	if len(errs) > 0 || len(manifests) != 1 {
		return nil, fmt.Errorf("%s holds %d aws-auth: %v", name, len(manifests), errs)
	}
	return manifests[0].Object, nil
}

// Manifest returns the text of the object before the change, or after it. It returns nil if there is no such object.
func (c *Case) Manifest(before bool) []byte {
	if before {
		return c.manifest(oldObject)
	}
	return c.manifest(newObject)
}

// Fixed returns the text of the object after a person has followed the hints of the findings. It returns nil if the case
// has no section fixed.yaml, because a program can follow its hints.
func (c *Case) Fixed() []byte { return c.manifest(fixedObject) }

func (c *Case) manifest(name string) []byte {
	data := c.section(name)
	if data == nil {
		return nil
	}
	return []byte(visible.Replace(string(data)))
}

func (c *Case) section(name string) []byte {
	for _, f := range c.archive.Files {
		if f.Name == name {
			return f.Data
		}
	}
	return nil
}

// WithWant returns the text of the case's file with another expected output. If want is empty, the text has no section
// want.
func (c *Case) WithWant(want string) []byte {
	archive := *c.archive
	archive.Files = slices.DeleteFunc(slices.Clone(archive.Files), func(f txtar.File) bool { return f.Name == wantName })
	if want != "" {
		archive.Files = append(archive.Files, txtar.File{Name: wantName, Data: []byte(want)})
	}
	return txtar.Format(&archive)
}
