package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/awsauth-guard/awsauth-guard/internal/config"
)

func (a *app) configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Work with GuardConfig files",
		Args:  usage(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.configCheckCommand())
	return cmd
}

func (a *app) configCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE",
		Short: "Check a GuardConfig file and print the effective configuration",
		Long: `Check a GuardConfig file and print the effective configuration.

FILE is the webhook's configuration, or a dash (-) for standard input. The output is a GuardConfig with
all defaults and the severity of every rule.

Exit status: 0 the file is valid, 1 it is invalid, 2 an error.`,
		Example: a.example(
			"kubectl-awsauth config check guard.yaml",
			`kubectl get configmap -n awsauth-guard awsauth-guard -o jsonpath='{.data.guardconfig\.yaml}' | kubectl-awsauth config check -`,
		),
		Args: usage(func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("config check takes exactly one FILE, got %d arguments", len(args))
			}
			return nil
		}),
		RunE: func(_ *cobra.Command, args []string) error { return a.checkConfig(args[0]) },
	}
}

func (a *app) checkConfig(file string) error {
	name, src, err := a.readFile(file)
	if err != nil {
		return fmt.Errorf("reading the configuration: %w", err)
	}
	cfg, err := config.Parse(name, src)
	if err != nil {
		a.status = statusDenied
		a.printErrors(err)
		return nil
	}
	text, err := cfg.Effective().YAML()
	if err != nil {
		return err
	}
	if _, err := a.stdout.Write(text); err != nil {
		return fmt.Errorf("writing the output: %w", err)
	}
	return nil
}
