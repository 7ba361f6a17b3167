// Package version says which release a program is.
package version

import "runtime/debug"

// version is set when the programs are built: -ldflags "-X github.com/awsauth-guard/awsauth-guard/internal/version.version=v1.2.3".
var version string

// String returns the version that was set at build time, else the one that `go install` or version control
// gave the main module, else "(devel)".
func String() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
