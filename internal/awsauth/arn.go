package awsauth

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Partitions returns the names of the AWS partitions whose callers the authenticator accepts (aws-iam-authenticator
// v0.7.18, pkg/endpoints/partitions.go).
func Partitions() []string {
	return []string{"aws", "aws-cn", "aws-us-gov", "aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f", "aws-eusc"}
}

func knownPartition(p string) bool {
	switch p {
	case "aws", "aws-cn", "aws-us-gov", "aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f", "aws-eusc":
		return true
	}
	return false
}

// ARN is the ARN of a principal. The principal is an IAM role, an IAM user, the root of an account, an STS session of a
// role, or an STS federated user.
type ARN struct {
	Partition string // aws, aws-cn, …
	Service   string // iam or sts
	Account   string // 12 digits
	Resource  string // role/NAME, role/PATH/NAME, user/NAME, user/PATH/NAME, root, assumed-role/NAME[/SESSION], federated-user/NAME
}

// String returns the ARN as AWS writes it.
func (a ARN) String() string {
	return "arn:" + a.Partition + ":" + a.Service + "::" + a.Account + ":" + a.Resource
}

// SessionRole returns the ARN of the role of an STS session, as the authenticator does (pkg/arn/arn.go, Canonicalize).
// It also accepts an ARN without the name of the session, which the authenticator refuses. For any other ARN it returns
// false.
func (a ARN) SessionRole() (ARN, bool) {
	rest, ok := strings.CutPrefix(a.Resource, "assumed-role/")
	if !ok {
		return ARN{}, false
	}
	name, _, _ := strings.Cut(rest, "/")
	return ARN{a.Partition, "iam", a.Account, "role/" + name}, true
}

// WithoutPath returns the ARN of a role without the role's path. STS leaves the path out of the ARNs of a role's
// callers. For any other ARN, and for a role without a path, WithoutPath returns false.
func (a ARN) WithoutPath() (ARN, bool) {
	rest, ok := strings.CutPrefix(a.Resource, "role/")
	i := strings.LastIndexByte(rest, '/')
	if !ok || i < 0 {
		return ARN{}, false
	}
	a.Resource = "role/" + rest[i+1:]
	return a, true
}

// IsRole reports whether the ARN is that of an IAM role.
func (a ARN) IsRole() bool { return strings.HasPrefix(a.Resource, "role/") }

// Name returns the last part of the resource: the name of a role, user or session, or root.
func (a ARN) Name() string { return a.Resource[strings.LastIndexByte(a.Resource, '/')+1:] }

// ARNError is the reason why a text is not the ARN of a principal.
type ARNError struct {
	Text    string
	Problem string // the fault, as a predicate such as "is not an ARN"
	Hint    string // how to correct the text; may be empty
}

func (e *ARNError) Error() string { return fmt.Sprintf("%q %s", e.Text, e.Problem) }

// ParseARN parses the ARN of a principal. It accepts scheme, partition, service and resource type in upper or lower
// case, because the authenticator compares ARNs ignoring case (pkg/config/mapper.go, Matches). In the result these
// parts are in lower case, and the other parts are unchanged.
//
// Every error is an [*ARNError] and means that no caller can have this ARN. ParseARN checks the characters of names and
// paths and the lengths of names (IAM API reference, CreateRole, CreateUser; STS, GetFederationToken). It doesn't check
// the lengths of paths and the names of sessions, so it accepts some ARNs that no caller can have.
func ParseARN(text string) (ARN, error) { return parseARN(text, similarARN) }

// parseARN is ParseARN with a parameter: similar returns the hint for a text in which parseARN recognizes no known
// mistake.
func parseARN(text string, similar func(string) string) (ARN, error) {
	fail := func(hint, problem string, args ...any) (ARN, error) {
		return ARN{}, &ARNError{Text: text, Problem: fmt.Sprintf(problem, args...), Hint: hint}
	}
	if !looksPlain(text) {
		if err := describeMistake(text); err != nil {
			return ARN{}, err
		}
	}
	parts, ok := splitARN(text)
	if !ok || fold(parts[0]) != "arn" {
		if problem, ok := uniqueID(text); ok {
			return fail(principalHint, "%s", problem)
		}
		return fail(similar(text), "is not an ARN")
	}
	a := ARN{fold(parts[1]), fold(parts[2]), parts[4], parts[5]}
	switch {
	case !knownPartition(a.Partition):
		right := a
		right.Partition = "PARTITION"
		return fail("write "+right.String()+" with one of the partitions "+strings.Join(Partitions(), ", "), "has the partition %q, which does not exist", parts[1])
	case a.Service != "iam" && a.Service != "sts":
		return fail(principalHint, "is an ARN of the service %q, but only principals of iam and sts can log in", parts[2])
	case parts[3] != "":
		return fail(writeARN(a.String()), "has the region %q, and ARNs of principals have none", parts[3])
	case !IsAccountID(a.Account):
		problem, hint := accountMistake(a)
		return fail(hint, "%s", problem)
	}
	kind, rest, slash := strings.Cut(a.Resource, "/")
	lower := fold(kind)
	if err := checkResource(a, lower, rest, slash); err != nil {
		hint := cmp.Or(err.Hint, nameHint(a, lower))
		if hint == principalHint {
			hint = similar(a.String())
		}
		return fail(hint, "%s", err.Problem)
	}
	if lower != kind {
		a.Resource = lower + a.Resource[len(kind):]
	}
	return a, nil
}

// checkResource checks the part of the ARN after the account. kind is the text before the first slash of this part, in
// lower case. rest is the text after the slash, and slash reports whether there is one. The error has no Text, and may
// have no Hint.
func checkResource(a ARN, kind, rest string, slash bool) *ARNError {
	switch a.Service + ":" + kind {
	case "iam:root":
		if slash {
			return &ARNError{Problem: "has a path after root", Hint: "write arn:" + a.Partition + ":iam::" + a.Account + ":root"}
		}
		return nil
	case "iam:role", "iam:user":
		return checkName(rest, 64)
	case "sts:federated-user":
		if strings.Contains(rest, "/") {
			return &ARNError{Problem: "has a path, but the ARN of a federated user never has one", Hint: "write arn:" + a.Partition + ":sts::" + a.Account + ":federated-user/NAME"}
		}
		return checkName(rest, 32)
	case "sts:assumed-role":
		name, session, _ := strings.Cut(rest, "/")
		if err := checkName(name, 64); err != nil {
			return err
		}
		if strings.Contains(session, "/") {
			role := strings.Split(rest, "/")
			right := ARN{a.Partition, "iam", a.Account, "role/" + role[len(role)-2]}
			return &ARNError{Problem: "has a path, but the ARN of a session never has one", Hint: writeARN(right.String())}
		}
		return nil
	case "iam:group":
		return &ARNError{Problem: "names an IAM group, and IAM groups can't log in", Hint: GroupHint("arn:" + a.Partition + ":iam::" + a.Account)}
	case "iam:instance-profile":
		return &ARNError{Problem: "names an instance profile, and its instances log in as the role in it", Hint: "write arn:" + a.Partition + ":iam::" + a.Account + ":role/NAME with the role that the instance profile holds"}
	}
	if a.Service == "iam" && !slash && checkName(a.Resource, 64) == nil {
		right := a
		right.Resource = "role/" + a.Resource
		return &ARNError{Problem: fmt.Sprintf("has no role/ or user/ before %q", a.Resource), Hint: "write " + right.String() + " with user/ instead of role/ if it is a user"}
	}
	return &ARNError{
		Problem: fmt.Sprintf("names %q of the service %s, which is not a principal that can log in", a.Resource, a.Service),
		Hint:    principalHint,
	}
}

// GroupHint returns the hint for an IAM group. prefix is the beginning of the group's ARN, including the account.
func GroupHint(prefix string) string {
	return "map a role that the group may assume: write " + prefix + ":role/NAME"
}

// nameHint returns the hint for an ARN whose name is missing, or whose name or path IAM does not allow. kind is the
// resource type.
func nameHint(a ARN, kind string) string {
	if kind == "assumed-role" {
		kind, a.Service = "role", "iam"
	}
	a.Resource = kind + "/NAME"
	return "write " + a.String() + " with the name as IAM shows it"
}

// checkName checks a name that may have a path before it. IAM must allow the characters of the name and of the path.
// The name without the path must have at least one character, and at most limit characters. The error has no Text, and
// may have no Hint.
func checkName(pathAndName string, limit int) *ARNError {
	i := strings.LastIndexByte(pathAndName, '/')
	path, name := pathAndName[:i+1], pathAndName[i+1:]
	if name == "" {
		return &ARNError{Problem: "has no name at its end"}
	}
	for _, r := range name {
		if r == '*' || r == '?' {
			return &ARNError{Problem: "has a wildcard, and the authenticator does not support wildcards", Hint: "write one entry for each role or user"}
		}
		if !nameRune(r) {
			return &ARNError{Problem: fmt.Sprintf("has %q in its name, which IAM does not allow", r)}
		}
	}
	if n := utf8.RuneCountInString(name); n > limit {
		return &ARNError{Problem: fmt.Sprintf("has a name of %d characters, and IAM allows %d", n, limit)}
	}
	for _, r := range path {
		if folded := foldRune(r); folded < '!' || folded > '~' {
			return &ARNError{Problem: fmt.Sprintf("has %q in its path, which IAM does not allow", r)}
		}
	}
	return nil
}

func nameRune(r rune) bool {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		return true
	case r < utf8.RuneSelf:
		return strings.ContainsRune("+=,.@-_", r)
	}
	folded := foldRune(r)
	return folded < utf8.RuneSelf && nameRune(folded) // the authenticator treats the Kelvin sign (U+212A) as k and the long s (U+017F) as s
}

