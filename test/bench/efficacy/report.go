package efficacy

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/validate"
	"github.com/awsauth-guard/awsauth-guard/internal/validate/rulecase"
)

// Report is a public report and, where one can be written, the change that it is about.
type Report struct {
	URL, What string
	// Case is nil where no change of aws-auth is at fault.
	Case *rulecase.Case
	// Rule is the folder of the case: the rule that answers the report.
	Rule string
	// Unseen says why nothing can be seen at admission; empty for all others.
	Unseen string
	// Harmless is for what was blamed and does no harm: a finding would be a false alarm.
	Harmless bool
	// Shape is for a harmless file or change that no report is about.
	Shape bool
}

// Catchable reports whether a webhook can notice the fault.
func (r *Report) Catchable() bool { return r.Unseen == "" && !r.Harmless }

const (
	// casesOfRules are the cases of the guard's own tests.
	casesOfRules = "internal/validate/testdata/rules"
	// casesOfPage are those in which the guard refuses nothing, which the tests of a rule that denies
	// have no place for.
	casesOfPage = "test/bench/efficacy/testdata"
	// harmless are files and changes in the forms that public tools and guides write.
	harmless = "internal/validate/testdata/harmless"
	// blamed is the report of something harmless.
	blamed = "ok-terraform-aws-eks-579.txtar"
)

// withoutCase are reports in which aws-auth is not changed, or not by anybody's mistake.
var withoutCase = []Report{
	{
		URL:    "https://github.com/aws-ia/terraform-aws-iam-identity-center/issues/33",
		What:   "IAM Identity Center creates its roles again, with other suffixes, and the entries for the old ones are dead.",
		Unseen: "aws-auth does not change: there is no request to look at.",
	},
	{
		URL:    "https://github.com/terraform-aws-modules/terraform-aws-eks/issues/610",
		What:   "The role of the worker nodes is replaced, and aws-auth still holds the old one.",
		Unseen: "aws-auth does not change: there is no request to look at.",
	},
	{
		URL:  "https://github.com/kyverno/kyverno/issues/8872",
		What: "A webhook for all of kube-system does not answer, so the nodes of EKS do not start; #11122 is another such report.",
		Unseen: "The webhook itself causes the fault. The API server calls the enforcing webhook of the guard only for aws-auth and never for " +
			"the users of EKS, so EKS can write aws-auth even if the guard does not answer.",
	},
}

// Reports reads every report, in the order of the rules that answer them.
func Reports(root string) ([]Report, error) {
	var reports []Report
	for _, dir := range []string{casesOfRules, casesOfPage} {
		cases, err := rulecase.Glob(filepath.Join(root, filepath.FromSlash(dir), "*", "*.txtar"))
		if err != nil {
			return nil, err
		}
		for _, c := range cases {
			name := filepath.Base(c.File)
			if c.Kind() != rulecase.Report && name != blamed {
				continue
			}
			r := Report{Case: c, Rule: filepath.Base(filepath.Dir(c.File)), Harmless: name == blamed}
			if r.What, r.URL, err = split(c.Comment); err != nil {
				return nil, fmt.Errorf("%s: %w", c.File, err)
			}
			reports = append(reports, r)
		}
	}
	order := make(map[string]int)
	for i, rule := range validate.Rules() {
		order[rule.ID] = i
	}
	for _, r := range reports {
		if _, ok := order[r.Rule]; !ok {
			return nil, fmt.Errorf("%s: no rule is called %s", r.Case.File, r.Rule)
		}
	}
	slices.SortStableFunc(reports, func(a, b Report) int { return order[a.Rule] - order[b.Rule] })
	shapes, err := rulecase.Glob(filepath.Join(root, filepath.FromSlash(harmless), "*.txtar"))
	if err != nil {
		return nil, err
	}
	for _, c := range shapes {
		reports = append(reports, Report{What: strings.Join(strings.Fields(c.Comment), " "), Case: c, Harmless: true, Shape: true})
	}
	return append(reports, withoutCase...), nil
}

// split cuts a case's comment into what went wrong and where that is reported.
func split(comment string) (what, url string, err error) {
	what, rest, ok := strings.Cut(comment, "https://")
	if !ok || strings.TrimSpace(what) == "" {
		return "", "", fmt.Errorf("the comment does not say what went wrong and then where that is reported: %q", comment)
	}
	url, _, _ = strings.Cut(rest, "\n")
	return strings.Join(strings.Fields(what), " "), "https://" + strings.TrimSpace(url), nil
}

var github = regexp.MustCompile(`^https://github\.com/[^/]+/([^/]+)/(?:issues|pull)/(\d+)$`)

// Name is the report's short name: REPOSITORY#NUMBER, or the site.
func (r *Report) Name() string {
	if m := github.FindStringSubmatch(r.URL); m != nil {
		return m[1] + "#" + m[2]
	}
	host, _, _ := strings.Cut(strings.TrimPrefix(r.URL, "https://"), "/")
	return strings.TrimPrefix(host, "www.")
}
