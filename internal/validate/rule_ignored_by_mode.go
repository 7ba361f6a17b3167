package validate

var ignoredByMode = &Rule{
	ID:       "ignored-by-mode",
	Severity: Warn,
	Scope:    OfChange,
	Title:    "aws-auth has no effect, because the cluster uses only access entries",
	Doc: `
The cluster's authentication mode is API. Then EKS uses access entries only, and nothing in aws-auth gives or
takes access. The mode can't be changed back. The guard doesn't refuse any change of aws-auth in this mode: the
faults of the document are warnings, and the rules about lost access don't run. This rule runs only if the guard
reads the cluster's access entries (eks.enabled).

Create an access entry instead, for example with aws eks create-access-entry. Delete aws-auth when no tool
writes it any more.`,
	Source:      "EKS user guide, \"Change authentication mode to use access entries\"",
	NeverDenies: true,
	Check:       checkIgnoredByMode,
}

func checkIgnoredByMode(p *Pass) {
	if p.entries.IgnoreAWSAuth() && p.Change.Operation != Delete {
		p.Warnf(wholeObject, "create an access entry instead", "the cluster's authentication mode is API, so nothing in aws-auth has an effect")
	}
}
