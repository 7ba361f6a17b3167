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
	connection connection
	format     format
}

func (a *app) diffCommand() *cobra.Command {
	o := &diffOptions{}
	cmd := &cobra.Command{
		Use:   "diff [OLD] NEW",
		Short: "Say who gains and who loses what between two versions",
		Long: `Say who gains and who loses what between two versions.

Compared is what each principal gets from the authenticator, not lines: + can log in now, - can no
longer, ~ logs in with another username or other groups. OLD and NEW are files with one aws-auth, or
- for standard input. Without OLD the live object of the current context is compared with NEW.

Exit status: 0 no principal gains or loses access, 1 somebody does, 2 could not work.`,
		Example: a.example(
			"kubectl-awsauth diff old.yaml new.yaml",
			"# what would change in the cluster:",
			"helm template . | kubectl-awsauth diff - -o json",
			"git show main:aws-auth.yaml | kubectl-awsauth diff - aws-auth.yaml",
		),
		Args: usage(o.check),
		RunE: func(cmd *cobra.Command, args []string) error { return a.diff(cmd.Context(), o, args) },
	}
	o.connection.addTo(cmd)
	o.format.addTo(cmd)
	return cmd
}

func (o *diffOptions) check(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) != 1 && len(args) != 2:
		return fmt.Errorf("%d arguments, but diff takes OLD and NEW, or NEW alone", len(args))
	case len(args) == 2 && args[0] == stdinName && args[1] == stdinName:
		return errOneStdin
	case len(args) == 2:
		return o.connection.unused(cmd, "OLD")
	}
	return nil
}

var errOneStdin = errors.New("standard input can be read only once")

func (a *app) diff(ctx context.Context, o *diffOptions, args []string) error {
	last := len(args) - 1
	to, after, err := a.one(args[last], "the new version")
	if err != nil {
		return err
	}
	from, before, err := a.oldVersion(ctx, o, args[:last])
	if err != nil {
		return err
	}
	a.noteUnloaded(from.name, before)
	a.noteUnloaded(to.name, after)
	old, now := before.Load(), after.Load()
	for _, s := range awsauth.Sections() {
		if err := errors.Join(old.Unknown(s), now.Unknown(s)); err != nil && before.Data[string(s)] != after.Data[string(s)] {
			return fmt.Errorf("it is not known who gains and who loses what by %s: %w", s, err)
		}
	}
	changes := awsauth.DiffAccess(old, now)
	if len(changes) > 0 {
		a.status = statusDenied
	}
	return a.write(report.Access{Old: from.name, New: to.name, Changes: changes}, &o.format)
}

// noteUnloaded says which sections of a version give nothing to anybody because of their text.
func (a *app) noteUnloaded(name string, o object) {
	for _, t := range o.Parse().Texts {
		switch {
		case t.TooExpensive != nil:
			a.note("it is not known what is loaded from %s of %s: %s", t.Section, name, t.TooExpensive.Problem)
		case t.Syntax != nil:
			a.note("%s of %s does not parse: nothing is loaded from it; kubectl awsauth lint shows where", t.Section, name)
		case t.NotAList != nil:
			a.note("%s of %s is not a list: nothing is loaded from it; kubectl awsauth lint shows where", t.Section, name)
		case t.Stop != nil:
			a.note("%s of %s is loaded only up to %s: %s", t.Section, name, t.Stop.Path, t.Stop.Problem)
		}
	}
}

// oldVersion is the file that is named, else the live object.
func (a *app) oldVersion(ctx context.Context, o *diffOptions, files []string) (input, object, error) {
	if len(files) > 0 {
		return a.one(files[0], "the old version")
	}
	in, err := a.live(ctx, &o.connection)
	if err != nil {
		return in, object{}, err
	}
	return in, in.objects[0], nil
}
