package ekstest

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// Account is the id of the cluster's AWS account.
const Account = "111122223333"

// The texts with which EKS refuses a change. They come from public reports and measurements. The comments name some of
// the sources:
//
//   - TFE is terraform-aws-modules/terraform-aws-eks.
//   - Blueprints is aws-ia/terraform-aws-eks-blueprints.
//   - Preflight is badmintoncryer/cdk-preflight, whose rules quote the answers of EKS on 2026-09-25. They don't quote
//     the error codes, so the server uses InvalidParameterException.
const (
	RefusedMode      = "The cluster's authentication mode must be set to one of [API, API_AND_CONFIG_MAP] to perform this operation." // the EKS workshop
	RefusedExisting  = "The specified access entry resource is already in use on this cluster."                                       // TFE#2968
	RefusedPrincipal = "The specified principalArn is invalid: invalid principal."                                                    // TFE#2969
	// RefusedServiceLinked is the answer to an ARN with the path of a service-linked role, even if the role doesn't exist.
	RefusedServiceLinked = "The caller is not allowed to modify access entries with a principalArn value of a Service Linked Role" // Preflight
	RefusedUsername      = "The username must not begin with "                                                                     // Blueprints#2004; the prefix follows
	RefusedGroup         = "The kubernetes group name %s is invalid, it cannot start with %s"                                      // TFE#2915
	RefusedNodeUsername  = `The specified username is invalid: setting username is not allowed when the type is "%s"`              // Preflight
	RefusedNodeGroups    = `The specified kubernetesGroups is invalid: setting kubernetesGroups is not allowed when the type is "%s"`
	RefusedNodeAccount   = "AccessEntry principalArn must be from the same account as the cluster when using types [EC2_LINUX, EC2_WINDOWS, FARGATE_LINUX, HYBRID_LINUX, EC2]"
	RefusedNodeUser      = "AccessEntry principalArn must be IAM role when using types [EC2_LINUX, EC2_WINDOWS, FARGATE_LINUX, HYBRID_LINUX, EC2]"
	RefusedNodePolicy    = `This operation can only be performed on Access Entries with a type of "STANDARD"`
	RefusedPolicyForm    = "The policyArn parameter format is not valid"
	UnknownPolicy        = "The specified policyArn could not be found."
	RefusedNoNamespaces  = "At least 1 namespace must be provided if the type is set as namespace"
	RefusedNamespaces    = "accessScope should not include namespaces if the type is not set as namespace"
	// RefusedTemplate is not a real message of EKS. The EKS user guide says that EKS refuses a username with {{SessionName}} and no colon
	// before it, but no public report has the text.
	RefusedTemplate = "The username must include a colon before {{SessionName}}."
	// RefusedType is not a real message of EKS.
	RefusedType = "The specified type is invalid."
)

// SetPrincipals sets the principals that exist in IAM. The ARNs contain the paths. Until a test calls SetPrincipals, the server accepts
// every role and user.
func (s *Server) SetPrincipals(arns ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.principals = make(map[string]bool)
	for _, arn := range arns {
		s.principals[arn] = true
	}
}

// Entries returns the access entries that the server has.
func (s *Server) Entries() []access.AccessEntry {
	_, entries := s.content()
	return entries
}

// invalid returns an answer with the code InvalidParameterException and a message.
func invalid(message string) Answer {
	return Error(http.StatusBadRequest, "InvalidParameterException", message)
}

// defaultNames maps each node type to the username and groups that EKS shows for its access entries (EKS user guide, "Create access
// entries").
var defaultNames = map[string]struct {
	username string
	groups   []string
}{
	"EC2_LINUX":     {"system:node:{{EC2PrivateDNSName}}", []string{"system:nodes"}},
	"EC2_WINDOWS":   {"system:node:{{EC2PrivateDNSName}}", []string{"eks:kube-proxy-windows", "system:nodes"}},
	"FARGATE_LINUX": {"system:node:{{SessionName}}", []string{"system:nodes", "system:node-proxier"}},
	"HYBRID_LINUX":  {"system:node:{{SessionName}}", []string{"system:nodes"}},
}

// newEntry is the body of a CreateAccessEntry request.
type newEntry struct {
	PrincipalARN string   `json:"principalArn"`
	Type         string   `json:"type"`
	Username     string   `json:"username"`
	Groups       []string `json:"kubernetesGroups"`
}

func (s *Server) createAccessEntry(w http.ResponseWriter, r *http.Request) {
	if !s.begin("CreateAccessEntry", w, r) {
		return
	}
	in := newEntry{Type: "STANDARD"}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		invalid(err.Error())(w, r)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if refusal := s.refusal(&in); refusal != nil {
		refusal(w, r)
		return
	}
	e := access.AccessEntry{PrincipalARN: in.PrincipalARN, Type: in.Type, Username: in.Username, Groups: in.Groups, Created: s.now}
	if names, ok := defaultNames[in.Type]; ok {
		e.Username, e.Groups = names.username, names.groups
	}
	if arn, err := awsauth.ParseARN(in.PrincipalARN); err == nil && e.Username == "" {
		e.Username = defaultUsername(arn)
	}
	s.entries = append(s.entries, e)
	write(w, http.StatusOK, map[string]any{"accessEntry": described(&e)})
}

// defaultUsername returns the username that EKS sets if the request has none (EKS user guide, "Set a custom username for EKS access
// entries").
func defaultUsername(arn awsauth.ARN) string {
	if !arn.IsRole() {
		return arn.String()
	}
	return "arn:" + arn.Partition + ":sts::" + arn.Account + ":assumed-role/" + arn.Name() + "/{{SessionName}}"
}

