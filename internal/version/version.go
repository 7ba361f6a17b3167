// Package version returns the version of the program.
package version

import "runtime/debug"

// version is set by the linker: -ldflags "-X github.com/awsauth-guard/awsauth-guard/internal/version.version=v1.2.3".
var version string

// String returns the version that the linker set. Without one it returns the version of the main module, or else "(devel)".
func String() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
