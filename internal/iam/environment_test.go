package iam_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/awsauth-guard/awsauth-guard/internal/awsapi"
	"github.com/awsauth-guard/awsauth-guard/internal/iam"
	"github.com/awsauth-guard/awsauth-guard/internal/iam/iamtest"
)

const guard = "arn:aws:iam::111122223333:role/guard"

// fromEnvironment makes the Client of w with the configuration in the environment, as the webhook does.
func fromEnvironment(t *testing.T, w *world) {
	t.Helper()
	client, err := iam.New(t.Context(), w.options())
	if err != nil {
		t.Fatal(err)
	}
	w.Client = client
	t.Cleanup(func() { w.log.read(t) })
}

// A Client gets credentials from each source that a pod or an engineer uses. Without valid credentials the result is Unknown.
func TestEnvironment(t *testing.T) {
	type variables map[string]string
	for name, c := range map[string]struct {
		set      func(*iamtest.Server) variables
		identity string
		want     string
	}{
		"keys": {func(*iamtest.Server) variables { return nil }, iamtest.Identity, ""},
		"IRSA": {func(s *iamtest.Server) variables {
			return variables{"AWS_ACCESS_KEY_ID": "", "AWS_ROLE_ARN": guard, "AWS_WEB_IDENTITY_TOKEN_FILE": s.TokenFile, "AWS_ROLE_SESSION_NAME": "pod"}
		}, "arn:aws:sts::111122223333:assumed-role/guard/pod", ""},
		"IRSA without the token": {func(s *iamtest.Server) variables {
			return variables{"AWS_ACCESS_KEY_ID": "", "AWS_ROLE_ARN": guard, "AWS_WEB_IDENTITY_TOKEN_FILE": s.TokenFile + "-none"}
		}, "", "no credentials"},
		"Pod Identity": {func(s *iamtest.Server) variables {
			return variables{"AWS_ACCESS_KEY_ID": "", "AWS_CONTAINER_CREDENTIALS_FULL_URI": s.URL + iamtest.CredentialsPath, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": s.TokenFile}
		}, "arn:aws:sts::111122223333:assumed-role/awsauth-guard/pod", ""},
		"nothing": {func(*iamtest.Server) variables { return variables{"AWS_ACCESS_KEY_ID": ""} }, "", "no credentials"},
		"an endpoint for all": {func(s *iamtest.Server) variables {
			return variables{"AWS_ENDPOINT_URL": s.URL, "AWS_ENDPOINT_URL_IAM": "", "AWS_ENDPOINT_URL_STS": ""}
		}, iamtest.Identity, ""},
		"no region":   {func(*iamtest.Server) variables { return variables{"AWS_REGION": ""} }, iamtest.Identity, ""},
		"unknown key": {func(*iamtest.Server) variables { return variables{"AWS_ACCESS_KEY_ID": "AKIAUNKNOWN"} }, "", "the credentials are expired or not valid"},
	} {
		t.Run(name, func(t *testing.T) {
			w := &world{aws: iamtest.New(t)}
			w.aws.Setenv(t)
			for name, value := range c.set(w.aws) {
				t.Setenv(name, value)
			}
			fromEnvironment(t, w)
			if c.want != "" {
				is(t, w.lookup(t, 5*time.Second, role), unknown(c.want))
				return
			}
			w.aws.Add(role)
			is(t, w.lookup(t, 5*time.Second, role), exists)
			self, err := w.Identity(t.Context())
			if want := (iam.Identity{ARN: c.identity, Account: iamtest.Account, Partition: "aws"}); err != nil || self != want {
				t.Errorf("got %+v, %v", self, err)
			}
		})
	}
}

// An error about an invalid file or variable doesn't quote a value that may be secret. It quotes names of profiles and files.
func TestNewErrorsQuoteNoValues(t *testing.T) {
	const hidden = "a variable or a profile is not valid; its name and value are not shown, because they may be secret"
	for name, c := range map[string]struct{ file, variable, value, want string }{
		"no such profile":   {"", "AWS_PROFILE", "nobody", `there is no profile "nobody"`},
		"no source":         {"[profile x]\nrole_arn = " + guard + "\nsource_profile = y", "AWS_PROFILE", "x", `the source_profile "y", or a profile that it refers to, cannot be used`},
		"no role":           {"[profile x]\nsource_profile = x\ncredential_source = Environment", "AWS_PROFILE", "x", `the profile "x" has no role_arn`},
		"secret in a flag":  {"", "AWS_USE_FIPS_ENDPOINT", iamtest.SecretKey, hidden},
		"secret in a field": {"[default]\nretry_mode = " + iamtest.SecretKey, "AWS_PROFILE", "default", hidden},
		"secret in a URL":   {"", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://" + iamtest.SecretKey + "/", hidden},
		"no CA":             {"", "AWS_CA_BUNDLE", "/none/ca.pem", "open /none/ca.pem: no such file or directory"},
		"MFA":               {"[profile x]\nrole_arn = " + guard + "\ncredential_source = Environment\nmfa_serial = x", "AWS_PROFILE", "x", awsapi.ErrNeedsMFA.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			w := &world{aws: iamtest.New(t)}
			w.aws.Setenv(t)
			t.Setenv("AWS_ACCESS_KEY_ID", "")
			t.Setenv("AWS_CONFIG_FILE", writeFile(t, c.file))
			t.Setenv(c.variable, c.value)
			_, err := iam.New(t.Context(), w.options())
			if err == nil || err.Error() != "loading the AWS configuration: "+c.want {
				t.Errorf("got %v", err)
			}
		})
	}
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// A profile that requires an MFA code works if a code is given.
func TestMFA(t *testing.T) {
	w := &world{aws: iamtest.New(t)}
	w.aws.Setenv(t)
	w.aws.Trust(guard, "")
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_CONFIG_FILE", writeFile(t, "[profile mfa]\nrole_arn = "+guard+"\nsource_profile = me\nmfa_serial = arn:aws:iam::111122223333:mfa/me\n"+
		"[profile me]\naws_access_key_id = "+iamtest.AccessKey+"\naws_secret_access_key = "+iamtest.SecretKey+"\n"))
	t.Setenv("AWS_PROFILE", "mfa")
	asked := 0
	options := w.options()
	options.MFAToken = func() (string, error) {
		asked++
		return "123456", nil
	}
	client, err := iam.New(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	w.Client = client
	w.aws.Add(role)
	is(t, w.lookup(t, ample, role), exists)
	is(t, w.lookup(t, ample, "arn:aws:iam::111122223333:role/gone"), missing)
	if form := w.aws.Calls("AssumeRole")[0].Form; asked != 1 || form.Get("TokenCode") != "123456" || form.Get("SerialNumber") != "arn:aws:iam::111122223333:mfa/me" {
		t.Errorf("asked %d times, form %v", asked, form)
	}
}

// The SDK calls the endpoint that the environment configures.
func TestEndpoints(t *testing.T) {
	for name, c := range map[string]struct{ region, fips, dualStack, iam, sts string }{
		"none":               {"", "", "", "iam.amazonaws.com", "sts.us-east-1.amazonaws.com"},
		"Europe":             {"eu-central-1", "", "", "iam.amazonaws.com", "sts.eu-central-1.amazonaws.com"},
		"China":              {"cn-north-1", "", "", "iam.cn-north-1.amazonaws.com.cn", "sts.cn-north-1.amazonaws.com.cn"},
		"GovCloud":           {"us-gov-west-1", "", "", "iam.us-gov.amazonaws.com", "sts.us-gov-west-1.amazonaws.com"},
		"FIPS":               {"us-east-2", "true", "", "iam-fips.amazonaws.com", "sts-fips.us-east-2.amazonaws.com"},
		"dual-stack":         {"us-east-2", "", "true", "iam.global.api.aws", "sts.us-east-2.api.aws"},
		"FIPS on dual-stack": {"us-east-2", "true", "true", "iam-fips.global.api.aws", "sts-fips.us-east-2.api.aws"},
	} {
		t.Run(name, func(t *testing.T) {
			w := &world{aws: iamtest.New(t)}
			w.aws.Setenv(t)
			for name, value := range map[string]string{"AWS_ENDPOINT_URL_IAM": "", "AWS_ENDPOINT_URL_STS": "", "AWS_REGION": c.region, "AWS_USE_FIPS_ENDPOINT": c.fips, "AWS_USE_DUALSTACK_ENDPOINT": c.dualStack} {
				t.Setenv(name, value)
			}
			to := &redirected{server: w.aws}
			client, err := iam.NewFrom(t.Context(), w.options(), delay, func(cfg *aws.Config) { cfg.HTTPClient = to })
			if err != nil {
				t.Fatal(err)
			}
			w.Client = client
			w.aws.Add(role)
			is(t, w.lookup(t, ample, role), exists)
			if to.hosts != c.sts+" "+c.iam+" " {
				t.Errorf("called %s, want %s and %s", to.hosts, c.sts, c.iam)
			}
		})
	}
}

// redirected is an HTTP client that sends every request to the server.
type redirected struct {
	server *iamtest.Server
	mu     sync.Mutex
	hosts  string // the original host of each request, followed by a space
}

func (r *redirected) Do(request *http.Request) (*http.Response, error) {
	r.mu.Lock()
	r.hosts += request.URL.Host + " "
	r.mu.Unlock()
	there := request.Clone(request.Context())
	there.URL.Scheme, there.URL.Host = "http", strings.TrimPrefix(r.server.URL, "http://")
	return http.DefaultClient.Do(there)
}

func TestLogIdentity(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		identity string
		answer   iamtest.Answer
		want     []string
	}{
		"allowed":               {iamtest.Identity, nil, []string{"INFO", "get_role_allowed=true", "identity=" + iamtest.Identity, "account=111122223333", "partition=aws"}},
		"allowed and not found": {"arn:aws:sts::111122223333:assumed-role/elsewhere/x", nil, []string{"INFO", "get_role_allowed=true"}},
		"a user":                {"arn:aws:iam::111122223333:user/ann", nil, []string{"INFO", "get_role_allowed=true", "identity=arn:aws:iam::111122223333:user/ann"}},
		"denied":                {iamtest.Identity, iamtest.AccessDenied(), []string{"WARN", "get_role_allowed=false", "code=AccessDenied", "identity=" + iamtest.Identity}},
		"in another partition":  {"arn:aws-cn:sts::111122223333:assumed-role/x/y", nil, []string{"INFO", "partition=aws-cn"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.aws.Caller(iamtest.AccessKey, c.identity)
			w.aws.Answer("GetRole", c.answer)
			w.LogIdentity(t.Context())
			log := w.log.read(t)
			for _, want := range c.want {
				if !strings.Contains(log, want) {
					t.Errorf("no %s in %s", want, log)
				}
			}
			if strings.Count(log, "\n") != 1 {
				t.Errorf("not one line: %s", log)
			}
			w.counts(t, 0, map[string]int{}) // the probe is not counted as a lookup
		})
	}
}

