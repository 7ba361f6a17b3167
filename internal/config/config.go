// Package config is the GuardConfig file: its types, its defaults and the checks that a file must
// pass before anything is started with it.
package config

import (
	"fmt"
	"os"

	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// The apiVersion and kind that a GuardConfig file must have.
const (
	APIVersion = "awsauth-guard.io/v1alpha1"
	Kind       = "GuardConfig"
)

// Config is a GuardConfig file. A field whose tag says omitempty may be left out, any other must
// be written.
type Config struct {
	// APIVersion is awsauth-guard.io/v1alpha1.
	APIVersion string `yaml:"apiVersion"`

	// Kind is GuardConfig.
	Kind string `yaml:"kind"`

	// Protected lists the principals that must keep their access: an edit after which one of them
	// would have lost one of its groups is refused. Without it every other rule still protects.
	Protected []Protected `yaml:"protected,omitempty"`

	// AdminGroups are the groups whose members can repair aws-auth: the last entry that gives one
	// of them cannot be removed, and nobody can take them from themselves. The default is
	// system:masters.
	AdminGroups []string `yaml:"adminGroups,omitempty"`
}

// Protected is a principal that must keep its access.
type Protected struct {
	// ARN is the principal's ARN as aws-auth must hold it: an IAM role without its path, an IAM
	// user with its path, an account's root, or an STS federated user. ARNs of STS sessions are
	// refused, because entries never match them.
	ARN string `yaml:"arn"`

	// Groups are the Kubernetes groups that the principal must keep; at least one.
	Groups []string `yaml:"groups"`
}

// Default is the configuration that holds where no file is given.
func Default() *Config {
	return &Config{APIVersion: APIVersion, Kind: Kind, AdminGroups: []string{"system:masters"}}
}

// Load reads the file at path. The error joins every problem of the file, each a [*FieldError].
func Load(path string) (*Config, error) {
	src, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	return Parse(path, src)
}

// Policy is what the rules need of the configuration.
func (c *Config) Policy() validate.Policy {
	p := validate.Policy{AdminGroups: c.AdminGroups}
	for _, principal := range c.Protected {
		p.Protected = append(p.Protected, validate.Protected{ARN: principal.ARN, Groups: principal.Groups})
	}
	return p
}
