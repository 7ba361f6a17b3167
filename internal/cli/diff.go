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
	fleet   fleetFlags
	format  outputFormat
}

func (a *app) diffCommand() *cobra.Command {
	o := &diffOptions{}
	cmd := &cobra.Command{
		Use:   "diff [OLD] NEW",
		Short: "Show the access that principals gain or lose between two versions",
		Long: `Show the access that principals gain or lose between two versions.

diff compares effective access, not lines of text. It marks a principal that
  +  gains access
  -  loses access
  ~  keeps access, with another username or other groups

OLD and NEW are files with exactly one aws-auth, or a dash (-) for standard input. Without OLD, diff
compares the live object of the current context with NEW.

` + fleetHelp + `
With NEW, diff compares each cluster with NEW. Without NEW, it compares the first cluster with each of the others. For
all contexts the first one is the current context. If the first cluster can't be read, every comparison is unknown. Equal
differences of several clusters appear once, and the differences of the fewest clusters come first.

Exit status: 0 no difference, 1 a difference, 2 an error, 3 one of several clusters can't be read.`,
		Example: a.example(
			"kubectl-awsauth diff old.yaml new.yaml",
			"# Compare a rendered chart with the live object",
			"helm template . | kubectl-awsauth diff - -o json",
			"git show main:aws-auth.yaml | kubectl-awsauth diff - aws-auth.yaml",
			"# Compare each cluster with a file, and two clusters with each other",
			"kubectl-awsauth diff aws-auth.yaml --contexts all",
			"kubectl-awsauth diff --contexts prod-eu,prod-us",
		),
		Args: usage(o.check),
		RunE: func(cmd *cobra.Command, args []string) error { return a.diff(cmd.Context(), o, args) },
	}
	o.cluster.addTo(cmd)
	o.cluster.addFixedNamespace(cmd)
	o.fleet.addTo(cmd, &o.cluster)
	o.format.addTo(cmd)
	return cmd
}

func (o *diffOptions) check(cmd *cobra.Command, args []string) error {
	if err := o.fleet.check(cmd, &o.cluster, &o.format); err != nil {
		return err
	}
	switch {
	case o.fleet.used() && len(args) > 1:
		return fmt.Errorf("%d arguments, but with several clusters diff takes NEW alone, or none", len(args))
	case o.fleet.used():
		return nil
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
	if o.fleet.used() {
		return a.diffFleet(ctx, o, args)
	}
	last := len(args) - 1
	to, after, err := a.readSingle(args[last], "the new version", parseInput)
	if err != nil {
		return err
	}
	from, before, err := a.oldVersion(ctx, o, args[:last])
	if err != nil {
		return err
	}
	after = withKeysOf(before, after)
	a.noteUnloadedSections(from.name, before)
	a.noteUnloadedSections(to.name, after)
	changes, err := accessChanges(before, after)
	if err != nil {
		return err
	}
	if len(changes) > 0 {
		a.status = statusDenied
	}
	return a.print(report.Access{Old: from.name, New: to.name, Changes: changes}, &o.format)
}

// withKeysOf returns the new version. If the input sets only some keys, as some Terraform resources do, or has only lists of entries, the
// result also has the keys of the old version that stay.
func withKeysOf(before, after object) object {
	if after.Lists != "" || after.Write == awsauth.SetsKeys {
		after.Object = setKeys(before.Object, after.Before, after.Object)
	}
	return after
}

// accessChanges returns the changes of effective access between two versions. It returns an error if a section differs and the
// authenticator's entries of this section are unknown in one of the versions.
func accessChanges(before, after object) ([]awsauth.AccessChange, error) {
	old, now := before.Load(), after.Load()
	for _, s := range awsauth.Sections() {
		if err := errors.Join(old.Unknown(s), now.Unknown(s)); err != nil && before.Data[string(s)] != after.Data[string(s)] {
			return nil, fmt.Errorf("cannot determine the effective access of %s: %w", s, err)
		}
	}
	return awsauth.DiffAccess(old, now), nil
}

// noteUnloadedSections prints a note for each section of an aws-auth that the authenticator does not load, or loads only in part, and for
// each section that is too expensive to evaluate. name is the name of the input.
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
