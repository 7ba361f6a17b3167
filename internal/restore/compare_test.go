package restore_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/restore"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

const (
	iamPrefix  = "arn:aws:iam::111122223333:"
	adminARN   = iamPrefix + "role/Admin"
	nodeARN    = iamPrefix + "role/Node"
	admin      = "- rolearn: " + adminARN + "\n  username: admin\n  groups: [system:masters]\n"
	otherAdmin = "- rolearn: " + iamPrefix + "role/Other\n  username: other\n  groups: [system:masters]\n"
	node       = "- rolearn: " + nodeARN + "\n  username: system:node:{{EC2PrivateDNSName}}\n  groups: [system:bootstrappers, system:nodes]\n"
	otherNode  = "- rolearn: " + iamPrefix + "role/OtherNode\n  username: system:node:{{EC2PrivateDNSName}}\n  groups: [system:bootstrappers, system:nodes]\n"
	brokenNode = "- rolearn: " + nodeARN + "\n  username: node\n  groups: [system:bootstrappers, system:nodes]\n"
	ci         = "- rolearn: " + iamPrefix + "role/CI\n  username: ci\n  groups: [deployers]\n"
	unread     = "- rolearn: arn:aws:sts::111122223333:assumed-role/CI/x\n  username: ci\n"
)

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// object returns an aws-auth with these roles. annotations are alternating keys and values.
func object(roles string, annotations ...string) *corev1.ConfigMap {
	cm := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "aws-auth", ResourceVersion: "7", Annotations: make(map[string]string)},
		Data:       map[string]string{"mapRoles": roles},
	}
	for i := 0; i < len(annotations); i += 2 {
		cm.Annotations[annotations[i]] = annotations[i+1]
	}
	return cm
}

func policy(change ...func(*validate.Policy)) validate.Policy {
	p := validate.Policy{Mode: validate.Enforce, Protected: []access.Protected{{ARN: adminARN, Groups: []string{"system:masters"}}}}
	for _, c := range change {
		c(&p)
	}
	return p
}

