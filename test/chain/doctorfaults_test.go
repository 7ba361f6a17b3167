package chain_test

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/eks/ekstest"
)

// fault is a reason why a user can't log in, or may not make a request. docs/reference/login-faults.md has a block for each. A fault without a
// cause is a situation in which the user can log in, and the page leaves it out.
type fault struct {
	name  string // what is wrong
	cause string // the id of the cause that doctor must name; empty if the user can log in
	// creator is a text that the result of doctor's last step, about the creator of the cluster, must contain. It may be empty.
	creator string
	// symptom is the error that the user sees, if it comes from another program than kubectl. It is empty otherwise.
	symptom string
	inject  func(*situation) // puts the fault into a situation without faults
}

const ssoRole = "AWSReservedSSO_ReadOnly_fedcba9876543210"

// The callers that the faults name.
const (
	deployCaller = 5 // a session of ci-deploy
	ssoCaller    = 6 // a session of ssoRole
	bobCaller    = 7 // a user with a path
)

// mapRoles returns an injection: aws-auth has one entry, in mapRoles, for the ARN.
func mapRoles(arn string) func(*situation) {
	return func(s *situation) { s.data = map[string]string{"mapRoles": element("rolearn", arn, "ops", "ops")} }
}

// entryFor returns an injection: aws-auth is empty, and the user's role has an access entry of the type kind.
func entryFor(mode access.Mode, kind string, groups ...string) func(*situation) {
	return func(s *situation) {
		s.mode, s.data = mode, map[string]string{}
		e := ekstest.Entry(iam + "role/ClusterOps")
		e.Type, e.Username, e.Groups = kind, "ops", groups
		if kind != "STANDARD" {
			e.Username = "system:node:{{EC2PrivateDNSName}}"
		}
		s.entries = []access.AccessEntry{e}
	}
}

// fails returns an injection: the AWS CLI prints the text as its error and fails.
func fails(text string) func(*situation) {
	return func(s *situation) { s.aws = fmt.Sprintf("echo >&2\necho %s >&2\nexit 255\n", "'"+text+"'") }
}

// execSection returns an injection that changes the exec section of the kubeconfig.
func execSection(change func(*clientcmdapi.ExecConfig)) func(*situation) {
	return func(s *situation) { s.user = func(u *clientcmdapi.AuthInfo) { change(u.Exec) } }
}

// withFlags returns a change that adds flags to the command of the exec section.
func withFlags(flags ...string) func(*clientcmdapi.ExecConfig) {
	return func(e *clientcmdapi.ExecConfig) { e.Args = append(e.Args, flags...) }
}

// servedAt returns an injection: the kubeconfig and EKS name another address of the API server.
func servedAt(url string) func(*situation) {
	return func(s *situation) {
		s.server = func(c *clientcmdapi.Cluster) { c.Server = url }
		s.fields = map[string]any{"endpoint": url}
	}
}

// all returns an injection that makes several changes.
func all(changes ...func(*situation)) func(*situation) {
	return func(s *situation) {
		for _, change := range changes {
			change(s)
		}
	}
}

// usedBy returns an injection: the user is the caller with this index.
func usedBy(i int) func(*situation) { return func(s *situation) { s.caller = i } }

// withArgs returns an injection: doctor has these arguments, and not those of newSituation.
func withArgs(args ...string) func(*situation) { return func(s *situation) { s.args = args } }

// closedPort is a URL at which no program listens.
const closedPort = "https://127.0.0.1:1"

