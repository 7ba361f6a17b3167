package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/awsauth-guard/awsauth-guard/internal/config"
	"github.com/awsauth-guard/awsauth-guard/internal/report"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

func (a *app) rulesCommand() *cobra.Command {
	o := &format{}
	cmd := &cobra.Command{
		Use:   "rules [ID]",
		Short: "List the rules, or show one rule's document",
		Long: `List the rules, or show one rule's document.

The list has a line for each rule: its id, what it does by itself, and its title.

Exit status: 0 done, 2 could not work.`,
		Example: a.example(
			"kubectl-awsauth rules",
			"kubectl-awsauth rules role-path",
			"kubectl-awsauth rules -o json",
		),
		Args: usage(func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fmt.Errorf("%d arguments, but rules takes one ID at most", len(args))
			}
			return nil
		}),
		ValidArgsFunction: completeRule,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return a.write(report.Rules(validate.Rules()), o)
			}
			rule, err := config.Rule(args[0])
			if err != nil {
				return &usageError{cmd.CommandPath(), err}
			}
			return a.write(report.Rule{Rule: rule}, o)
		},
	}
	o.addTo(cmd, formatMarkdown)
	return cmd
}
