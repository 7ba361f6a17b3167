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

// Report is a public report. It has the change that the report describes, if the report says enough to reconstruct
// it.
type Report struct {
	URL, What string
	// Case is the change. It is nil if the report describes no faulty change of aws-auth.
	Case *rulecase.Case
	// Rule is the id of the rule that must find the fault. The folder of the case has this name.
	Rule string
	// Unseen says why a webhook can't see the fault. It is empty if a webhook can see the fault.
	Unseen string
	// Harmless reports whether the change is harmless, so that a finding would be a false alarm.
	Harmless bool
	// Shape reports whether this is a harmless file or change that no public report is about.
	Shape bool
}

// Catchable reports whether a webhook can notice the fault.
func (r *Report) Catchable() bool { return r.Unseen == "" && !r.Harmless }

const (
	// casesOfRules is the folder with the cases of the rules.
	casesOfRules = "internal/validate/testdata/rules"
	// casesOfPage is the folder with reports whose rule only warns of the change, although the severity of the rule is deny.
	// They can't be in casesOfRules, because the test of the rules requires a finding with the severity of the rule.
	casesOfPage = "test/bench/efficacy/testdata"
	// harmless is the folder with files and changes without faults, in the forms that public tools and guides write.
	harmless = "internal/validate/testdata/harmless"
	// blamed is the case of the only report that blames a harmless change.
	blamed = "ok-terraform-aws-eks-579.txtar"
)

// withoutCase has the reports of faults that no change of aws-auth causes. They have no case.
var withoutCase = []Report{
	{
		URL:    "https://github.com/aws-ia/terraform-aws-iam-identity-center/issues/33",
		What:   "IAM Identity Center creates its roles again, with other suffixes, so the entries of the old roles never match.",
		Unseen: "aws-auth does not change: the API server makes no review.",
	},
	{
		URL:    "https://github.com/terraform-aws-modules/terraform-aws-eks/issues/610",
		What:   "A user replaces the role of the worker nodes, and aws-auth still has the old role.",
		Unseen: "aws-auth does not change: the API server makes no review.",
	},
	{
		URL:  "https://github.com/kyverno/kyverno/issues/8872",
		What: "A webhook for all of kube-system does not answer, so the nodes of EKS do not start; #11122 is another such report.",
		Unseen: "The webhook itself causes the fault. The API server calls the enforcing webhook of the guard only for aws-auth and never for " +
			"the users of EKS, so EKS can write aws-auth even if the guard does not answer.",
	},
}

// Reports returns the reports in the order of the rules. The harmless files and changes follow, and then the reports
// without a case.
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

// split splits the comment of a case into the description of the fault and the address of the report. It fails if the comment
// lacks one of them.
func split(comment string) (what, url string, err error) {
	what, rest, ok := strings.Cut(comment, "https://")
	if !ok || strings.TrimSpace(what) == "" {
		return "", "", fmt.Errorf("the comment does not say what went wrong and then where that is reported: %q", comment)
	}
	url, _, _ = strings.Cut(rest, "\n")
	return strings.Join(strings.Fields(what), " "), "https://" + strings.TrimSpace(url), nil
}

var github = regexp.MustCompile(`^https://github\.com/[^/]+/([^/]+)/(?:issues|pull)/(\d+)$`)

// Name returns the short name of the report. This is REPOSITORY#NUMBER for a report on GitHub, or else the host of
// its address.
func (r *Report) Name() string {
	if m := github.FindStringSubmatch(r.URL); m != nil {
		return m[1] + "#" + m[2]
	}
	host, _, _ := strings.Cut(strings.TrimPrefix(r.URL, "https://"), "/")
	return strings.TrimPrefix(host, "www.")
}
