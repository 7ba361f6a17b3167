package cli

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// The forms of output. Every command that judges has text and JSON.
const (
	formatText     = "text"
	formatJSON     = "json"
	formatSARIF    = "sarif"
	formatGitHub   = "github"
	formatJUnit    = "junit"
	formatMarkdown = "markdown"
)

// format is the form of the output, an option of every command.
type format struct {
	value   string
	allowed []string
}

// String, Set and Type make it a flag's value.
func (f *format) String() string { return f.value }

// Set checks and takes the value.
func (f *format) Set(s string) error {
	if !slices.Contains(f.allowed, s) {
		return errors.New("it is " + f.list())
	}
	f.value = s
	return nil
}

// Type is what the help text shows for the value.
func (*format) Type() string { return "FORMAT" }

func (f *format) list() string {
	last := len(f.allowed) - 1
	return strings.Join(f.allowed[:last], ", ") + " or " + f.allowed[last]
}

// addTo adds the flag with the forms that the command has besides text and JSON.
func (f *format) addTo(cmd *cobra.Command, more ...string) {
	f.value, f.allowed = formatText, append([]string{formatText, formatJSON}, more...)
	f.addFlag(cmd)
}

func (f *format) addFlag(cmd *cobra.Command) {
	cmd.Flags().VarP(f, "output", "o", "form of the output: "+f.list())
	complete(cmd, "output", f.allowed...)
}

// document is an outcome that can be written in every form.
type document interface {
	Text(io.Writer) error
	JSON(io.Writer) error
}

func (a *app) write(d document, f *format) error {
	write := d.Text
	switch f.value {
	case formatJSON:
		write = d.JSON
	case formatMarkdown:
		if m, ok := d.(interface{ Markdown(io.Writer) error }); ok {
			write = m.Markdown
		}
	}
	return written(write(a.stdout))
}

// written is the error of a write to standard output.
func written(err error) error {
	if err != nil {
		return fmt.Errorf("writing the output: %w", err)
	}
	return nil
}