var faults = []fault{
	{name: "none", inject: func(*situation) {}},
	{name: "none; the kubeconfig has a profile", inject: all(execSection(func(e *clientcmdapi.ExecConfig) {
		e.Env = []clientcmdapi.ExecEnvVar{{Name: "AWS_PROFILE", Value: "default"}}
	}), func(s *situation) { s.config = "[default]\nregion = " + region + "\n" })},
	{name: "none; the kubeconfig has a role", inject: all(usedBy(bobCaller), execSection(withFlags("--role-arn", iam+"role/ClusterOps")))},
	{name: "none; the kubeconfig runs aws-iam-authenticator", inject: execSection(func(e *clientcmdapi.ExecConfig) {
		e.Command, e.Args = "aws-iam-authenticator", []string{"token", "-i", ekstest.Name}
	})},
	{name: "none; the kubeconfig runs a shell", inject: execSection(func(e *clientcmdapi.ExecConfig) {
		e.Command, e.Args = "sh", []string{"-c", "aws eks get-token --cluster-name " + ekstest.Name + " --region " + region}
	})},
	{name: "none; the principal has an access entry", inject: entryFor(access.ModeAPI, "STANDARD", "ops")},
	{name: "none; a tunnel leads to the API server", inject: func(s *situation) {
		s.fields = map[string]any{"endpoint": "https://0123456789ABCDEF.gr7.eu-west-1.eks.amazonaws.com", "certificateAuthority": map[string]any{}}
	}},
	{name: "none; the cluster belongs to another account", inject: func(s *situation) { s.noCluster = true }},
	{name: "none; no permission of AWS", inject: func(s *situation) { s.denied = []string{"DescribeCluster", "ListAccessEntries", "DescribeAccessEntry"} }},

	{name: "none; an administrator examines the principal", inject: withArgs("--context", "admin", "--principal", sessions+"ClusterOps/x", "--cluster-name", ekstest.Name, "--region", region)},

	{name: "no kubeconfig has a current context", cause: "no-context", inject: all(withArgs(), func(s *situation) {
		s.context = func(c *clientcmdapi.Config) { *c = *clientcmdapi.NewConfig() }
	})},
	{name: "`eks:DescribeCluster` is missing, so that `aws eks update-kubeconfig` fails", cause: "describe-cluster-denied", inject: all(withArgs("--cluster-name", ekstest.Name), func(s *situation) {
		s.context = func(c *clientcmdapi.Config) { *c = *clientcmdapi.NewConfig() }
		s.denied = []string{"DescribeCluster"}
	})},
	{name: "the kubeconfig has no such context", cause: "context-not-found", inject: withArgs("--context", "production")},
	{name: "the context names a user that does not exist", cause: "user-not-found", inject: func(s *situation) {
		s.context = func(c *clientcmdapi.Config) { c.Contexts["prod"].AuthInfo = "missing" }
	}},
	{name: "the context has no credentials", cause: "no-credentials", inject: func(s *situation) { s.user = func(u *clientcmdapi.AuthInfo) { u.Exec = nil } }},
	{name: "the kubeconfig is of an old AWS CLI (v1alpha1)", cause: "exec-api-version", inject: execSection(func(e *clientcmdapi.ExecConfig) {
		e.APIVersion = "client.authentication.k8s.io/v1alpha1"
	})},
	{name: "the AWS CLI is not installed", cause: "plugin-not-found", inject: execSection(func(e *clientcmdapi.ExecConfig) { e.Command = "aws2" })},
	{name: "the kubeconfig assumes a role that is not mapped", cause: "wrong-role", inject: execSection(withFlags("--role-arn", iam+"role/ci-deploy"))},
	{name: "the access key in the environment overrides the profile of the kubeconfig", cause: "environment-overrides-profile", inject: all(usedBy(deployCaller),
		execSection(func(e *clientcmdapi.ExecConfig) {
			e.Env = []clientcmdapi.ExecEnvVar{{Name: "AWS_PROFILE", Value: "ops"}}
		}),
		func(s *situation) {
			s.config = fmt.Sprintf("[profile ops]\naws_access_key_id = %s\naws_secret_access_key = %s\naws_session_token = %s\n", accessKey(opsCaller), secret, sessionToken)
		})},
	{name: "another profile has the role that is mapped", cause: "wrong-profile", inject: all(usedBy(deployCaller), func(s *situation) {
		s.config = "[profile ops]\nrole_arn = " + iam + "role/ClusterOps\nsource_profile = default\n[default]\nregion = " + region + "\n"
	})},
	{name: "another profile has the permission set that is mapped", cause: "wrong-profile", inject: all(usedBy(deployCaller), mapRoles(iam+"role/"+ssoRole), func(s *situation) {
		s.config = "[profile reader]\nsso_session = corp\nsso_account_id = 111122223333\nsso_role_name = ReadOnly\n[sso-session corp]\nsso_region = " + region + "\nsso_start_url = https://corp.awsapps.com/start\n"
	})},

	{name: "the session of IAM Identity Center has expired", cause: "sso-session-expired", inject: fails("Error loading SSO Token: Token for corp does not exist")},
	{name: "the session of IAM Identity Center has expired (AWS CLI 2)", cause: "sso-session-expired", inject: fails("The SSO session associated with this profile has expired or is otherwise invalid. To refresh this SSO session run aws sso login with the corresponding profile.")},
	{name: "the session of IAM Identity Center was ended", cause: "sso-session-expired", inject: fails("An error occurred (UnauthorizedException) when calling the GetRoleCredentials operation: Session token not found or invalid")},
	{name: "the permission set is not assigned to the user", cause: "sso-role-denied", inject: fails("An error occurred (ForbiddenException) when calling the GetRoleCredentials operation: No access")},
	{name: "the code of the MFA device is wrong", cause: "mfa-refused", inject: fails("An error occurred (AccessDenied) when calling the AssumeRole operation: MultiFactorAuthentication failed with invalid MFA one time pass code.")},
	{name: "the trust policy of the role does not name the user", cause: "assume-role-denied", inject: all(usedBy(aliceCaller), execSection(withFlags("--role-arn", iam+"role/Forbidden")))},
	{name: "the temporary credentials behind the role have expired", cause: "credentials-expired", inject: fails("An error occurred (ExpiredToken) when calling the AssumeRole operation: The security token included in the request is expired")},
	{name: "the profile does not exist", cause: "profile-not-found", inject: fails("The config profile (ops) could not be found")},
	{name: "there are no AWS credentials", cause: "no-aws-credentials", inject: fails(`Unable to locate credentials. You can configure credentials by running "aws configure".`)},
	{name: "the AWS CLI is too old to make tokens", cause: "plugin-too-old", inject: fails("aws: error: argument operation: Invalid choice, valid choices are: create-cluster")},
	{name: "the AWS CLI is older than the kubeconfig", cause: "plugin-api-version", inject: func(s *situation) {
		s.aws = `echo '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1alpha1","status":{"token":"k8s-aws-v1.x"}}'`
	}},
	{name: "a wrapper of the AWS CLI prints other text", cause: "plugin-output", inject: func(s *situation) { s.aws = "echo 'Assuming role for k8s-aws-v1.aHR0cHM6Ly9zdHM'\n" }},
	{name: "the AWS CLI fails with another error", cause: "plugin-failed", inject: fails("Could not connect to the endpoint URL: https://sts.eu-west-1.amazonaws.com/?X-Amz-Signature=0123")},

	{name: "the token is signed for a VPC endpoint of STS", cause: "token-malformed", inject: func(s *situation) {
		s.environ = []string{"AWS_ENDPOINT_URL_STS=https://vpce-0123456789abcdef0.sts.eu-west-1.vpce.amazonaws.com"}
	}},
	{name: "the token in the kubeconfig is too old", cause: "token-expired", inject: func(s *situation) {
		url := "https://sts.eu-west-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=ASIA&X-Amz-Date=20260102T030405Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host%3Bx-k8s-aws-id&X-Amz-Signature=0"
		s.user = func(u *clientcmdapi.AuthInfo) {
			u.Exec, u.Token = nil, "k8s-aws-v1."+base64.RawURLEncoding.EncodeToString([]byte(url))
		}
	}},

	{name: "the access key was deleted", cause: "credentials-rejected", inject: func(s *situation) { s.keyID = "AKIADELETEDDELETED00" }},
	{name: "the temporary credentials have expired", cause: "credentials-expired", inject: func(s *situation) { s.keyID = expiredKey }},
	{name: "the secret access key is wrong", cause: "signature-mismatch", inject: func(s *situation) { s.secret = "not-the-secret-access-key" }},
	{name: "the clock of the machine is wrong", cause: "clock-skew", inject: func(s *situation) { s.ahead = time.Hour }},

	{name: "the kubeconfig names a cluster that does not exist", cause: "no-such-cluster", inject: execSection(func(e *clientcmdapi.ExecConfig) { e.Args[5] = "staging" })},
	{name: "the kubeconfig leads to the endpoint of a deleted cluster of the same name", cause: "other-cluster", inject: func(s *situation) {
		s.server = func(c *clientcmdapi.Cluster) { c.Server, c.CertificateAuthorityData = closedPort, []byte(otherCA) }
	}},
	{name: "the kubeconfig has the CA of another cluster", cause: "other-ca", inject: func(s *situation) {
		s.server = func(c *clientcmdapi.Cluster) { c.CertificateAuthorityData = []byte(otherCA) }
	}},
	{name: "the cluster is being deleted", cause: "cluster-not-active", inject: all(servedAt(closedPort), func(s *situation) { s.fields["status"] = "DELETING" })},

	{name: "the name of the API server can't be resolved", cause: "dns", inject: servedAt("https://0123456789abcdef.invalid")},
	{name: "the certificate of the API server is that of a proxy", cause: "tls", inject: func(s *situation) {
		s.server = func(c *clientcmdapi.Cluster) { c.CertificateAuthorityData = []byte(otherCA) }
		s.denied = []string{"DescribeCluster"}
	}},
	{name: "a firewall rejects the connection", cause: "unreachable", inject: servedAt(closedPort)},
	{name: "the endpoint is private", cause: "private-endpoint", inject: all(servedAt(closedPort), func(s *situation) {
		s.fields["resourcesVpcConfig"] = map[string]any{"endpointPublicAccess": false, "endpointPrivateAccess": true}
	})},
	{name: "a firewall drops the packets", cause: "timeout", inject: func(s *situation) {
		s.server = func(c *clientcmdapi.Cluster) { c.Server = silent }
		s.fields = map[string]any{"endpoint": silent}
		s.args, s.timeout = []string{"--request-timeout=1s"}, "1s"
	}},
	{name: "the token in the kubeconfig is that of a deleted ServiceAccount", cause: "credentials-refused", inject: func(s *situation) {
		s.user = func(u *clientcmdapi.AuthInfo) { u.Exec, u.Token = nil, "eyJhbGciOiJSUzI1NiJ9.e30.c2ln" }
	}},

	{name: "the token is for a cluster of another name, and EKS can't be asked", cause: "refused-although-mapped", inject: all(
		execSection(func(e *clientcmdapi.ExecConfig) { e.Args[5] = "staging" }), func(s *situation) { s.denied = []string{"DescribeCluster", "ListAccessEntries", "DescribeAccessEntry"} },
	)},

	{name: "the mode is API, and the principal has no access entry", cause: "no-access-entry", inject: func(s *situation) { s.mode, s.data = access.ModeAPI, map[string]string{} }},
	{name: "the mode is API, and only aws-auth maps the principal", cause: "mode-ignores-aws-auth", inject: func(s *situation) { s.mode = access.ModeAPI }},
	{name: "the role was deleted and created again, and has an access entry", cause: "stale-access-entry", inject: all(entryFor(access.ModeAPI, "STANDARD", "ops"), func(s *situation) {
		s.entries[0].Stale = "created again"
		s.created[iam+"role/ClusterOps"] = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	})},
	{name: "the role was created again, and aws-auth has no entry", cause: "stale-access-entry", inject: all(entryFor(access.ModeAPIAndConfigMap, "STANDARD", "ops"), func(s *situation) {
		s.entries[0].Stale = "created again"
		s.created[iam+"role/ClusterOps"] = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	})},
	{name: "the mode is API, and only aws-auth maps the role of nodes", cause: "mode-ignores-aws-auth", inject: func(s *situation) {
		s.mode, s.data = access.ModeAPI, map[string]string{"mapRoles": element("rolearn", iam+"role/ClusterOps", "'system:node:{{EC2PrivateDNSName}}'", "system:bootstrappers", "system:nodes")}
	}},
	{name: "the access entry has a type for nodes", cause: "entry-for-instances", inject: entryFor(access.ModeAPI, "EC2_LINUX", "system:nodes")},

	{name: "aws-auth does not exist yet, and EKS reads access entries", cause: "no-aws-auth", inject: func(s *situation) { s.data = nil }},
	{name: "aws-auth does not exist yet, because the cluster has no node group", cause: "no-aws-auth", inject: func(s *situation) { s.mode, s.data = access.ModeConfigMap, nil }},
	{name: "no entry has the principal; another principal created the cluster", cause: "not-mapped", creator: "role/founder created the cluster", inject: all(mapRoles(iam+"role/admins"), func(s *situation) {
		s.creator = iam + "role/founder"
	})},
	{name: "the cluster belongs to another account, and no entry has the principal", cause: "not-mapped", inject: all(mapRoles(iam+"role/admins"), func(s *situation) {
		s.noCluster = true
		s.context = func(c *clientcmdapi.Config) {
			const other = "arn:aws:eks:" + region + ":444455556666:cluster/" + ekstest.Name
			c.Clusters[other] = c.Clusters[c.Contexts["prod"].Cluster]
			c.Contexts["prod"].Cluster = other
		}
	})},
	{name: "no entry has the principal, and the creator is unknown", cause: "not-mapped", creator: "CloudWatch Logs Insights", inject: mapRoles(iam + "role/admins")},
	{
		name: "the principal of the console has no entry", cause: "not-mapped", symptom: "Your current IAM principal doesn't have access to Kubernetes objects on this cluster",
		inject: withArgs("--context", "admin", "--principal", sessions+"ci-deploy/console", "--cluster-name", ekstest.Name, "--region", region),
	},
	{name: "the entry has the ARN of a session", cause: "session-arn", inject: mapRoles(sessions + "ClusterOps/ops@example.com")},
	{name: "the entry has the path of the role", cause: "role-path", inject: mapRoles(iam + "role/platform/ClusterOps")},
	{name: "the entry has the path of a role of IAM Identity Center", cause: "sso-role-path", inject: all(usedBy(ssoCaller), mapRoles(iam+"role/aws-reserved/sso.amazonaws.com/eu-west-1/"+ssoRole))},
	{name: "the permission set was assigned again, and its role has a new suffix", cause: "sso-role-recreated", inject: all(usedBy(ssoCaller), mapRoles(iam+"role/AWSReservedSSO_ReadOnly_0123456789abcdef"))},
	{name: "the entry of a user lacks the path", cause: "user-path", inject: all(usedBy(bobCaller), func(s *situation) {
		s.data = map[string]string{"mapUsers": element("userarn", iam+"user/bob", "bob", "ops")}
	})},
	{name: "the entry has another account", cause: "other-account", inject: mapRoles("arn:aws:iam::444455556666:role/ClusterOps")},
	{name: "the entry has another partition", cause: "other-partition", inject: mapRoles("arn:aws-cn:iam::111122223333:role/ClusterOps")},
	{name: "the entry has a user of the same name", cause: "other-principal-type", inject: func(s *situation) {
		s.data = map[string]string{"mapUsers": element("userarn", iam+"user/ClusterOps", "ops", "ops")}
	}},
	{name: "a tab makes mapRoles unreadable", cause: "section-lost", inject: func(s *situation) {
		s.data = map[string]string{"mapRoles": "- rolearn: " + iam + "role/ClusterOps\n\tusername: ops\n"}
	}},
	{name: "the ARN ends with a space", cause: "malformed-arn", inject: mapRoles(`"` + iam + `role/ClusterOps "`)},
	{name: "the entry has a misspelt key", cause: "entry-dropped", inject: func(s *situation) {
		s.data = map[string]string{"mapRoles": element("roleearn", iam+"role/ClusterOps", "ops", "ops")}
	}},
	{name: "the entry is a comment", cause: "entry-not-read", inject: func(s *situation) {
		s.data = map[string]string{"mapRoles": "# - rolearn: " + iam + "role/ClusterOps\n#   username: ops\n[]\n"}
	}},
	{name: "the entry is for EC2 instances", cause: "mapping-for-instances", inject: func(s *situation) {
		s.data = map[string]string{"mapRoles": element("rolearn", iam+"role/ClusterOps", "'system:node:{{EC2PrivateDNSName}}'", "system:nodes")}
	}},
	{name: "the ARN of the entry has a mistake", cause: "similar-arn", inject: mapRoles(iam + "role/ClusterOp")},
	{name: "no entry has the principal, and the user can read neither aws-auth nor EKS", cause: "unauthorized", inject: all(mapRoles(iam+"role/admins"), withArgs())},

	{name: "no role is bound to the groups of the entry", cause: "no-role-bound", inject: func(s *situation) {
		s.data = map[string]string{"mapRoles": element("rolearn", iam+"role/ClusterOps", "ops", "unbound")}
	}},
	{name: "the roles do not allow the request", cause: "not-allowed", inject: withArgs("--admin-context", "admin", "--verb", "delete", "--resource", "pods")},
	{name: "the roles do not allow the request, whose objects are in no namespace", cause: "not-allowed", inject: withArgs("--admin-context", "admin", "--verb", "list", "--resource", "nodes")},
	{name: "an access entry gives less than aws-auth, which makes the principal an admin", cause: "entry-wins", inject: all(entryFor(access.ModeAPIAndConfigMap, "STANDARD", "viewers"), func(s *situation) {
		s.data = map[string]string{"mapRoles": element("rolearn", iam+"role/ClusterOps", "ops", "system:masters")}
	})},
	{name: "an access entry gives less than aws-auth", cause: "entry-wins", inject: all(entryFor(access.ModeAPIAndConfigMap, "STANDARD", "viewers"), mapRoles(iam+"role/ClusterOps"))},
}

