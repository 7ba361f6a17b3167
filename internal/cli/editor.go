package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/report"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

func (a *app) editCommand() *cobra.Command {
	o := &editOptions{}
	cmd := &cobra.Command{
		Use:   "edit",
		Short: "Edit aws-auth in your editor; the rules check the text before it is written",
		Long: `Edit aws-auth in your editor. The rules check the text before it is written.

edit opens one YAML file with the texts of mapRoles, mapUsers and mapAccounts in the editor that KUBE_EDITOR
or EDITOR names, or else in vi. When you save and leave the editor, the rules evaluate the text as a change
of the old version. If they deny it, the editor opens again with the findings as comments. An unchanged or
empty file cancels the edit. edit creates aws-auth if it does not exist.

If the edit fails, or if you don't confirm it, edit writes nothing and keeps your text in a file. The edit fails,
for example, if another client changed aws-auth in the meantime, if the API server refuses the edit, or if the
editor fails.

` + editHelp + `

Exit status: 0 success or cancelled, 1 denied, not confirmed, or the authentication mode is API, 2 an error.`,
		Example: a.example(
			"kubectl-awsauth edit",
			"KUBE_EDITOR='code --wait' kubectl-awsauth edit --context prod",
			"kubectl-awsauth edit -f aws-auth.yaml -i",
		),
		Args: usage(func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("edit takes no arguments, got %d; name a file with -f", len(args))
			}
			if o.file == stdinName {
				return errors.New("edit can't read standard input (-f -), because the editor needs it; name a file with -f")
			}
			return o.check(cmd)
		}),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.editInEditor(cmd.Context(), o) },
	}
	o.addTo(cmd)
	return cmd
}

// errCancelled means that the user cancelled the edit.
var errCancelled = errors.New("edit cancelled")

// editor is one run of the edit command.
type editor struct {
	app   *app
	saved []byte // the last text that the user saved; nil if it needn't be kept
}

func (a *app) editInEditor(ctx context.Context, o *editOptions) error {
	ed := &editor{app: a}
	e := &editRun{app: a, options: o, noRetry: true, edit: func(v editedVersion) (textEdit, error) { return ed.edit(ctx, v) }}
	err := e.run(ctx)
	if ed.saved != nil && (err != nil || a.status != statusOK) {
		name, keepErr := writeTemporary(ed.saved)
		if keepErr != nil {
			return errors.Join(err, keepErr)
		}
		a.note("your text is kept in %s", name)
	}
	if errors.Is(err, errCancelled) && ed.saved == nil {
		a.note("%s", err)
		return nil
	}
	if errors.Is(err, errCancelled) { // the text doesn't parse or the rules deny it, and the user didn't correct it
		a.status = statusDenied
		a.printErrors(err)
		return nil
	}
	return err
}

const editorHead = `# Edit the texts of the sections of aws-auth below. Lines that begin with # are ignored.
# When you save and leave the editor, the rules check the texts before they are written.
# An unchanged or empty file cancels the edit.
#
`

// edit opens a version in the editor until the text that the user saves parses, and the rules admit it or --force overrides them. It
// returns errCancelled if the user saves an empty text, the original text, or again a text that has to be corrected. If the editor fails,
// it returns the error of the editor.
func (ed *editor) edit(ctx context.Context, v editedVersion) (textEdit, error) {
	original, err := renderSections(v.Data)
	if err != nil {
		return textEdit{}, fmt.Errorf("writing %s for the editor: %w", v.name, err)
	}
	for head, text := editorHead, original; ; {
		edited, err := ed.open(ctx, append([]byte(head), text...))
		edited = withoutComments(edited)
		if err != nil {
			if len(bytes.TrimSpace(edited)) > 0 && !bytes.Equal(edited, original) {
				ed.saved = edited
			}
			return textEdit{}, err
		}
		switch {
		case len(bytes.TrimSpace(edited)) == 0:
			ed.saved = nil
			return textEdit{}, fmt.Errorf("%w: the saved file is empty", errCancelled)
		case bytes.Equal(edited, text) && ed.saved != nil:
			return textEdit{}, fmt.Errorf("%w: the text was not corrected", errCancelled)
		case bytes.Equal(edited, original):
			ed.saved = nil
			return textEdit{}, fmt.Errorf("%w: no changes made", errCancelled)
		}
		text, ed.saved = edited, edited
		texts, err := parseSections(edited, v.Data)
		if err != nil {
			head = editorHead + comments("error: "+err.Error())
			continue
		}
		change := textEdit{texts: texts}
		verdict := v.run.evaluate(v, v.withTexts(change))
		if verdict.Action != validate.ActionDeny || v.run.options.force != "" {
			return change, nil
		}
		head = editorHead + findingComments(verdict.Findings)
	}
}