// Compare returns a loss only if a rule refuses the change because it locks out people or all nodes. A loss is intended if EKS caused
// it or if the change uses break-glass.
func TestCompareFindsLockouts(t *testing.T) {
	t.Parallel()
	const glass, removal = validate.BreakGlassAnnotation, validate.AllowRemovalAnnotation
	all := admin + node + otherAdmin + otherNode
	grant := "delete " + epoch.Add(30*time.Minute).Format(time.RFC3339) + " moved to access entries"
	expired := "delete " + epoch.Add(-time.Minute).Format(time.RFC3339) + " moved to access entries"
	intended := "aws-auth has a new break-glass annotation"
	for name, tt := range map[string]struct {
		good, stored *corev1.ConfigMap
		manager      string
		policy       validate.Policy
		lost         []string
		intended     string
	}{
		"no version before":              {nil, object("[]"), "", policy(), nil, ""},
		"the same":                       {object(all), object(all), "", policy(), nil, ""},
		"more":                           {object(admin + node), object(all), "", policy(), nil, ""},
		"another entry":                  {object(all + ci), object(all), "", policy(), nil, ""},
		"a fault without a lockout":      {object(all), object(all + unread), "", policy(), nil, ""},
		"a protected principal":          {object(all), object(node + otherAdmin + otherNode), "", policy(), []string{"protected-principal"}, ""},
		"another admin":                  {object(all), object(admin + node + otherNode), "", policy(), nil, ""},
		"the last admin":                 {object(all), object(node + otherNode), "", policy(func(p *validate.Policy) { p.Protected = nil }), []string{"last-admin"}, ""},
		"everything":                     {object(all), object("[]"), "", policy(), []string{"emptied", "last-admin", "node-role-removed", "protected-principal"}, ""},
		"deleted":                        {object(all), nil, "", policy(), []string{"deleted", "last-admin", "node-role-removed", "protected-principal"}, ""},
		"deleted where nothing was":      {object("[]"), nil, "", policy(), nil, ""},
		"one of two node roles":          {object(all), object(admin + otherAdmin + node), "", policy(), nil, ""},
		"every node role":                {object(all), object(admin + otherAdmin), "", policy(), []string{"node-role-removed"}, ""},
		"every node role for another":    {object(admin + node), object(admin + otherNode), "", policy(), []string{"node-role-removed"}, ""},
		"a node role that makes no node": {object(admin + node), object(admin + brokenNode), "", policy(), []string{"node-role-removed"}, ""},
		"a node role with an access entry": {object(admin + node), object(admin), "", policy(func(p *validate.Policy) {
			p.AccessEntries = []string{nodeARN}
		}), nil, ""},
		"a removal that is allowed":          {object(admin + node), object(admin, removal, nodeARN), "", policy(), nil, ""},
		"a removal that was allowed before":  {object(admin+node, removal, nodeARN), object(admin, removal, nodeARN), "", policy(), []string{"node-role-removed"}, ""},
		"one of two removals is allowed":     {object(all), object(admin+otherAdmin, removal, nodeARN), "", policy(), nil, ""},
		"an allowed removal and the admin":   {object(admin + node), object(ci, removal, nodeARN), "", policy(), []string{"last-admin", "protected-principal"}, ""},
		"a rule that is off":                 {object(all), object(node + otherAdmin + otherNode), "", policy(func(p *validate.Policy) { p.Rules = map[string]validate.Severity{"protected-principal": validate.Off} }), nil, ""},
		"a rule that warns":                  {object(all), object(admin + otherAdmin), "", policy(func(p *validate.Policy) { p.Rules = map[string]validate.Severity{"node-role-removed": validate.Warn} }), nil, ""},
		"mode warn":                          {object(all), object(admin + otherAdmin), "", policy(func(p *validate.Policy) { p.Mode = validate.WarnMode }), []string{"node-role-removed"}, ""},
		"by EKS":                             {object(all), object(admin), "vpcLambda", policy(), []string{"node-role-removed"}, "EKS wrote it, with the field manager vpcLambda"},
		"by EKS's node manager":              {object(all), object(admin), "eks:node-manager", policy(), []string{"node-role-removed"}, "EKS wrote it, with the field manager eks:node-manager"},
		"by eksctl":                          {object(all), object(admin), "eksctl", policy(), []string{"node-role-removed"}, ""},
		"break-glass":                        {object(all), object(admin, glass, "incident 4711"), "", policy(), []string{"node-role-removed"}, intended},
		"break-glass for another reason":     {object(all, glass, "incident 4711"), object(admin, glass, "incident 4712"), "", policy(), []string{"node-role-removed"}, intended},
		"break-glass from before":            {object(all, glass, "incident 4711"), object(admin, glass, " incident 4711 "), "", policy(), []string{"node-role-removed"}, ""},
		"break-glass that is taken away":     {object(all, glass, "incident 4711"), object(admin), "", policy(), []string{"node-role-removed"}, ""},
		"break-glass without a reason":       {object(all), object(admin, glass, " "), "", policy(), []string{"node-role-removed"}, ""},
		"break-glass and nothing lost":       {object(all), object(all+ci, glass, "incident 4711"), "", policy(), nil, ""},
		"a deletion that was allowed":        {object(all, glass, grant), nil, "", policy(), []string{"deleted", "last-admin", "node-role-removed", "protected-principal"}, intended},
		"a deletion that was allowed before": {object(all, glass, expired), nil, "", policy(), []string{"deleted", "last-admin", "node-role-removed", "protected-principal"}, ""},
		"a deletion with a plain reason":     {object(all, glass, "incident 4711"), nil, "", policy(), []string{"deleted", "last-admin", "node-role-removed", "protected-principal"}, ""},
		"an allowed deletion, other groups":  {object(all, glass, grant), nil, "", policy(func(p *validate.Policy) { p.OverrideGroups = []string{"on-call"} }), []string{"deleted", "last-admin", "node-role-removed", "protected-principal"}, intended},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := restore.Compare(tt.good, tt.stored, tt.manager, tt.policy, epoch)
			if diff := cmp.Diff(restore.Comparison{Lost: tt.lost, Intended: tt.intended}, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got.Unintended() != (len(tt.lost) > 0 && tt.intended == "") {
				t.Errorf("unintended is %t", got.Unintended())
			}
		})
	}
}
