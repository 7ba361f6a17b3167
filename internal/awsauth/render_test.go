package awsauth_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

const instanceName = "ip-10-0-0-1.ec2.internal"

var (
	alice    = awsauth.Caller{AccountID: "111122223333", SessionName: "alice@example.com", AccessKeyID: "ASIAEXAMPLE"}
	instance = awsauth.Caller{AccountID: "111122223333", SessionName: "i-0123456789abcdef0", AccessKeyID: "ASIAEXAMPLE"}
)

func TestGivesLoginRendersTemplates(t *testing.T) {
	for template, want := range map[string]string{
		"plain":                         "plain",
		"{{SessionName}}":               "alice-example.com",
		"{{SessionNameRaw}}":            "alice@example.com",
		"x:{{AccountID}}:{{AccountID}}": "x:111122223333:111122223333",
		"{{AccessKeyID}}":               "ASIAEXAMPLE",
		"{{ SessionName }}":             "{{ SessionName }}",
		"{{sessionname}}":               "{{sessionname}}",
	} {
		e := awsauth.Entry{Username: template, Groups: []string{"b", "g:{{AccountID}}", "b"}}
		if !e.GivesLogin(alice, want, []string{"g:111122223333", "b"}) {
			t.Errorf("%s does not give %s", template, want)
		}
		if e.GivesLogin(alice, want+"x", []string{"g:111122223333", "b"}) {
			t.Errorf("%s gives %sx", template, want)
		}
		if e.GivesLogin(alice, want, []string{"b"}) {
			t.Errorf("%s gives other groups", template)
		}
	}
}

func TestGivesLoginTakesAnyTextForAnUnknownValue(t *testing.T) {
	unknownKey, unknownSession := alice, alice
	unknownKey.AccessKeyID = ""
	unknownSession.SessionName, unknownSession.SessionUnknown = "", true
	for _, test := range []struct {
		username string
		groups   []string
		caller   awsauth.Caller
		want     bool
		login    string
		in       []string
	}{
		{"a:{{EC2PrivateDNSName}}:b", nil, instance, true, "a:" + instanceName + ":b", nil},
		{"a:{{EC2PrivateDNSName}}:b", nil, instance, false, "a:" + instanceName + ":c", nil},
		{"a:{{EC2PrivateDNSName}}:b", nil, instance, false, "x:" + instanceName + ":b", nil},
		{"{{EC2PrivateDNSName}}-{{EC2PrivateDNSName}}", nil, instance, true, instanceName + "-" + instanceName, nil},
		{"node", []string{"on-{{EC2PrivateDNSName}}", "nodes"}, instance, true, "node", []string{"nodes", "on-" + instanceName}},
		{"node", []string{"on-{{EC2PrivateDNSName}}", "nodes"}, instance, false, "node", []string{"nodes"}},
		{"node", []string{"on-{{EC2PrivateDNSName}}"}, instance, false, "node", []string{"nodes", "on-" + instanceName}},
		{"ci", []string{"key-{{AccessKeyID}}"}, unknownKey, true, "ci", []string{"key-ASIA"}},
		{"ci", []string{"key-{{AccessKeyID}}"}, alice, false, "ci", []string{"key-ASIA"}},
		{"ci:{{SessionName}}", nil, unknownSession, true, "ci:deploy", nil},
		{"ci:{{SessionName}}", nil, alice, false, "ci:deploy", nil},
	} {
		e := awsauth.Entry{Username: test.username, Groups: test.groups}
		if got := e.GivesLogin(test.caller, test.login, test.in); got != test.want {
			t.Errorf("%q %q for %+v gives %q %q: %t, want %t", test.username, test.groups, test.caller, test.login, test.in, got, test.want)
		}
	}
}

func TestGivesLoginIgnoresTheGroupOfEveryLogin(t *testing.T) {
	with := awsauth.Entry{Username: "a", Groups: []string{"g", awsauth.AuthenticatedGroup}}
	without := awsauth.Entry{Username: "a", Groups: []string{"g"}}
	for _, e := range []awsauth.Entry{with, without} {
		for _, groups := range [][]string{{"g"}, {"g", awsauth.AuthenticatedGroup}} {
			if !e.GivesLogin(alice, "a", groups) {
				t.Errorf("%q does not give %q", e.Groups, groups)
			}
		}
		if e.GivesLogin(alice, "a", []string{awsauth.AuthenticatedGroup}) {
			t.Errorf("%q gives no group but %s", e.Groups, awsauth.AuthenticatedGroup)
		}
	}
}