var (
	// otherCA is a certificate that signed no API server.
	otherCA string
	// silent is the URL of a server that accepts connections and never answers.
	silent string
)

// TestDoctorFindsTheCause: doctor names the cause of each fault, and no cause if the user can log in. Its output never has the token.
// docs/reference/login-faults.md shows the output of kubectl and doctor for each fault.
func TestDoctorFindsTheCause(t *testing.T) {
	w := newDoctorWorld(t)
	otherCA = string(w.otherCA(t))
	silent = "https://" + w.silentServer(t)
	page := &faultsPage{byID: make(map[string][]string)}
	for _, f := range faults {
		ok := t.Run(f.name, func(t *testing.T) {
			s := newSituation()
			f.inject(s)
			w.set(t, s)
			got := w.try(t, s)
			id, status := "", 0
			if got.report.Cause != nil {
				id = got.report.Cause.ID
			}
			if f.cause != "" {
				status = 1
			}
			if id != f.cause || got.status != status {
				t.Errorf("cause %q with the status %d, want %q\n%s\n%s\nkubectl: %s", id, got.status, f.cause, got.text, fmt.Sprint(s.data), got.symptom)
			}
			if f.cause != "" && got.report.Cause != nil && got.report.Cause.User == "" && got.report.Cause.Admin == "" {
				t.Error("the cause has no command")
			}
			if f.creator != "" {
				last := got.report.Steps[len(got.report.Steps)-1]
				if last.Number != 10 || !strings.Contains(last.Found, f.creator) {
					t.Errorf("the last step found %+v", last)
				}
			}
			if f.cause != "" && got.report.Cause != nil {
				page.add(f, &got)
			}
		})
		if !ok && t.Context().Err() != nil {
			return
		}
	}
	page.compare(t)
}