// findingComments returns the findings of a denied edit as comments.
func findingComments(findings []validate.Finding) string {
	var b strings.Builder
	b.WriteString(comments("The rules deny this text. Correct it, or save it without a change to cancel.", ""))
	for _, f := range findings {
		place := f.Path
		if f.Line > 0 {
			place = fmt.Sprintf("%s, line %d of the text", f.Path, f.Line)
		}
		b.WriteString(comments(fmt.Sprintf("%s: %s: %s [%s]", f.Severity, place, f.Message, f.Rule)))
		if f.Hint != "" {
			b.WriteString(comments("    hint: " + f.Hint))
		}
	}
	return b.String() + "#\n"
}

// comments returns lines as comments.
func comments(lines ...string) string {
	var b strings.Builder
	for _, line := range lines {
		b.WriteString(strings.TrimRight("# "+report.OneLine(line), " ") + "\n")
	}
	return b.String()
}

// withoutComments removes the lines that begin with #. An indented # can be a part of a section's text, so it keeps such a line.
func withoutComments(text []byte) []byte {
	var kept []byte
	for line := range bytes.Lines(text) {
		if !bytes.HasPrefix(line, []byte("#")) {
			kept = append(kept, line...)
		}
	}
	return kept
}

// open opens a text in the user's editor, and returns the text that the user saved. If the editor exits with an error, open returns the saved
// text and the error. If open can't start the editor or read the file, it returns only an error.
func (ed *editor) open(ctx context.Context, text []byte) ([]byte, error) {
	name, err := writeTemporary(text)
	if err != nil {
		return nil, err
	}
	defer os.Remove(name)
	command := editorCommand(name)
	cmd := exec.CommandContext(ctx, command[0], command[1:]...) //nolint:gosec // the user chooses the editor
	cmd.Stdin, cmd.Stdout, cmd.Stderr = ed.app.stdin, ed.app.stdout, ed.app.stderr
	if !isTerminal(ed.app.stdout) { // then only the result of the command must go there
		cmd.Stdout = ed.app.stderr
	}
	editor := strings.Join(command[:len(command)-1], " ")
	err = cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = fmt.Errorf("the editor %s failed (%w), and nothing was written", editor, err)
	} else if err != nil {
		return nil, fmt.Errorf("running the editor %s: %w; set KUBE_EDITOR or EDITOR to another editor", editor, err)
	}
	edited, readErr := readNamedFile(name)
	if readErr != nil {
		return nil, errors.Join(err, fmt.Errorf("reading the edited text: %w", readErr))
	}
	return edited, err
}

// editorCommand returns the command that opens a file in the user's editor. Like kubectl, it uses a shell if the user's command has a quote
// or a backslash (kubernetes v1.37.2, kubectl/pkg/cmd/util/editor/editor.go).
func editorCommand(file string) []string {
	for _, variable := range []string{"KUBE_EDITOR", "EDITOR"} {
		command := strings.TrimSpace(os.Getenv(variable))
		switch {
		case command == "":
		case strings.ContainsAny(command, `"'\`):
			return []string{"sh", "-c", command + ` "$0"`, file}
		default:
			return append(strings.Fields(command), file)
		}
	}
	return []string{"vi", file}
}

// writeTemporary writes a text to a new file that only the user can read.
func writeTemporary(text []byte) (name string, err error) {
	f, err := os.CreateTemp("", awsauth.Name+"-*.yaml")
	if err != nil {
		return "", fmt.Errorf("writing the text for the editor: %w", err)
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return "", fmt.Errorf("writing the text for the editor: %w", err)
	}
	return f.Name(), nil
}
