// Package extract finds the aws-auth objects in an input of any kind: manifests, the output of terraform show -json,
// objects of other tools that hold aws-auth, values of charts, and the bare text of a section.
//
// The package is pure: it takes bytes and returns values. For each part of an input that concerns aws-auth it returns
// an object, or the reason why the part can't be evaluated.
package extract

import (
	"bytes"
	"errors"
	"regexp"
	"slices"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// Object is an aws-auth of an input.
type Object struct {
	*awsauth.Object // nil if no aws-auth remains after a Terraform plan

	Before      *awsauth.Object // the object that a Terraform plan changes or deletes, or nil
	Replaced    bool            // whether the plan deletes Before and creates the object
	AfterDelete *awsauth.Object // the object between the deletion and the creation; nil if there is none
	File        string          // the file that holds the object, such as a file of a Kustomization; empty if the input itself holds it
	Line        int             // the first line of the object in the file; 0 if InText is true
	Resource    string          // the address of the object's Terraform resource, or empty
	InText      bool            // whether positions count from the start of a key's text
	Write       awsauth.Write   // the way in which the Terraform resource writes the object
	// Lists names the lists of entries from which the object is made, such as "spec.mapRoles of AWSIamConfig". It is
	// empty if the input has a ConfigMap. An object that is made from lists does not show the other sections of
	// aws-auth.
	Lists string

	tool string // the tool that replaces variables in the object's text, or empty
}

// Result is the content of an input that concerns aws-auth.
type Result struct {
	Objects []Object
	// Errors holds an error for each document that can't be read, or that kubectl refuses to apply.
	Errors []error
	// Unrendered are the parts of the input from which another tool first has to make an aws-auth. Each
	// [*awsauth.ManifestError] describes the part, why lint doesn't evaluate it, and what to lint instead.
	Unrendered []*awsauth.ManifestError
	// Others are objects that look like aws-auth, but that the authenticator does not read.
	Others []*awsauth.ManifestError
	// Notes are facts for the user that don't prevent an evaluation.
	Notes []*awsauth.ManifestError
	// Plan reports that the input is a Terraform plan, which names every object that it deletes.
	Plan bool
}

// concerns matches words such as aws-auth and mapRoles. Every input that concerns aws-auth has at least one of them.
// The bare text of a section is an exception.
var concerns = regexp.MustCompile(`(?i)aws[-_]?auth|map[-_]?(roles|users|accounts)|iamidentitymappings`)

// Concerns reports whether a text may concern aws-auth. It returns true for every text with a backslash or an exclamation mark, because
// an escape sequence or a YAML tag such as !!binary can hide the name.
func Concerns(src []byte) bool {
	return bytes.ContainsAny(src, `\!`) || concerns.Match(src)
}

// HasEntries reports whether a text has entries like those of mapRoles and mapUsers. Such a text may be the bare text
// of a section. HasEntries looks for the exact keys, because unrelated lists have keys such as roleArn.
func HasEntries(src []byte) bool {
	return bytes.Contains(src, []byte("username")) && (bytes.Contains(src, []byte("rolearn")) || bytes.Contains(src, []byte("userarn")))
}

// File finds the aws-auth objects in an input. name is the name of the file: its extension can show that the file is in
// Terraform's language. Call [Result.RefuseTemplates] afterwards. An input that comes from a cluster doesn't need this
// call, because no tool changes its text any more. File fails if the input is a state file or a log of Terraform.
func File(name string, src []byte) (Result, error) {
	if err := awsauth.NotShown(src); err != nil {
		return Result{}, err
	}
	if awsauth.IsTerraform(src) {
		return terraform(src), nil
	}
	if reason := unreadText(name, src); reason != "" {
		return Result{Unrendered: []*awsauth.ManifestError{problem(1, 1, "%s", reason)}}, nil
	}
	sources, errs := awsauth.ReadSources(src)
	if o, ok := bareSection(src, sources, errs); ok {
		return Result{Objects: []Object{o}}, nil
	}
	r := Result{Errors: errs}
	for _, s := range sources {
		r.document(s)
	}
	awsauth.SortErrors(r.Errors)
	return r, nil
}

// document adds to the result the aws-auth objects in a document, and the parts that can't be evaluated.
func (r *Result) document(s *awsauth.Source) {
	manifests, errs := s.Manifests()
	for _, m := range manifests {
		r.Objects = append(r.Objects, Object{Object: m.Object, Line: m.Line})
	}
	w := newWalker(s)
	if w.patch() {
		r.add(w.Result)
		return
	}
	if list, ok := s.Value.([]any); ok { // kubectl refuses a list, but a list for another tool may hold an aws-auth
		for i, item := range list {
			if object, _ := item.(map[string]any); !isAWSAuth(object) {
				w.walk(awsauth.Path{i}, item)
			}
		}
	} else {
		w.walk(nil, s.Value)
	}
	if slices.ContainsFunc(errs, isNotObject) && w.foundAny() {
		errs = nil // the document is a list for another tool, such as an Ansible playbook
	}
	r.Errors = append(r.Errors, errs...)
	r.add(w.Result)
}

func isNotObject(err error) bool { return errors.Is(err, awsauth.ErrNotObject) }

func (r *Result) foundAny() bool {
	return len(r.Objects) > 0 || len(r.Unrendered) > 0 || len(r.Others) > 0
}

func (r *Result) add(more Result) {
	r.Objects = append(r.Objects, more.Objects...)
	r.Errors = append(r.Errors, more.Errors...)
	r.Unrendered = append(r.Unrendered, more.Unrendered...)
	r.Others = append(r.Others, more.Others...)
	r.Notes = append(r.Notes, more.Notes...)
}