// faultsPage is the content of docs/reference/login-faults.md, as the outputs of this run give it.
type faultsPage struct {
	ids  []string            // the ids of the causes, in the order of the page
	byID map[string][]string // by id of the cause: the texts of its faults
}

// inEachRun has the patterns of the texts that differ in each run, with their replacements.
var inEachRun = []struct {
	pattern *regexp.Regexp
	text    string
}{
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "API-SERVER"},
	{regexp.MustCompile(`signed \S+ ago`), "signed some time ago"},
	{regexp.MustCompile(` on \S+:53`), ""},
	{regexp.MustCompile(` in scheme ".*"`), ""},
	// The point at which the client's timeout ends a request decides which of these errors net/http returns.
	{
		regexp.MustCompile(`(?:net/http: request canceled(?: while waiting for connection)?|context deadline exceeded)(?: \(Client\.Timeout exceeded while awaiting headers\))?`),
		"context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
	},
}

// TestPageIsTheSameForEachErrorOfATimeout: net/http returns different errors for the same timeout, and the page has the same text for all of
// them.
func TestPageIsTheSameForEachErrorOfATimeout(t *testing.T) {
	const want = "Unable to connect to the server: context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
	page := &faultsPage{}
	for _, symptom := range []string{
		want,
		"Unable to connect to the server: context deadline exceeded",
		"Unable to connect to the server: net/http: request canceled (Client.Timeout exceeded while awaiting headers)",
		"Unable to connect to the server: net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)",
	} {
		if got := page.clean(symptom); got != want {
			t.Errorf("%q became %q, want %q", symptom, got, want)
		}
	}
	const other = "Unable to connect to the server: dial tcp: lookup example.com: no such host"
	if got := page.clean(other); got != other {
		t.Errorf("%q became %q, want it unchanged", other, got)
	}
}

