package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/fleet"
	"github.com/awsauth-guard/awsauth-guard/internal/report"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// lintFleet lints the live objects of several clusters.
func (a *app) lintFleet(ctx context.Context, l *lintRun, o *lintOptions) error {
	if o.fleet.baseline != "" {
		err := readBaseline(o.fleet.baseline, func(src []byte) (err error) {
			l.baseline, err = report.ReadBaseline(src)
			return err
		})
		if err != nil {
			return err
		}
	}
	targets, err := a.targets(ctx, &o.fleet, &o.cluster)
	if err != nil {
		return err
	}
	results, err := readFleet(ctx, a, targets, &o.fleet, func(ctx context.Context, sub *app, c *targetCluster) (fileResult, error) {
		in, err := readForLint(ctx, sub, c)
		if err != nil {
			return fileResult{}, err
		}
		return l.lintInput(in), nil // keeps only the result, and not the object
	})
	if err != nil {
		return err
	}
	l.fleet, l.total.Clusters = true, []report.Cluster{}
	for _, r := range results {
		l.total.Clusters = append(l.total.Clusters, r.report())
		result := fileResult{File: report.File{Name: liveName(r.name)}}
		if r.state == fleet.StateOK {
			result = r.value
			l.leaveOut(&result)
		}
		for _, reason := range r.reasons() {
			result.Problems = append(result.Problems, report.Problem{File: liveName(r.name), Message: reason})
		}
		if err := l.addResult(result); err != nil {
			return err
		}
	}
	a.summary("%s", l.total)
	return l.finish()
}

// leaveOut removes the findings that the baseline has, and no longer counts the cluster as denied or warned if no finding requires it.
// Without a baseline it does nothing.
func (l *lintRun) leaveOut(o *fileResult) {
	if l.baseline == nil {
		return
	}
	o.Findings = l.baseline.New(o.Findings)
	denials := slices.ContainsFunc(o.Findings, func(f report.Finding) bool { return f.Severity == validate.Deny })
	if o.denied > 0 && !denials {
		o.denied, o.warned = 0, min(len(o.Findings), 1)
	} else if len(o.Findings) == 0 {
		o.warned = 0
	}
}

// readForLint reads the aws-auth of one of several clusters. In the authentication mode CONFIG_MAP a missing aws-auth is an error, as for
// one cluster, because only the creator of the cluster can log in without it.
func readForLint(ctx context.Context, a *app, c *targetCluster) (input, error) {
	in, err := readStored(ctx, a, c)
	if err == nil && len(in.objects) == 0 && c.mode == access.ModeConfigMap {
		return in, fmt.Errorf("reading kube-system/aws-auth in %s: it does not exist, and in the authentication mode %s the cluster has no other source of access; EKS creates it with the first node group of a cluster", c.flags.where(c.flags.chosen.name), c.mode)
	}
	return in, err
}

// readStored reads the aws-auth of one of several clusters. If the cluster has none, and the authentication mode is known, the input has no
// object. If the mode is not known, this is an error, because aws-auth may have been deleted.
func readStored(ctx context.Context, a *app, c *targetCluster) (input, error) {
	in, err := a.readLive(ctx, &c.flags)
	if err != nil && apierrors.IsNotFound(err) && c.mode != "" {
		a.note("there is no aws-auth; the authentication mode of the cluster is %s", c.mode)
		return input{name: liveName(c.flags.chosen.name)}, nil
	}
	return in, err
}

// report returns the cluster for the output.
func (r *clusterResult[T]) report() report.Cluster {
	return report.Cluster{Name: r.name, Account: r.account, State: string(r.state), Errors: r.reasons()}
}

// findingMetrics implements lintReport. It counts the findings in each cluster by rule and severity.
type findingMetrics struct {
	w        io.Writer
	findings fleet.Gauge
}

// Add counts the findings of a cluster.
func (m *findingMetrics) Add(f report.File) error {
	type key struct {
		rule     string
		severity validate.Severity
	}
	count := make(map[key]int)
	var keys []key
	for _, finding := range f.Findings {
		k := key{finding.Rule, finding.Severity}
		if count[k] == 0 {
			keys = append(keys, k)
		}
		count[k]++
	}
	slices.SortFunc(keys, func(a, b key) int { return cmp.Or(cmp.Compare(a.rule, b.rule), cmp.Compare(a.severity, b.severity)) })
	cluster := strings.TrimSuffix(f.Name, "/"+awsauth.Namespace+"/"+awsauth.Name)
	for _, k := range keys {
		labels := []fleet.Label{{Name: "cluster", Value: cluster}, {Name: "rule", Value: k.rule}, {Name: "severity", Value: string(k.severity)}}
		m.findings.Samples = append(m.findings.Samples, fleet.Sample{Labels: labels, Value: count[k]})
	}
	return nil
}

// End writes the metrics.
func (m *findingMetrics) End(t report.Total) error {
	m.findings.Name, m.findings.Help = "awsauth_guard_fleet_findings", "Findings of kubectl awsauth lint in the cluster, without those of the baseline."
	clusters := make([]fleet.Cluster, len(t.Clusters))
	for i, c := range t.Clusters {
		clusters[i] = fleet.Cluster{Name: c.Name, State: fleet.State(c.State)}
	}
	return fleet.WriteOpenMetrics(m.w, []fleet.Gauge{fleet.KnownGauge("awsauth_guard_fleet_cluster_known", clusters), m.findings})
}
