package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/spf13/pflag"

	"github.com/awsauth-guard/awsauth-guard/internal/cli"
)

// program is the file name of the command line. If the PATH has this program, kubectl runs it as the plugin kubectl awsauth.
const program = "kubectl-awsauth"

// completer is the program that kubectl runs to complete the arguments of the plugin:
// https://kubernetes.io/docs/tasks/extend-kubectl/kubectl-plugins/#using-the-command-line-runtime-package and
// kubectl's pkg/cmd/plugin/plugin_completion.go.
const completer = "kubectl_complete-awsauth"

const completerScript = `#!/bin/sh
# kubectl runs this program to complete the arguments of kubectl awsauth.
exec kubectl-awsauth __complete "$@"
`

// writeDocs writes the man pages into the folder man below folder, the completion scripts of the shells into completions, and the
// completer of kubectl into folder itself.
func writeDocs(r release, folder string) error {
	man, completions := filepath.Join(folder, "man"), filepath.Join(folder, "completions")
	for _, name := range []string{man, completions} {
		if err := os.MkdirAll(name, 0o750); err != nil {
			return fmt.Errorf("making a folder: %w", err)
		}
	}
	if err := os.WriteFile(filepath.Join(folder, completer), []byte(completerScript), 0o700); err != nil { //nolint:gosec // a program
		return fmt.Errorf("writing the completer: %w", err)
	}
	root := cli.RootCommand()
	prepare(root)
	header := doc.GenManHeader{Section: "1", Source: "awsauth-guard " + r.tag, Manual: "kubectl awsauth", Date: &r.time}
	if err := doc.GenManTree(root, &header, man); err != nil {
		return fmt.Errorf("writing the man pages: %w", err)
	}
	// The completion scripts are for a user who types kubectl-awsauth. For a user who types kubectl awsauth, kubectl runs
	// the completer.
	root.Annotations = nil
	for name, generate := range map[string]func(file string) error{
		program + ".bash": func(file string) error { return root.GenBashCompletionFileV2(file, true) },
		"_" + program:     root.GenZshCompletionFile,
		program + ".fish": func(file string) error { return root.GenFishCompletionFile(file, true) },
	} {
		if err := generate(filepath.Join(completions, name)); err != nil {
			return fmt.Errorf("writing the completion script %s: %w", name, err)
		}
	}
	return nil
}

// prepare changes a command and its children for the generator of man pages. It leaves out the line with the date of the run, and
// converts the help texts to Markdown, which the generator expects.
func prepare(command *cobra.Command) {
	command.DisableAutoGenTag = true
	command.Short, command.Long = marks.Replace(command.Short), markdown(command.Long)
	command.LocalFlags().VisitAll(func(f *pflag.Flag) { f.Usage = marks.Replace(strings.ReplaceAll(f.Usage, "`", "")) })
	for _, child := range command.Commands() {
		prepare(child)
	}
}

// marks escapes the characters that Markdown reads as marks.
var marks = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `_`, `\_`, `<`, `\<`, "`", "\\`", `[`, `\[`)

// markdown returns a help text as Markdown: indented lines, such as lists and tables, become a block that keeps its
// line breaks.
func markdown(text string) string {
	var out []string
	block := false
	for line := range strings.SplitSeq(text, "\n") {
		if indented := strings.HasPrefix(line, "  "); indented != block && line != "" {
			out, block = append(out, ""), indented
		}
		if block && line != "" {
			out = append(out, "    "+line)
			continue
		}
		out = append(out, marks.Replace(line))
	}
	return strings.Join(out, "\n")
}
