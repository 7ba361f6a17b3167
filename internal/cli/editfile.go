package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/edit"
	"github.com/awsauth-guard/awsauth-guard/internal/report"
	"github.com/awsauth-guard/awsauth-guard/internal/textutil"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// editFile makes the edit in a file of manifests.
func (e *editRun) editFile(ctx context.Context) error {
	a, o := e.app, e.options
	name, src, err := a.readFile(o.file)
	if err != nil {
		return fmt.Errorf("reading the manifest: %w", err)
	}
	cfg, err := loadConfig(o.config)
	if err != nil {
		return err
	}
	if err := e.configure(ctx, cfg); err != nil {
		return err
	}
	manifest, err := a.singleManifest(name, src)
	if err != nil {
		return err
	}
	before := editedVersion{Object: manifest.Object, name: name, run: e}
	change, err := e.edit(before)
	if err != nil {
		return err
	}
	if !change.changes(before) {
		return e.writeManifest(src, src, change, "unchanged")
	}
	written, err := edit.Manifest(src, manifest.Line, change.texts)
	if err != nil {
		return fmt.Errorf("changing %s: %w", name, err)
	}
	value, annotated := before.withTexts(change).Annotations[validate.AllowRemovalAnnotation], false
	if len(change.nodeRoles) > 0 {
		if text, err := edit.Annotate(written, manifest.Line, validate.AllowRemovalAnnotation, value); err == nil {
			written, annotated = text, true
		}
	}
	after, err := before.written(written, change)
	if err != nil {
		return fmt.Errorf("changing %s: %w", name, err)
	}
	w := a.stderr // standard output has the manifest
	if o.inPlace {
		w = a.stdout
	}
	if ok, err := e.show(w, before, change, after, name, false); !ok || err != nil {
		return err
	}
	switch {
	case annotated:
		e.noteAllowRemoval()
	case len(change.nodeRoles) > 0:
		a.note(needsAnnotation, validate.AllowRemovalAnnotation, value)
	}
	if o.force != "" {
		a.note(needsAnnotation, validate.BreakGlassAnnotation, o.force)
	}
	return e.writeManifest(src, written, change, "edited")
}

// singleManifest returns the aws-auth in a file of manifests. It returns an error if a document in the file can't be read, if the file has
// no aws-auth or several, or if a section of the aws-auth is not a text.
func (a *app) singleManifest(name string, src []byte) (awsauth.Manifest, error) {
	manifests, errs := awsauth.ParseManifests(src)
	if len(errs) > 0 {
		var problems []report.Problem
		for _, err := range errs {
			problems = append(problems, problemOf(name, err))
		}
		a.reportProblems(problems)
		return awsauth.Manifest{}, fmt.Errorf("cannot read %s, which must be a file of manifests; for Helm, Terraform, CDK and eksctl see kubectl awsauth add --print", name)
	}
	in := input{name: name}
	for _, m := range manifests {
		in.objects = append(in.objects, object{Object: m.Object, Line: m.Line})
	}
	if _, err := in.single(); err != nil {
		return awsauth.Manifest{}, err
	}
	for _, key := range manifests[0].Object.NotText { // the text of such a section counts as empty
		if awsauth.IsSection(key.Value) {
			return awsauth.Manifest{}, fmt.Errorf("%s:%d:%d: %s is not a text, so the API server refuses the manifest, and an edit would replace the content of this key; repair the manifest first with kubectl awsauth lint --fix %s",
				name, key.Line, key.Column, key.Value, textutil.ShellWord(name))
		}
	}
	return manifests[0], nil
}

// written returns the object in src, the new text of a file, with the annotations that the edit sets in a cluster. It returns an error if a
// document in src can't be read, if src doesn't have exactly one aws-auth, or if the data of this aws-auth are not those that the edit
// intends.
func (v editedVersion) written(src []byte, change textEdit) (*awsauth.Object, error) {
	manifests, errs := awsauth.ParseManifests(src)
	if len(errs) > 0 || len(manifests) != 1 {
		return nil, errors.Join(append(errs, errors.New("the edited text can't be read as exactly one aws-auth; edit the file by hand"))...)
	}
	after, want := manifests[0].Object, v.withTexts(change)
	if !maps.Equal(after.Data, want.Data) {
		return nil, errors.New("the edited text does not have the intended sections; edit the file by hand")
	}
	after.Annotations = want.Annotations
	return after, nil
}

// needsAnnotation is the note about an annotation that overrides denials, and that the user must add to a manifest.
const needsAnnotation = "to override a denial by the webhook, the manifest needs the annotation %s: %q; add the annotation to the file"

// writeManifest prints src, the new text of the file. With -i it writes src to the file instead, and prints only the result. Then it
// returns an error if the file no longer has the text before. result is the word for the result, such as edited or unchanged.
func (e *editRun) writeManifest(before, src []byte, change textEdit, result string) error {
	a, o := e.app, e.options
	switch {
	case !o.inPlace && o.format.value == formatJSON:
		return e.finishJSON(result, src)
	case !o.inPlace:
		if result == "unchanged" {
			e.showNotes(change)
			a.note("configmap/aws-auth unchanged")
		}
		_, err := a.stdout.Write(src)
		return outputError(err)
	case result == "unchanged":
	case o.dryRun.is(dryRunClient):
		result += " (dry run)"
	default:
		if err := replaceFile(o.file, before, src); err != nil {
			return fmt.Errorf("writing %s: %w", o.file, err)
		}
	}
	return e.finish(change, result)
}
