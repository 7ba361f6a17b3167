// Package config is the GuardConfig file: its types, its defaults and the checks that a file must
// pass before anything is started with it.
package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// The apiVersion and kind that a GuardConfig file must have.
const (
	APIVersion = "awsauth-guard.io/v1alpha1"
	Kind       = "GuardConfig"
)

// Config is a GuardConfig file. A field whose tag says omitempty may be left out, any other must
// be written. The comments of its fields are the descriptions in docs/guardconfig.schema.json.
type Config struct {
	// APIVersion is awsauth-guard.io/v1alpha1.
	APIVersion string `yaml:"apiVersion"`

	// Kind is GuardConfig.
	Kind string `yaml:"kind"`

	// Mode is enforce, the default, or warn: nothing is refused, what would have been is a warning,
	// and awsauth_guard_would_deny_total counts it.
	Mode validate.Mode `yaml:"mode,omitempty"`

	// Protected lists the principals that must keep their access: an edit after which one of them
	// would have lost one of its groups is refused. Without it every other rule still protects.
	Protected []Protected `yaml:"protected,omitempty"`

	// AdminGroups are the groups whose members can repair aws-auth: the last entry that gives one
	// of them cannot be removed, and nobody can take them from themselves. The default is
	// system:masters.
	AdminGroups []string `yaml:"adminGroups,omitempty"`

	// AccessEntries are the ARNs of principals that have an EKS access entry, and so do not need
	// aws-auth: no rule counts them as lost. A role may be written with its path, as EKS shows it.
	// Nothing asks EKS whether the access entry exists and gives what the mapping gave.
	AccessEntries []string `yaml:"accessEntries,omitempty"`

	// Rules says by rule id what the findings of a rule do: deny refuses the change, warn lets it
	// pass with a warning, off does not look. A rule that is not listed does what it does by itself.
	Rules map[string]validate.Severity `yaml:"rules,omitempty"`

	// Overrides says who may overrule the guard.
	Overrides Overrides `yaml:"overrides,omitempty"`

	// IAM says whether IAM is asked for the principals that a change adds.
	IAM IAM `yaml:"iam,omitempty"`

	// SelfTest says whether the guard tries whether it is asked at all.
	SelfTest SelfTest `yaml:"selfTest,omitempty"`

	// History says what is kept of the versions of aws-auth that were stored.
	History History `yaml:"history,omitempty"`

	// Restore says whether the guard restores the last good version after a change that bypassed it.
	Restore Restore `yaml:"restore,omitempty"`
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

// Overrides says who may overrule the guard.
type Overrides struct {
	// Groups are the Kubernetes groups whose members may use the annotation
	// awsauth-guard.io/break-glass, service accounts never; at least one. The default is system:masters.
	Groups []string `yaml:"groups,omitempty"`
}

// IAM says whether and how IAM is asked whether principals exist.
type IAM struct {
	// Mode is off, the default; warn: a new principal that IAM does not have is a warning; or deny: the
	// change is refused.
	Mode validate.Severity `yaml:"mode,omitempty"`

	// Budget is how long a review may wait for IAM, such as 2s, the default: more than 0s and at most 15s,
	// and never more than half of the time that the API server gives it. What is not known by then is a warning.
	Budget time.Duration `yaml:"budget,omitempty"`

	// Accounts says by account id how principals of other accounts are asked for.
	Accounts map[string]Account `yaml:"accounts,omitempty"`
}

// Account is how IAM of another account is asked.
type Account struct {
	// RoleARN is the role of that account that is assumed, with its path if it has one.
	RoleARN string `yaml:"roleARN"`

	// ExternalID is sent along where the role's trust policy asks for one.
	ExternalID string `yaml:"externalID,omitempty"`
}

// SelfTest says whether the guard tries whether it is asked at all.
type SelfTest struct {
	// Enabled sends a dry run of deleting aws-auth through the API server every 30 seconds, and expects it
	// to be refused. It needs the right to delete aws-auth.
	Enabled bool `yaml:"enabled,omitempty"`
}

// History says what is kept of the versions of aws-auth that were stored.
type History struct {
	// Versions is how many are kept, from 1 to 100; the default is 10.
	Versions int `yaml:"versions,omitempty"`
}

// Restore says whether the guard restores the last good version after a change that bypassed it.
type Restore struct {
	// Enabled restores the last good version when a stored change is one that the guard refuses because it takes
	// away a protected principal, every administrator, every node role or everything. It needs mode enforce, and the
	// right to update aws-auth, which is as much as to be a cluster administrator.
	Enabled bool `yaml:"enabled,omitempty"`

	// MaxPerHour is how often it does so at most, from 1 to 60; the default is 3.
	MaxPerHour int `yaml:"maxPerHour,omitempty"`
}

// What the numbers are where a file does not say, and at most.
const (
	defaultVersions   = 10
	maxVersions       = 100
	defaultMaxPerHour = 3
	maxMaxPerHour     = 60
)

// defaultBudget leaves the API server's timeout of 5 s, as the chart sets it, time enough for the rest, and
// IAM for a second look one second after the first.
const defaultBudget = 2 * time.Second

// maxBudget is half of the longest time that an API server waits for a webhook
// (admissionregistration.k8s.io/v1, timeoutSeconds).
const maxBudget = 15 * time.Second

// setDefaults fills what a file may leave out.
func (c *Config) setDefaults() {
	if c.Mode == "" {
		c.Mode = validate.Enforce
	}
	if c.AdminGroups == nil {
		c.AdminGroups = []string{access.Masters}
	}
	if c.IAM.Mode == "" {
		c.IAM.Mode = validate.Off
	}
	if c.IAM.Budget == 0 {
		c.IAM.Budget = defaultBudget
	}
	c.History.Versions = cmp.Or(c.History.Versions, defaultVersions)
	c.Restore.MaxPerHour = cmp.Or(c.Restore.MaxPerHour, defaultMaxPerHour)
	if c.Overrides.Groups == nil {
		c.Overrides.Groups = []string{access.Masters}
	}
}

// Default is the configuration that holds where no file is given.
func Default() *Config {
	c := &Config{APIVersion: APIVersion, Kind: Kind}
	c.setDefaults()
	return c
}

// Effective returns the configuration with every rule in Rules.
func (c *Config) Effective() *Config {
	e := *c
	e.Rules = make(map[string]validate.Severity)
	for _, rule := range validate.Rules() {
		e.Rules[rule.ID] = cmp.Or(c.Rules[rule.ID], rule.Severity)
	}
	return &e
}

// YAML writes the configuration as a file that reads back as it.
func (c *Config) YAML() ([]byte, error) {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := errors.Join(e.Encode(c), e.Close()); err != nil {
		return nil, fmt.Errorf("writing the configuration: %w", err)
	}
	return b.Bytes(), nil
}

// Load reads the file at path. The error joins every problem of the file, each a [*FieldError].
func Load(path string) (*Config, error) { return (&File{Path: path}).Load() }

// Policy is what the rules need of the configuration.
func (c *Config) Policy() validate.Policy {
	p := validate.Policy{
		Mode:           c.Mode,
		Rules:          c.Rules,
		AdminGroups:    c.AdminGroups,
		AccessEntries:  c.AccessEntries,
		OverrideGroups: c.Overrides.Groups,
		IAMMode:        c.IAM.Mode,
	}
	for _, principal := range c.Protected {
		p.Protected = append(p.Protected, access.Protected{ARN: principal.ARN, Groups: principal.Groups})
	}
	return p
}
