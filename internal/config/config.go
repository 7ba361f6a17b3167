// Package config reads the GuardConfig file of the guard, and the ClusterList file of kubectl awsauth. It holds the types of the
// fields, the defaults, and the checks of the values.
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

// Config is a GuardConfig file. A field with omitempty in its tag is optional, and every other field is required. The comments of
// the fields become the descriptions in docs/guardconfig.schema.json.
type Config struct {
	// APIVersion is awsauth-guard.io/v1alpha1.
	APIVersion string `yaml:"apiVersion"`

	// Kind is GuardConfig.
	Kind string `yaml:"kind"`

	// Mode is enforce (the default) or warn. In mode warn the guard refuses no change. Each refusal becomes a warning,
	// and awsauth_guard_would_deny_total counts it. In both modes the guard refuses a request that it can't decode, unless
	// EKS or a member of the bypass group makes it.
	Mode validate.Mode `yaml:"mode,omitempty"`

	// Protected lists the principals that must keep their access. The guard refuses an edit that takes a listed group from a
	// protected principal, or the rights of an admin from a protected admin. Without this list every other rule still applies.
	Protected []Protected `yaml:"protected,omitempty"`

	// AdminGroups are the groups whose members can repair aws-auth. The guard refuses a change after
	// which no principal has one of these groups. It also refuses a change that takes one of these groups away from the
	// requester. The default is system:masters.
	AdminGroups []string `yaml:"adminGroups,omitempty"`

	// AccessEntries are the ARNs of principals that have an EKS access entry and therefore don't need aws-auth. No rule
	// counts them as lost. Write a role with its path, as EKS shows it, or without. The guard does not check that an access
	// entry exists, or that it gives the same access as the entry in aws-auth. With eks.enabled the guard reads the access
	// entries itself, and uses this list only while it can't read them. The backstop (a ValidatingAdmissionPolicy of the
	// chart) knows only this list, even with eks.enabled.
	AccessEntries []string `yaml:"accessEntries,omitempty"`

	// Rules sets the severity of rules by their ids: deny refuses the change, warn allows it with a warning, and off
	// disables the rule. A rule that is not listed keeps its default severity. GuardConfig can't set the severities of the
	// rules of access entries, which only kubectl awsauth lint runs; its flag --rule sets them.
	Rules map[string]validate.Severity `yaml:"rules,omitempty"`

	// Overrides configures who may override the guard.
	Overrides Overrides `yaml:"overrides,omitempty"`

	// IAM configures whether the guard looks up new principals in IAM.
	IAM IAM `yaml:"iam,omitempty"`

	// EKS configures whether the guard reads the cluster's access entries.
	EKS EKS `yaml:"eks,omitempty"`

	// SelfTest configures whether the guard tests that the API server calls it.
	SelfTest SelfTest `yaml:"selfTest,omitempty"`

	// History configures how many stored versions of aws-auth the guard keeps.
	History History `yaml:"history,omitempty"`

	// Restore configures whether the guard restores the last good version after a change that bypassed it.
	Restore Restore `yaml:"restore,omitempty"`
}

// Protected is a principal that must keep its access.
type Protected struct {
	// ARN is the principal's ARN in the form that aws-auth needs: an IAM role without its path, an IAM user with its
	// path, an account's root, or an STS federated user. The ARN of a role's STS session is an error, because no entry
	// matches it.
	ARN string `yaml:"arn"`

	// Groups are the Kubernetes groups that the principal must keep. If admin is true, groups may be missing. Otherwise at
	// least one group is required.
	Groups []string `yaml:"groups,omitempty"`

	// Admin means that the principal must be an admin: by one of adminGroups in aws-auth, or by its access entry. Use admin
	// for a principal that moves from aws-auth to an access entry.
	Admin bool `yaml:"admin,omitempty"`
}

// Overrides configures who may override the guard.
type Overrides struct {
	// Groups are the Kubernetes groups whose members may use the annotation awsauth-guard.io/break-glass. The list must not be
	// empty. Service accounts may never use the annotation. The default is system:masters.
	Groups []string `yaml:"groups,omitempty"`

	// Principals are the ARNs of IAM roles and users that may use the annotation, too. Use this list for admins who log in
	// through an access entry, because an access entry can't give system:masters. A role may have its path or not.
	Principals []string `yaml:"principals,omitempty"`

	// SubjectAccessReview allows requesters with the right break-glass on the ConfigMap kube-system/aws-auth to use the
	// annotation, too. If a request sets the annotation, the guard asks the API server whether the requester has this right.
	// For this the guard needs the right to create SubjectAccessReviews.
	SubjectAccessReview bool `yaml:"subjectAccessReview,omitempty"`
}

// EKS configures whether and how the guard reads the cluster's access entries.
type EKS struct {
	// Enabled makes the guard read the authentication mode and the access entries of the cluster from EKS. A review never
	// waits for EKS. The guard needs four read permissions for this. The rules count a stale access entry as access until it
	// is deleted, although it matches no caller.
	Enabled bool `yaml:"enabled,omitempty"`

	// Cluster is the name of the EKS cluster in which the guard runs. The guard recognizes the cluster by its CA, and doesn't
	// use the access entries of another cluster. Cluster is required if enabled is true.
	Cluster string `yaml:"cluster,omitempty"`

	// Region is the AWS region of the cluster. The default is the region of the guard's AWS configuration.
	Region string `yaml:"region,omitempty"`

	// Refresh is the time between two reads, from 1m to 1h. The default is 5m. The guard uses the access entries of the last
	// successful read for at most three times this time.
	Refresh time.Duration `yaml:"refresh,omitempty"`
}