// clean replaces the parts of a text that differ in each run.
func (p *faultsPage) clean(text string) string {
	for _, r := range inEachRun {
		text = r.pattern.ReplaceAllString(text, r.text)
	}
	return text
}

// add adds a fault with the output of kubectl and of doctor.
func (p *faultsPage) add(f fault, o *outcome) {
	c := o.report.Cause
	if p.byID[c.ID] == nil {
		p.ids = append(p.ids, c.ID)
	}
	symptom := f.symptom
	if symptom == "" {
		symptom = "kubectl: " + p.clean(o.symptom)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "**Fault: %s.**\n\n```\n%s\n", f.name, symptom)
	if i := strings.Index(o.text, "Cause: "); i >= 0 {
		fmt.Fprintf(&b, "\n%s", p.clean(o.text[i:]))
	}
	b.WriteString("```\n")
	p.byID[c.ID] = append(p.byID[c.ID], b.String())
}

// String returns the page.
func (p *faultsPage) String() string {
	var b strings.Builder
	b.WriteString(faultsHead)
	for _, id := range p.ids {
		fmt.Fprintf(&b, "\n## %s\n", id)
		for _, text := range p.byID[id] {
			b.WriteString("\n" + text)
		}
	}
	return b.String()
}

// compare compares the page with the file, or writes the file if UPDATE_GOLDEN is set.
func (p *faultsPage) compare(t *testing.T) {
	t.Helper()
	file := filepath.Join("..", "..", "docs", "reference", "login-faults.md")
	text := p.String()
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), text); diff != "" {
		t.Errorf("the page is not up to date; run UPDATE_GOLDEN=1 go test ./... in test/chain (-want +got):\n%s", diff)
	}
}

const faultsHead = `# Login faults

This page lists the causes that ` + "[`kubectl awsauth doctor`](../how-to/find-out-why-you-cannot-log-in.md)" + ` names. The headings are the ids of the causes.

A test injects each fault into a cluster: a real API server with the released aws-iam-authenticator, and stand-ins for AWS. Then it runs
` + "`kubectl get pods`" + ` and doctor. Each block shows the error of kubectl, and what doctor says at its end. The user is a session of the role
ClusterOps, unless the fault needs another one.
`