// uniqueID reports whether a text looks like a unique id, such as AROA…, which IAM shows next to an ARN (IAM user
// guide, "Unique identifiers"). problem describes the text for an [ARNError].
func uniqueID(text string) (problem string, ok bool) {
	prefixes := map[string]string{"AROA": "role", "AIDA": "user", "AGPA": "group", "AIPA": "instance profile"}
	if len(text) < 16 || strings.Contains(text, ":") {
		return "", false
	}
	kind, ok := prefixes[text[:4]]
	return "is the unique id of a " + kind + ", not an ARN", ok
}

// IsAccountID reports whether id is 12 digits.
func IsAccountID(id string) bool {
	if len(id) != 12 {
		return false
	}
	for i := range len(id) {
		if id[i] < '0' || id[i] > '9' {
			return false
		}
	}
	return true
}

// Canonicalize turns the ARN of a caller, as STS GetCallerIdentity returns it, into the ARN that the authenticator
// searches for (pkg/arn/arn.go, Canonicalize). It turns the ARN of an STS session into that of its role. An ARN of
// another kind that the authenticator accepts stays unchanged. An error means that the authenticator refuses the caller
// without a search.
func Canonicalize(arn string) (string, error) {
	parts, ok := splitARN(arn)
	if !ok || parts[0] != "arn" {
		return "", fmt.Errorf("%q is not an ARN", arn)
	}
	partition, service, account, resource := parts[1], parts[2], parts[4], parts[5]
	if !knownPartition(partition) {
		return "", fmt.Errorf("%q has the partition %q, which the authenticator does not know", arn, partition)
	}
	kind, rest, _ := strings.Cut(resource, "/")
	switch {
	case service == "iam" && (kind == "role" || kind == "user" || kind == "root"), service == "sts" && kind == "federated-user":
		return arn, nil
	case service == "sts" && kind == "assumed-role":
		i := strings.LastIndexByte(rest, '/')
		if i < 0 {
			return "", fmt.Errorf("%q names no session after the role", arn)
		}
		return "arn:" + partition + ":iam::" + account + ":role/" + rest[:i], nil
	}
	return "", fmt.Errorf("%q is not a principal that the authenticator accepts: it accepts IAM roles, users and root, and STS sessions and federated users", arn)
}