// IAM configures whether and how the guard looks up principals in IAM.
type IAM struct {
	// Mode is off (the default), warn or deny. With warn, the guard warns about a new principal that doesn't exist in
	// IAM. With deny, it refuses the change.
	Mode validate.Severity `yaml:"mode,omitempty"`

	// Budget is how long a review may wait for IAM: more than 0s and at most 15s. The default is 2s. A review also never waits
	// longer than half of the webhook's timeout. If a lookup takes longer, the guard admits the principal with a warning.
	Budget time.Duration `yaml:"budget,omitempty"`

	// Accounts configures how the guard looks up principals of other accounts. The keys are account ids.
	Accounts map[string]Account `yaml:"accounts,omitempty"`
}

// Account configures the lookups in another account.
type Account struct {
	// RoleARN is the ARN of a role in this account, including the path. The guard assumes this role.
	RoleARN string `yaml:"roleARN"`

	// ExternalID is the external id that the role's trust policy requires. Leave it out if the policy requires none.
	ExternalID string `yaml:"externalID,omitempty"`
}

// SelfTest configures whether the guard tests that the API server calls it.
type SelfTest struct {
	// Enabled makes the guard send the API server a dry run that deletes aws-auth, every 30 seconds. The guard then checks
	// that its webhook refuses the deletion. For this test the guard needs the right to delete aws-auth.
	Enabled bool `yaml:"enabled,omitempty"`
}

// History configures how many stored versions of aws-auth the guard keeps.
type History struct {
	// Versions is the number of versions, from 1 to 100. The default is 10.
	Versions int `yaml:"versions,omitempty"`
}

// Restore configures whether the guard restores the last good version after a change that bypassed it.
type Restore struct {
	// Enabled makes the guard restore the last good version after a change that bypassed it. The guard restores only
	// after a change that removes every entry, or that removes the access of a protected principal, of every admin or
	// of every node role. This needs mode enforce. It also needs the right to update aws-auth, which is as powerful as
	// the rights of an admin.
	Enabled bool `yaml:"enabled,omitempty"`

	// MaxPerHour is the maximum number of restores in an hour, from 1 to 60. The default is 3.
	MaxPerHour int `yaml:"maxPerHour,omitempty"`
}

// Defaults and maximums of history.versions and restore.maxPerHour.
const (
	defaultVersions   = 10
	maxVersions       = 100
	defaultMaxPerHour = 3
	maxMaxPerHour     = 60
)

// The default, minimum and maximum of eks.refresh. A read takes one or two calls for each access entry.
const (
	defaultRefresh = 5 * time.Minute
	minRefresh     = time.Minute
	maxRefresh     = time.Hour
)

// defaultBudget is long enough for two calls of IAM with one second between them. It leaves enough time for the rest of the
// review, because the webhook timeout of the chart is 5 s.
const defaultBudget = 2 * time.Second

// maxBudget is half of the longest webhook timeout (admissionregistration.k8s.io/v1, timeoutSeconds).
const maxBudget = 15 * time.Second

// setDefaults sets the optional fields that are not in the file to their defaults.
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
	c.EKS.Refresh = cmp.Or(c.EKS.Refresh, defaultRefresh)
	c.History.Versions = cmp.Or(c.History.Versions, defaultVersions)
	c.Restore.MaxPerHour = cmp.Or(c.Restore.MaxPerHour, defaultMaxPerHour)
	if c.Overrides.Groups == nil {
		c.Overrides.Groups = []string{access.Masters}
	}
}

// Default returns the configuration of a guard without a file.
func Default() *Config {
	c := &Config{APIVersion: APIVersion, Kind: Kind}
	c.setDefaults()
	return c
}

// Effective returns a copy of the configuration in which Rules has every rule. A rule that c doesn't list has its default
// severity.
func (c *Config) Effective() *Config {
	e := *c
	e.Rules = make(map[string]validate.Severity)
	for _, rule := range validate.Rules() {
		e.Rules[rule.ID] = cmp.Or(c.Rules[rule.ID], rule.Severity)
	}
	return &e
}

// YAML returns the configuration as the text of a file. [Parse] decodes this text to the same configuration.
func (c *Config) YAML() ([]byte, error) {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := errors.Join(e.Encode(c), e.Close()); err != nil {
		return nil, fmt.Errorf("writing the configuration: %w", err)
	}
	return b.Bytes(), nil
}

// Load reads and checks the file at path. It fails if it can't read the file. If the content is not valid, the error joins a
// [*FieldError] for each problem.
func Load(path string) (*Config, error) { return (&File{Path: path}).Load() }

// Policy returns the part of the configuration that the rules need.
func (c *Config) Policy() validate.Policy {
	p := validate.Policy{
		Mode:           c.Mode,
		Rules:          c.Rules,
		AdminGroups:    c.AdminGroups,
		AccessEntries:  c.AccessEntries,
		OverrideGroups: c.Overrides.Groups, OverridePrincipals: c.Overrides.Principals, OverrideByRight: c.Overrides.SubjectAccessReview,
		IAMMode: c.IAM.Mode,
	}
	for _, principal := range c.Protected {
		p.Protected = append(p.Protected, access.Protected(principal))
	}
	return p
}
