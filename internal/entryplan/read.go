package entryplan

import (
	"bytes"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// Concerns reports whether a text may contain resources to which the rules apply: it contains the name of a type of these resources.
func Concerns(src []byte) bool {
	for _, word := range []string{`"` + terraformEntry + `"`, `"` + terraformAssociation + `"`, `"` + terraformCluster + `"`, templateEntry, templateCluster, customCluster} {
		if bytes.Contains(src, []byte(word)) {
			return true
		}
	}
	return false
}

// Read returns the EKS resources in the output of terraform show -json, or in a CloudFormation template. It returns nil for any other
// text, and for a text without EKS resources. The caller sets [Plan.Mapped].
func Read(src []byte) *Plan {
	if !Concerns(src) {
		return nil
	}
	p := new(Plan)
	if awsauth.IsTerraform(src) {
		p = readTerraform(src)
	} else {
		sources, _ := awsauth.ReadSources(src)
		for _, s := range sources {
			p.readTemplate(s)
		}
	}
	if p.Len() == 0 {
		return nil
	}
	return p
}