// LogIdentity logs a warning after a failed attempt and tries again.
func TestLogIdentityRetries(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.aws.Answer("GetCallerIdentity", iamtest.Expired(), nil)
	w.aws.Answer("GetRole", append(slices.Repeat([]iamtest.Answer{iamtest.Failed()}, 3), nil)...)
	w.SetLogIdentityRetry(10 * time.Millisecond)
	w.LogIdentity(t.Context())
	log := w.log.read(t)
	if lines := strings.Split(strings.TrimSpace(log), "\n"); len(lines) != 3 ||
		!strings.Contains(lines[0], "WARN") || !strings.Contains(lines[0], "code=ExpiredToken") ||
		!strings.Contains(lines[1], "code=ServiceFailure") || !strings.Contains(lines[2], "get_role_allowed=true") {
		t.Errorf("log: %s", log)
	}
}

// LogIdentity returns when the context ends.
func TestLogIdentityEndsWithContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := inProcess(t)
		w.aws.Answer("GetCallerIdentity", iamtest.Expired())
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			w.LogIdentity(ctx)
		}()
		time.Sleep(time.Hour)
		if log := w.log.read(t); !strings.Contains(log, "ExpiredToken") {
			t.Errorf("log: %s", log)
		}
		cancel()
		<-done
	})
}