// refusal returns the answer with which EKS would refuse a new access entry. It returns nil if EKS would accept it.
func (s *Server) refusal(in *newEntry) Answer {
	arn, err := awsauth.ParseARN(in.PrincipalARN)
	_, node := defaultNames[in.Type]
	switch {
	case s.mode == access.ModeConfigMap:
		return Error(http.StatusBadRequest, "InvalidRequestException", RefusedMode)
	case slices.ContainsFunc(s.entries, func(e access.AccessEntry) bool { return strings.EqualFold(e.PrincipalARN, in.PrincipalARN) }):
		return Error(http.StatusConflict, "ResourceInUseException", RefusedExisting)
	case strings.Contains(in.PrincipalARN, ":role/aws-service-role/"):
		return invalid(RefusedServiceLinked)
	case err != nil, arn.Service != "iam", arn.Resource == "root", s.principals != nil && !s.principals[in.PrincipalARN]:
		return invalid(RefusedPrincipal)
	case !node && in.Type != "STANDARD":
		return invalid(RefusedType)
	case node:
		return refuseNode(in, arn)
	}
	for _, prefix := range []string{"system:", "eks:", "aws:", "amazon:", "iam:"} {
		if strings.HasPrefix(in.Username, prefix) {
			return invalid(RefusedUsername + prefix)
		}
		for _, group := range in.Groups {
			if strings.HasPrefix(group, prefix) {
				return invalid(strings.NewReplacer("name %s", "name "+group, "with %s", "with "+prefix).Replace(RefusedGroup))
			}
		}
	}
	if before, _, found := strings.Cut(in.Username, "{{SessionName"); found && !strings.Contains(before, ":") {
		return invalid(RefusedTemplate)
	}
	return nil
}

// refuseNode returns the answer with which EKS would refuse a new access entry for nodes. It returns nil if EKS would accept it.
func refuseNode(in *newEntry, arn awsauth.ARN) Answer {
	switch {
	case !arn.IsRole():
		return invalid(RefusedNodeUser)
	case arn.Account != Account:
		return invalid(RefusedNodeAccount)
	case in.Username != "":
		return invalid(strings.ReplaceAll(RefusedNodeUsername, "%s", in.Type))
	case len(in.Groups) > 0:
		return invalid(strings.ReplaceAll(RefusedNodeGroups, "%s", in.Type))
	}
	return nil
}

// policyARN matches the ARN of an access policy.
var policyARN = regexp.MustCompile(`^arn:[^:]+:eks::aws:cluster-access-policy/.+$`)

// policyPrefix is the prefix of the ARNs of all access policies in the cluster's partition.
const policyPrefix = "arn:aws:eks::aws:cluster-access-policy/"

// policyNames are some of the access policies (EKS user guide, "Review access policy permissions").
var policyNames = []string{"AmazonEKSAdminPolicy", "AmazonEKSAdminViewPolicy", access.ClusterAdminPolicy, "AmazonEKSEditPolicy", "AmazonEKSViewPolicy"}

func (s *Server) associateAccessPolicy(w http.ResponseWriter, r *http.Request) {
	e := s.entry("AssociateAccessPolicy", w, r)
	if e == nil {
		return
	}
	var in struct {
		PolicyARN string `json:"policyArn"`
		Scope     struct {
			Type       string   `json:"type"`
			Namespaces []string `json:"namespaces"`
		} `json:"accessScope"`
	}
	err := json.NewDecoder(r.Body).Decode(&in)
	switch {
	case err != nil:
		invalid(err.Error())(w, r)
	case e.Type != "STANDARD":
		invalid(RefusedNodePolicy)(w, r)
	case !policyARN.MatchString(in.PolicyARN):
		invalid(RefusedPolicyForm)(w, r)
	case !slices.Contains(policyNames, strings.TrimPrefix(in.PolicyARN, policyPrefix)):
		notFound(UnknownPolicy)(w, r)
	case in.Scope.Type == "namespace" && len(in.Scope.Namespaces) == 0:
		invalid(RefusedNoNamespaces)(w, r)
	case in.Scope.Type != "namespace" && len(in.Scope.Namespaces) > 0:
		invalid(RefusedNamespaces)(w, r)
	default:
		s.associate(e.PrincipalARN, access.AccessPolicy{ARN: in.PolicyARN, Scope: in.Scope.Type, Namespaces: in.Scope.Namespaces})
		write(w, http.StatusOK, map[string]any{"clusterName": Name, "principalArn": e.PrincipalARN, "associatedAccessPolicy": map[string]any{"policyArn": in.PolicyARN}})
	}
}

// associate associates an access policy with an access entry. If the access entry already has this access policy, associate replaces the
// scope.
func (s *Server) associate(principal string, p access.AccessPolicy) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.entries {
		if e := &s.entries[i]; e.PrincipalARN == principal {
			e.Policies = slices.DeleteFunc(slices.Clone(e.Policies), func(other access.AccessPolicy) bool { return other.ARN == p.ARN })
			e.Policies = append(e.Policies, p)
		}
	}
}

func (s *Server) deleteAccessEntry(w http.ResponseWriter, r *http.Request) {
	if e := s.entry("DeleteAccessEntry", w, r); e != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.entries = slices.DeleteFunc(slices.Clone(s.entries), func(other access.AccessEntry) bool { return other.PrincipalARN == e.PrincipalARN })
		write(w, http.StatusOK, map[string]any{})
	}
}

func (s *Server) listAccessPolicies(w http.ResponseWriter, r *http.Request) {
	if s.answered("ListAccessPolicies", w, r) {
		return
	}
	policies := []any{}
	for _, name := range policyNames {
		policies = append(policies, map[string]any{"name": name, "arn": policyPrefix + name})
	}
	write(w, http.StatusOK, map[string]any{"accessPolicies": policies})
}

// created is the creation time of the access entries of this package.
var created = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
