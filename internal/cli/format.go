package cli

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// The output formats.
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

// Set sets the value. It fails if the command does not support the format.
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

// addTo adds the flag to a command. The formats are text, which is the default, JSON, and those in more.
func (f *outputFormat) addTo(cmd *cobra.Command, more ...string) {
	f.value, f.allowed = formatText, append([]string{formatText, formatJSON}, more...)
	f.addFlag(cmd)
}

func (f *outputFormat) addFlag(cmd *cobra.Command) {
	cmd.Flags().VarP(f, "output", "o", "output format: "+f.choices())
	completeFlag(cmd, "output", f.allowed...)
}

// printable is a result that can be written in every output format of its command.
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

// outputError wraps an error from writing to standard output. It returns nil for nil.
func outputError(err error) error {
	if err != nil {
		return fmt.Errorf("writing the output: %w", err)
	}
	return nil
}
