package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/report"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// resultDenied is the result of an edit that was not written because the rules, the API server or the user denied it.
const resultDenied = "denied"

// show evaluates an edit, and prints its notes, and to w the changes of access and the findings. With -o json it prints only the notes, and
// finishJSON prints the rest later. It returns false if the rules deny the edit and the user did not set --force. Then it also prints the
// error and the result, and sets the exit status to statusDenied. name is the name that the findings have before their positions. inText
// reports whether the lines of positions count from the start of a section's text.
func (e *editRun) show(w io.Writer, before editedVersion, edit textEdit, after *awsauth.Object, name string, inText bool) (bool, error) {
	a, o := e.app, e.options
	verdict := e.evaluate(before, after)
	e.last, e.action = editReport(before.name, "the edit", name, inText, verdict), verdict.Action
	edit.dropHints(e.last.Findings)
	e.showNotes(edit)
	if o.format.value != formatJSON {
		if err := outputError(report.NewText(w, useColours(w)).Add(e.last)); err != nil {
			return false, err
		}
	}
	if verdict.Action != validate.ActionDeny || o.force != "" {
		return true, nil
	}
	a.status = statusDenied
	a.printErrors(errors.New("the rules deny the edit, and nothing was written; correct it, or override the rules with --force REASON"))
	return false, e.finish(textEdit{}, resultDenied)
}

// showNotes prints the notes of an edit.
func (e *editRun) showNotes(edit textEdit) {
	for _, note := range edit.notes {
		e.app.note("%s", note)
	}
}

// noteAllowRemoval says that an edit sets the annotation allow-removal.
func (e *editRun) noteAllowRemoval() {
	e.app.note("the edit sets the annotation %s, because you remove a node role on purpose", validate.AllowRemovalAnnotation)
}

// refused ends an edit that was not written. If err is nil and the edit was denied, it calls finish with the result denied. In other cases
// it returns err.
func (e *editRun) refused(denied bool, err error) error {
	if !denied || err != nil {
		return err
	}
	return e.finish(textEdit{}, resultDenied)
}

// finish prints the result of the command, such as: configmap/aws-auth edited. If the edit changes nothing, finish first prints the notes
// of the edit. As text it doesn't print the result denied, because the command has already printed the reason.
func (e *editRun) finish(edit textEdit, result string) error {
	if result == "unchanged" {
		e.showNotes(edit)
	}
	switch {
	case e.options.format.value == formatJSON:
		return e.finishJSON(result, nil)
	case result == resultDenied: // an error or a note says so
		return nil
	}
	_, err := fmt.Fprintf(e.app.stdout, "configmap/aws-auth %s\n", result)
	return outputError(err)
}

// finishJSON prints the JSON of lint for the last evaluation, with the field result. If manifest is not nil, the output also has the field
// manifest.
func (e *editRun) finishJSON(result string, manifest []byte) error {
	var b bytes.Buffer
	j := report.NewJSON(&b, true)
	if err := errors.Join(j.Add(e.last), j.End(report.Total{Verdict: e.verdict()})); err != nil {
		return outputError(err)
	}
	fields := make(map[string]any)
	if err := json.Unmarshal(b.Bytes(), &fields); err != nil {
		return fmt.Errorf("encoding the result: %w", err)
	}
	fields["result"] = result
	if manifest != nil {
		fields["manifest"] = string(manifest)
	}
	encoder := json.NewEncoder(e.app.stdout)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return outputError(encoder.Encode(fields))
}

// verdict returns the action of the last evaluation. Without an evaluation, for example because the edit changes nothing, it returns
// ActionAllow.
func (e *editRun) verdict() validate.Action {
	if e.action == "" {
		return validate.ActionAllow
	}
	return e.action
}
