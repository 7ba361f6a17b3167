package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/awsauth-guard/awsauth-guard/internal/report"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// completeFlag makes the shell complete a flag with these values. The shell then offers no file names.
func completeFlag(cmd *cobra.Command, flag string, values ...string) {
	completeFlagWith(cmd, flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

// completeFlagWith sets the completion function of a flag.
func completeFlagWith(cmd *cobra.Command, flag string, by cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, by); err != nil {
		panic(err) // the flag does not exist, or has a completion function already
	}
}

// completeRule completes the first argument with the ids of rules.
func completeRule(_ *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var list []cobra.Completion
	for _, rule := range report.AllRules() {
		if strings.HasPrefix(rule.ID, typed) {
			list = append(list, cobra.CompletionWithDesc(rule.ID, rule.Title))
		}
	}
	return list, cobra.ShellCompDirectiveNoFileComp
}

// completeRuleSetting completes an argument of the form ID=SEVERITY. It first completes the id. After the equals sign
// it completes the severity.
func completeRuleSetting(_ *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	id, _, ok := strings.Cut(typed, "=")
	var list []cobra.Completion
	if !ok {
		for _, rule := range report.AllRules() {
			if strings.HasPrefix(rule.ID, id) {
				list = append(list, rule.ID+"=")
			}
		}
		return list, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
	for _, severity := range []validate.Severity{validate.Deny, validate.Warn, validate.Off} {
		list = append(list, id+"="+string(severity))
	}
	return list, cobra.ShellCompDirectiveNoFileComp
}
