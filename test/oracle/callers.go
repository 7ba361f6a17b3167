// Package oracle compares the guard with the released aws-iam-authenticator. It derives the effect of a change on people
// and nodes only from the authenticator's answers.
package oracle

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
)

// callerARN matches the ARNs that STS GetCallerIdentity returns: of root, a user, a federated user or a session of a
// role. STS never returns the ARN of the role itself (IAM API reference, CreateRole and CreateUser; STS API reference,
// AssumeRole, GetFederationToken).
var callerARN = regexp.MustCompile(`^arn:(aws|aws-cn|aws-us-gov|aws-iso|aws-iso-b|aws-iso-e|aws-iso-f|aws-eusc):(` +
	`iam::[0-9]{12}:root|` +
	`iam::[0-9]{12}:user/([\x21-\x7e]+/)?[A-Za-z0-9_+=,.@-]{1,64}|` +
	`sts::[0-9]{12}:assumed-role/[A-Za-z0-9_+=,.@-]{1,64}/[A-Za-z0-9_+=,.@-]{2,64}|` +
	`sts::[0-9]{12}:federated-user/[A-Za-z0-9_+=,.@-]{1,32})$`)

// The session names of a person, an instance and a pod on Fargate.
const (
	person   = "alice@example.com"
	instance = "i-0123456789abcdef0"
	fargate  = "fargate-ip-10-0-0-1.ec2.internal"
)

// element is an element of a section, read from the JSON that the authenticator decodes.
type element struct {
	section string
	index   int
	raw     json.RawMessage
	arn     string
}

// path returns the path by which findings name the element.
func (e element) path() string { return fmt.Sprintf("data.%s[%d]", e.section, e.index) }

// elementsOf returns the elements of a section, or nil if its text is not a list. Like the authenticator, it converts
// the YAML to JSON. It keeps each element as JSON, so the list also has elements that are not mappings.
func elementsOf(section, text string) []element {
	data, err := utilyaml.ToJSON([]byte(text))
	var raw []json.RawMessage
	if err != nil || json.Unmarshal(data, &raw) != nil {
		return nil
	}
	list := make([]element, len(raw))
	for i := range raw {
		list[i] = element{section, i, raw[i], arnIn(section, raw[i])}
	}
	return list
}

// arnIn returns the ARN that the authenticator reads from an element. It matches the key in any case, and ignores values
// that are not strings.
func arnIn(section string, raw json.RawMessage) string {
	var fields struct {
		RoleARN string `json:"rolearn"`
		UserARN string `json:"userarn"`
	}
	_ = json.Unmarshal(raw, &fields) // json ignores values of a wrong type
	if section == "mapUsers" {
		return fields.UserARN
	}
	return fields.RoleARN
}

// version is one version of an object and the ARNs in it.
type version struct {
	data     map[string]string
	elements []element // of mapRoles and mapUsers
	accounts []element
	arns     []string // the ARNs of the elements, other ARNs in the text, and an unknown user of each account id in the text
}

func newVersion(data map[string]string) *version {
	v := &version{data: data}
	v.elements = slices.Concat(elementsOf("mapRoles", data["mapRoles"]), elementsOf("mapUsers", data["mapUsers"]))
	v.accounts = elementsOf("mapAccounts", data["mapAccounts"])
	set := make(map[string]bool)
	for _, e := range v.elements {
		if e.arn != "" {
			set[e.arn] = true
		}
	}
	for _, text := range data {
		for _, arn := range arnInText.FindAllString(text, -1) {
			set[arn] = true
		}
		for _, account := range accountInText.FindAllString(text, -1) {
			set["arn:aws:iam::"+account+":user/stranger"] = true
		}
	}
	v.arns = slices.Sorted(maps.Keys(set))
	return v
}

// forms caches the results of callersOf by ARN, because most ARNs occur often.
type forms map[string][]string

// of returns the callers that callersOf returns for any of the ARNs. They are sorted and have no duplicates.
func (f forms) of(arns ...[]string) []string {
	if len(f) > 1<<15 {
		clear(f)
	}
	set := make(map[string]bool)
	for _, arn := range slices.Concat(arns...) {
		list, ok := f[arn]
		if !ok {
			list = callersOf(arn)
			f[arn] = list
		}
		for _, caller := range list {
			set[caller] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// callersOf returns the callers that the author of an entry may have meant by an ARN. It corrects the case, letters
// outside of ASCII, surrounding characters and the path. For an ARN with a name, such as that of a role or a user, it also
// returns three sessions of the role with this name, of a person, an instance and a pod on Fargate, and the user with this
// name.
func callersOf(arn string) []string {
	set := make(map[string]bool)
	add := func(form string) {
		if callerARN.MatchString(form) {
			set[form] = true
		}
	}
	for _, text := range []string{arn, strings.ToLower(arn), plainASCII(arn), strings.ToLower(plainASCII(arn))} {
		parts := strings.SplitN(strings.Trim(text, " \t\r\n\u00a0\u200b\ufeff*/"), ":", 6)
		if len(parts) != 6 {
			continue
		}
		add(strings.Join(parts, ":"))
		head := strings.ToLower(strings.Join(parts[:5], ":"))
		kind, rest, _ := strings.Cut(parts[5], "/")
		kind = strings.ToLower(kind)
		add(head + ":" + kind)
		add(head + ":" + kind + "/" + rest)
		names := []string{rest, rest[strings.LastIndexByte(rest, '/')+1:]}
		if kind == "assumed-role" {
			names = append(names, strings.Split(rest, "/")...)
		}
		sts := "arn:" + strings.ToLower(parts[1]) + ":sts::" + parts[4] + ":assumed-role/"
		for _, name := range names {
			for _, session := range []string{person, instance, fargate} {
				add(sts + name + "/" + session)
			}
			add(head + ":user/" + name)
		}
	}
	return slices.Sorted(maps.Keys(set))
}

var asciiLetters = strings.NewReplacer("\u212a", "K", "\u017f", "s", "\u0130", "I", "\u0131", "i")

// plainASCII replaces the letters outside of ASCII that some case-insensitive comparisons treat as ASCII letters.
func plainASCII(s string) string { return asciiLetters.Replace(s) }

var (
	arnInText     = regexp.MustCompile(`(?i)arn:[^\s"',{}\[\]#]*`)
	accountInText = regexp.MustCompile(`\b\d{12}\b`)
)
