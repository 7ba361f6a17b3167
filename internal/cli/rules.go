package cli

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/awsauth-guard/awsauth-guard/internal/config"
	"github.com/awsauth-guard/awsauth-guard/internal/report"
)

func (a *app) rulesCommand() *cobra.Command {
	o := &outputFormat{}
	cmd := &cobra.Command{
		Use:   "rules [ID]",
		Short: "List the rules, or show the documentation of one rule",
		Long: `List the rules, or show the documentation of one rule.

The list has one line for each rule, with its id, default severity and title. The word fix marks the
rules with findings that lint --fix corrects.

Exit status: 0 success, 2 an error.`,
		Example: a.example(
			"kubectl-awsauth rules",
			"kubectl-awsauth rules role-path",
			"kubectl-awsauth rules -o json",
		),
		Args: usage(func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fmt.Errorf("rules takes at most one ID, got %d arguments", len(args))
			}
			return nil
		}),
		ValidArgsFunction: completeRule,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return a.print(report.AllRules(), o)
			}
			rule, err := ruleByID(args[0])
			if err != nil {
				return &usageError{cmd.CommandPath(), err}
			}
			return a.print(rule, o)
		},
	}
	o.addTo(cmd, formatMarkdown)
	return cmd
}

// ruleByID returns the rule with this id. It returns an error for an unknown id. The error suggests a similar id of a
// rule of aws-auth, if there is one.
func ruleByID(id string) (report.Rule, error) {
	all := report.AllRules()
	if i := slices.IndexFunc(all, func(r report.Rule) bool { return r.ID == id }); i >= 0 {
		return all[i], nil
	}
	_, err := config.Rule(id)
	return report.Rule{}, err
}
