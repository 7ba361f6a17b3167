// Package extract finds the aws-auth objects in an input of any kind: manifests, the output of terraform show -json, objects
// of other tools that hold aws-auth, values of charts, and the bare text of a section.
//
// The package is pure: it takes bytes and returns values. Each part of an input that concerns aws-auth is either returned as an
// object, or as the reason why it can't be evaluated.
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
	*awsauth.Object // nil if a Terraform plan deletes the object

	Before      *awsauth.Object // the object that a Terraform plan changes or deletes; else nil
	Replaced    bool            // the plan deletes Before, and then creates the object
	AfterDelete *awsauth.Object // the object between the two steps if Replaced; nil for none
	File        string          // the file with the object if it is not the input itself, as for a Kustomization; else empty
	Line        int             // first line in the file; 0 if InText
	Resource    string          // the address of its Terraform resource
	InText      bool            // positions count from the start of a key's text
	Write       awsauth.Write   // how its Terraform resource writes it
	// Lists says where the entries come from if the input has only lists of entries, such as "spec.mapRoles of AWSIamConfig". It is empty
	// for a ConfigMap. Such an object does not tell what the other sections of aws-auth hold.
	Lists string

	tool string // CloudFormation if its template holds the object; else empty
}

// Result is the content of an input that concerns aws-auth.
type Result struct {
	Objects []Object
	// Errors describe the documents that can't be read, or that kubectl refuses to apply.
	Errors []error
	// Unrendered are the parts of the input from which another tool first has to make an aws-auth. The text of each
	// [*awsauth.ManifestError] describes the part, why it isn't evaluated, and what to lint instead.
	Unrendered []*awsauth.ManifestError
	// Others are objects that look like aws-auth and that the authenticator does not read.
	Others []*awsauth.ManifestError
	// Notes are facts for the user that don't prevent an evaluation.
	Notes []*awsauth.ManifestError
	// Plan reports that the input is a Terraform plan, which names every object that it deletes.
	Plan bool
}

// concerns matches words such as aws-auth and mapRoles. Every input that concerns aws-auth has at least one of them, unless it is the
// bare text of a section.
var concerns = regexp.MustCompile(`(?i)aws[-_]?auth|map[-_]?(roles|users|accounts)|iamidentitymappings`)

// Concerns reports whether a text may concern aws-auth. It returns true for every text with a backslash or an exclamation mark, because
// an escape sequence or a YAML tag such as !!binary can hide the name.
func Concerns(src []byte) bool {
	return bytes.ContainsAny(src, `\!`) || concerns.Match(src)
}

// HasEntries reports whether a text has entries like those of mapRoles and mapUsers, and so may be the bare text of a section. It looks
// for the exact keys, because unrelated lists have keys such as roleArn.
func HasEntries(src []byte) bool {
	return bytes.Contains(src, []byte("username")) && (bytes.Contains(src, []byte("rolearn")) || bytes.Contains(src, []byte("userarn")))
}

// File finds the aws-auth objects in an input. name is the name of the file; its extension can show that the file is in Terraform's
// language. Call [Result.RefuseTemplates] afterwards, unless the input comes from a cluster, where no tool changes its text any more.
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

// document adds the aws-auth objects in a document to the result, and the parts of it that can't be evaluated.
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
	if list, ok := s.Value.([]any); ok { // kubectl refuses a list of manifests, but a list for another tool may hold an aws-auth
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
