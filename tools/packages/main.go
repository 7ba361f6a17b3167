// Command packages makes the packages of kubectl-awsauth from the archives of a release. It also makes the man pages and
// completions that these packages contain:
//
//	packages docs -version VERSION -time UNIX FOLDER    man pages and completions, into FOLDER
//	packages build -version VERSION -time UNIX RELEASE  deb, rpm, krew manifest and Homebrew formula, into RELEASE
//	packages chart -version VERSION CHART CHANGELOG     annotations of Artifact Hub, into Chart.yaml of CHART
//
// VERSION has the form v1.2.3. UNIX is the time of the commit, in seconds since 1970. So the same commit gives the same bytes.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "packages: %s\n", err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

// commands has the number of arguments of each command, and its function.
var commands = map[string]struct {
	args int
	run  func(r release, args []string) error
}{
	"docs":  {1, func(r release, args []string) error { return writeDocs(r, args[0]) }},
	"build": {1, func(r release, args []string) error { return build(r, args[0]) }},
	"chart": {2, func(r release, args []string) error { return annotate(r, args[0], args[1]) }},
}

// release is the version that is packaged.
type release struct {
	tag  string // with the leading v
	time time.Time
}

// version returns the version without the leading v.
func (r release) version() string { return strings.TrimPrefix(r.tag, "v") }

func run(args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("write docs, build or chart")
	}
	command, ok := commands[args[0]]
	if !ok {
		return fmt.Errorf("unknown command %q; write docs, build or chart", args[0])
	}
	fs := flag.NewFlagSet(args[0], flag.ContinueOnError)
	tag := fs.String("version", "", "`version` of the release, with the leading v")
	unix := fs.Int64("time", 0, "`time` of the commit, in seconds since 1970")
	if err := fs.Parse(args[1:]); err != nil {
		return err
	}
	if !strings.HasPrefix(*tag, "v") || fs.NArg() != command.args {
		return fmt.Errorf("%s: write -version vVERSION and %d arguments", args[0], command.args)
	}
	return command.run(release{tag: *tag, time: time.Unix(*unix, 0).UTC()}, fs.Args())
}
