package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/report"
)

type diffOptions struct {
	cluster clusterFlags
	format  outputFormat
}

func (a *app) diffCommand() *cobra.Command {
	o := &diffOptions{}
	cmd := &cobra.Command{
		Use:   "diff [OLD] NEW",
		Short: "Show the access that principals gain or lose between two versions",
		Long: `Show the access that principals gain or lose between two versions.

diff compares effective access, not lines of text. It marks a principal with
  +  if it gains access
  -  if it loses access
  ~  if it keeps access, with another username or other groups

OLD and NEW are files with exactly one aws-auth, or a dash (-) for standard input. Without OLD, diff
compares the live object of the current context with NEW.

Exit status: 0 no difference, 1 a difference, 2 an error.`,
		Example: a.example(
			"kubectl-awsauth diff old.yaml new.yaml",
			"# Compare a rendered chart with the live object",
			"helm template . | kubectl-awsauth diff - -o json",
			"git show main:aws-auth.yaml | kubectl-awsauth diff - aws-auth.yaml",
		),
		Args: usage(o.check),
		RunE: func(cmd *cobra.Command, args []string) error { return a.diff(cmd.Context(), o, args) },
	}
	o.cluster.addTo(cmd)
	o.cluster.addFixedNamespace(cmd)
	o.format.addTo(cmd)
	return cmd
}

func (o *diffOptions) check(_ *cobra.Command, args []string) error {
	switch {
	case len(args) != 1 && len(args) != 2:
		return fmt.Errorf("%d arguments, but diff takes OLD and NEW, or NEW alone", len(args))
	case len(args) == 2 && args[0] == stdinName && args[1] == stdinName:
		return errOneStdin
	case len(args) == 2:
		return o.cluster.rejectFlags("OLD")
	}
	return nil
}

var errOneStdin = errors.New("standard input can be read only once")

func (a *app) diff(ctx context.Context, o *diffOptions, args []string) error {
	last := len(args) - 1
	to, after, err := a.readSingle(args[last], "the new version", parseInput)
	if err != nil {
		return err
	}
	from, before, err := a.oldVersion(ctx, o, args[:last])
	if err != nil {
		return err
	}
	if after.Lists != "" || after.Write == awsauth.SetsKeys {
		after.Object = setKeys(before.Object, after.Before, after.Object)
	}
	a.noteUnloadedSections(from.name, before)
	a.noteUnloadedSections(to.name, after)
	old, now := before.Load(), after.Load()
	for _, s := range awsauth.Sections() {
		if err := errors.Join(old.Unknown(s), now.Unknown(s)); err != nil && before.Data[string(s)] != after.Data[string(s)] {
			return fmt.Errorf("cannot determine the effective access of %s: %w", s, err)
		}
	}
	changes := awsauth.DiffAccess(old, now)
	if len(changes) > 0 {
		a.status = statusDenied
	}
	return a.print(report.Access{Old: from.name, New: to.name, Changes: changes}, &o.format)
}

// noteUnloadedSections prints a note for each section of an aws-auth that the authenticator does not load, or loads
// only in part. name is the name of the input.
func (a *app) noteUnloadedSections(name string, o object) {
	for _, t := range o.Parse().Texts {
		switch {
		case t.TooExpensive != nil:
			a.note("cannot determine the entries that the authenticator loads from %s of %s: %s", t.Section, name, t.TooExpensive.Problem)
		case t.Syntax != nil:
			a.note("the authenticator loads nothing from %s of %s, because it does not parse; kubectl awsauth lint shows the position", t.Section, name)
		case t.NotAList != nil:
			a.note("the authenticator loads nothing from %s of %s, because it is not a list; kubectl awsauth lint shows the position", t.Section, name)
		case t.Stop != nil:
			a.note("the authenticator loads %s of %s only up to %s: %s", t.Section, name, t.Stop.Path, t.Stop.Problem)
		}
	}
}

// oldVersion reads the old version from the file that the user named. If files is empty, it reads the live object.
func (a *app) oldVersion(ctx context.Context, o *diffOptions, files []string) (input, object, error) {
	if len(files) > 0 {
		return a.readSingle(files[0], "the old version", parseStored)
	}
	in, err := a.readLive(ctx, &o.cluster)
	if err != nil {
		return in, object{}, err
	}
	return in, in.objects[0], nil
}
