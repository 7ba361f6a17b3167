package cli

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// Output formats. The files of get and history have further ones.
const (
	formatText     = "text"
	formatJSON     = "json"
	formatSARIF    = "sarif"
	formatGitHub   = "github"
	formatJUnit    = "junit"
	formatMarkdown = "markdown"
)

// outputFormat implements pflag.Value for --output.
type outputFormat struct {
	value   string
	allowed []string
}

// String returns the value.
func (f *outputFormat) String() string { return f.value }

// Set sets the value. A format that the command does not support is an error.
func (f *outputFormat) Set(s string) error {
	if !slices.Contains(f.allowed, s) {
		return errors.New("must be " + f.choices())
	}
	f.value = s
	return nil
}

// Type returns the placeholder of the value in the help text.
func (*outputFormat) Type() string { return "FORMAT" }

func (f *outputFormat) choices() string {
	last := len(f.allowed) - 1
	return strings.Join(f.allowed[:last], ", ") + " or " + f.allowed[last]
}

// addTo adds the flag to a command. The command supports text, JSON, and the formats in more. The default is text.
func (f *outputFormat) addTo(cmd *cobra.Command, more ...string) {
	f.value, f.allowed = formatText, append([]string{formatText, formatJSON}, more...)
	f.addFlag(cmd)
}

func (f *outputFormat) addFlag(cmd *cobra.Command) {
	cmd.Flags().VarP(f, "output", "o", "output format: "+f.choices())
	completeFlag(cmd, "output", f.allowed...)
}

// printable is the result of a command. It can write itself as text and JSON. A result with the method Markdown can also write itself as
// Markdown.
type printable interface {
	Text(io.Writer) error
	JSON(io.Writer) error
}

func (a *app) print(d printable, f *outputFormat) error {
	write := d.Text
	switch f.value {
	case formatJSON:
		write = d.JSON
	case formatMarkdown:
		if m, ok := d.(interface{ Markdown(io.Writer) error }); ok {
			write = m.Markdown
		}
	}
	return outputError(write(a.stdout))
}

// outputError wraps the error of a write to standard output. If err is nil, it returns nil.
func outputError(err error) error {
	if err != nil {
		return fmt.Errorf("writing the output: %w", err)
	}
	return nil
}