// splitARN cuts an ARN into its six parts. The last part may contain colons. It returns false if the text has fewer
// than six parts.
func splitARN(text string) (parts [6]string, ok bool) {
	for i := range 5 {
		if parts[i], text, ok = strings.Cut(text, ":"); !ok {
			return parts, false
		}
	}
	parts[5] = text
	return parts, true
}

// AccountOf returns the account in an ARN: the text between the fourth and the fifth colon. For a text without a fifth
// colon it returns the rest after the fourth, and for a text with fewer than four colons it returns "".
func AccountOf(arn string) string {
	parts, _ := splitARN(arn)
	return parts[4]
}

// Fold maps two ARNs to the same text if and only if the authenticator treats them as equal.
func Fold(arn string) string { return fold(arn) }

// fold maps two texts to the same text if and only if strings.EqualFold treats them as equal. It replaces each rune by
// the smallest rune that strings.EqualFold treats as equal, and then writes ASCII letters in lower case.
func fold(s string) string {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return strings.Map(foldRune, s)
		}
	}
	return strings.ToLower(s)
}

func foldRune(r rune) rune {
	least := r
	for c := unicode.SimpleFold(r); c != r; c = unicode.SimpleFold(c) {
		least = min(least, c)
	}
	if least >= 'A' && least <= 'Z' {
		least += 'a' - 'A'
	}
	return least
}

// invisible reports whether a character is white space, a control character or a Unicode format character. A reader
// can't see such a character at the end of a value.
func invisible(r rune) bool {
	return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) || unicode.IsControl(r)
}

// AsARNError returns the [*ARNError] that an error of ParseARN is or wraps. For another error it returns an [*ARNError]
// with the error's text as Problem.
func AsARNError(err error) *ARNError {
	if e, ok := errors.AsType[*ARNError](err); ok {
		return e
	}
	return &ARNError{Problem: err.Error()}
}
