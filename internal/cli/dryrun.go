package cli

import (
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// The values of --dry-run, which are those of kubectl.
const (
	dryRunNone   = "none"
	dryRunClient = "client"
	dryRunServer = "server"
)

// dryRunFlag implements pflag.Value for --dry-run. Without a value the flag means server.
type dryRunFlag struct {
	values []string // the values that the command accepts
	value  string   // empty means none
}

// addTo adds the flag to a command.
func (d *dryRunFlag) addTo(cmd *cobra.Command, help string) {
	cmd.Flags().Var(d, "dry-run", help)
	cmd.Flags().Lookup("dry-run").NoOptDefVal = dryRunServer
	completeFlag(cmd, "dry-run", d.values...)
}

// is reports whether the user set the flag to the value.
func (d *dryRunFlag) is(value string) bool { return d.value == value }

// String returns the value.
func (d *dryRunFlag) String() string { return d.value }

// Set sets the value. It returns an error for a value that the command does not accept.
func (d *dryRunFlag) Set(s string) error {
	if !slices.Contains(d.values, s) {
		last := len(d.values) - 1
		return errors.New("must be " + strings.Join(d.values[:last], ", ") + " or " + d.values[last])
	}
	d.value = s
	return nil
}

// Type returns the placeholder of the value in the help text.
func (d *dryRunFlag) Type() string { return strings.Join(d.values, "|") }