func TestEntryAdmitsOnlyCallersThatItIsRenderedFor(t *testing.T) {
	unknown := awsauth.Caller{SessionUnknown: true}
	for _, test := range []struct {
		entry  awsauth.Entry
		caller awsauth.Caller
		want   bool
	}{
		{awsauth.Entry{Username: "a"}, alice, true},
		{awsauth.Entry{Username: "a"}, instance, true},
		{awsauth.Entry{Username: "{{EC2PrivateDNSName}}"}, alice, false},
		{awsauth.Entry{Username: "{{EC2PrivateDNSName}}"}, instance, true},
		{awsauth.Entry{Username: "{{EC2PrivateDNSName}}"}, unknown, true},
		{awsauth.Entry{Username: "a", Groups: []string{"g", "x{{EC2PrivateDNSName}}"}}, alice, false},
		{awsauth.Entry{Username: "a", Groups: []string{"g", "x{{EC2PrivateDNSName}}"}}, awsauth.Caller{}, false},
	} {
		if got := test.entry.Admits(test.caller); got != test.want {
			t.Errorf("%q %q admits %+v: %t", test.entry.Username, test.entry.Groups, test.caller, got)
		}
	}
}

func TestEntryGivesGroupsThatAllItsCallersGet(t *testing.T) {
	m := object(`[{rolearn: "`+account+`role/r", username: r, groups: ["a-{{AccountID}}", "b{{SessionName}}"]}]`,
		`[{userarn: "`+account+`user/u", username: u, groups: ["a-{{AccountID}}", "b{{SessionName}}{{SessionNameRaw}}"]}]`, "").Load()
	role, user := &m.Roles[0], &m.Users[0]
	for _, e := range []*awsauth.Entry{role, user} {
		if !e.Gives("a-111122223333") || !e.Gives(awsauth.AuthenticatedGroup) || e.Gives("a-") {
			t.Errorf("%s: the account is not rendered, or %s is not given", e.ARN, awsauth.AuthenticatedGroup)
		}
	}
	if !user.Gives("b") {
		t.Error("a user has no session name, but the template in the group does not render to an empty text")
	}
	if role.Gives("b") || !role.GivesTo(alice, "balice-example.com") || role.GivesTo(alice, "bbob") {
		t.Error("the template in a role's group does not render to the session's name")
	}
}

// TestRenderingsAreTextsThatATemplateCanHave checks that an unknown value can be any text that AWS allows, and no other
// text.
func TestRenderingsAreTextsThatATemplateCanHave(t *testing.T) {
	role := awsauth.Caller{AccountID: "111122223333", SessionUnknown: true}
	for _, test := range []struct {
		caller         awsauth.Caller
		template, text string
		want           bool
	}{
		{role, "ops", "ops", true},
		{role, "ops", "ops2", false},
		{role, "{{SessionName}}", "alice@example.com", true},
		{role, "{{SessionName}}", "system:kube-controller-manager", false},
		{role, "{{SessionName}}", "älice", false},
		{role, "{{SessionName}}", "a/b", false},
		{role, "system:{{SessionName}}", "system:kube-controller-manager", true},
		{role, "system:{{SessionName}}", "system:serviceaccount:a:b", false},
		{role, "{{SessionName}}:{{SessionNameRaw}}:x", "a:b:x", true},
		{role, "{{SessionName}}:{{SessionNameRaw}}:x", "a:b:c:x", false},
		{role, "{{AccountID}}:{{AccessKeyID}}", "111122223333:AKIAEXAMPLE", true},
		{role, "{{AccountID}}:{{AccessKeyID}}", "444455556666:AKIAEXAMPLE", false},
		{role, "{{Unknown}}", "{{Unknown}}", true},
		{role, "{{Unknown}}", "a", false},
		{awsauth.Caller{}, "dev:{{SessionName}}", "dev:", true},
		{awsauth.Caller{}, "dev:{{SessionName}}", "dev:alice", false},
	} {
		prefix, holds := test.caller.Renderings(test.template)
		if got := strings.HasPrefix(test.text, prefix) && holds(test.text); got != test.want {
			t.Errorf("%s can be %q: %t, want %t", test.template, test.text, got, test.want)
		}
	}
}

// TestRenderingsFindEveryDivisionOfAText compares Renderings with regular expressions, which try every way to divide a
// text between the fixed parts and the values. It tries each text of up to six characters from a, b and the colon. A value
// may have letters, but no colon.
func TestRenderingsFindEveryDivisionOfAText(t *testing.T) {
	texts := []string{""}
	for begin := 0; len(texts[len(texts)-1]) < 6; {
		end := len(texts)
		for _, text := range texts[begin:end] {
			texts = append(texts, text+"a", text+"b", text+":")
		}
		begin = end
	}
	const value = "{{SessionName}}"
	role := awsauth.Caller{SessionUnknown: true}
	ends, middles := texts[:4], texts[:13] // the texts of at most one and two characters
	for _, first := range ends {
		for _, middle := range middles {
			for _, last := range ends {
				template := first + value + middle + value + last
				form := regexp.MustCompile("^" + strings.ReplaceAll(template, value, "[ab]*") + "$")
				_, holds := role.Renderings(template)
				for _, text := range texts {
					if got, want := holds(text), form.MatchString(text); got != want {
						t.Fatalf("%s can be %q: %t, want %t", template, text, got, want)
					}
				}
			}
		}
	}
}
