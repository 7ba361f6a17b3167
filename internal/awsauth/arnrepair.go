package awsauth

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// principalHint is the hint for a text that gives no clue to the principal.
const principalHint = "write the ARN of an IAM role or user, such as arn:aws:iam::111122223333:role/NAME"

// looksPlain reports whether a text has five colons, as an ARN of a principal does, and only visible ASCII
// characters. describeMistake recognizes no mistake in such a text.
func looksPlain(text string) bool {
	colons := 0
	for i := range len(text) {
		switch c := text[i]; {
		case c == ':':
			colons++
		case c <= ' ' || c >= utf8.RuneSelf:
			return false
		}
	}
	return colons == 5
}

// describeMistake returns the mistake and a hint if a text is in one of the forms that people often write instead of
// an ARN. It returns nil for other texts.
func describeMistake(text string) *ARNError {
	for _, recognize := range []func(string) *ARNError{endsInvisible, foldedLine, hasTypographic, severalARNs, wrongColons} {
		if err := recognize(text); err != nil {
			err.Text = text
			return err
		}
	}
	return nil
}

// writeARN returns the hint to write a repaired text. It returns principalHint if the repaired text is not an ARN.
func writeARN(text string) string {
	if arn, err := ParseARN(text); err == nil {
		return "write " + entryForm(arn).String()
	}
	return principalHint
}

func endsInvisible(text string) *ARNError {
	trimmed := strings.TrimFunc(text, invisible)
	if trimmed == text || trimmed == "" {
		return nil
	}
	problem := "has white space or an invisible character at an end, and the authenticator does not trim it"
	if _, c, ok := FindTypographic(text); ok {
		problem = "has " + c.String() + " at an end, and the authenticator does not trim it"
	}
	return &ARNError{Problem: problem, Hint: writeARN(trimmed)}
}

// foldedLine recognizes an ARN that a dash follows. The dash comes from the next line of the file: YAML folds a line
// that begins with a dash into the value above it if the dash is indented deeper than the value's key.
func foldedLine(text string) *ARNError {
	first, rest, ok := strings.Cut(text, " ")
	if !ok || !strings.HasPrefix(rest, "- ") {
		return nil
	}
	if _, err := ParseARN(first); err != nil {
		return nil //nolint:nilerr // another mistake
	}
	return &ARNError{
		Problem: fmt.Sprintf("has the next line, %q, folded into it, because that line is indented deeper than the key of the ARN", rest),
		Hint:    fmt.Sprintf("write %s, and move %q below groups", first, rest),
	}
}

func hasTypographic(text string) *ARNError {
	_, c, ok := FindTypographic(text)
	if !ok {
		return nil
	}
	return &ARNError{
		Problem: "has " + c.String() + ", which no ARN has",
		Hint:    writeARN(Plain(text)),
	}
}

var (
	accountAndSlash = regexp.MustCompile(`(:\d{12})/`)
	pluralKind      = regexp.MustCompile(`:(role|user)s/`)
)

// similarARN returns the hint to write the ARN that a text is similar to, or principalHint if there is none.
func similarARN(text string) string {
	for _, candidate := range []string{
		"arn:" + text,
		accountAndSlash.ReplaceAllString(text, "$1:"),
		pluralKind.ReplaceAllString(text, ":$1/"),
		strings.Replace(text, ":iam:", ":sts:", 1), // arn:aws:iam::…:assumed-role/…
		strings.Replace(text, ":sts:", ":iam:", 1), // arn:aws:sts::…:role/…
	} {
		if candidate != text && looksPlain(candidate) {
			if arn, err := parseARN(candidate, func(string) string { return principalHint }); err == nil {
				return "write " + entryForm(arn).String()
			}
		}
	}
	return principalHint
}

// innerARN matches the beginning of a second ARN within a text.
var innerARN = regexp.MustCompile(`(?i)[^a-z0-9]\s*(arn:[a-z0-9-]*:(?:iam|sts):)`)

// NestedARN returns the last ARN within a text that begins with another ARN, such as
// arn:aws:iam::111122223333:user/arn:…, and whether there is one. If the inner ARN is that of a principal, NestedARN
// returns it in the form that an entry needs.
func NestedARN(text string) (inner string, ok bool) {
	if !mayNest(text) {
		return "", false
	}
	at := innerARN.FindAllStringSubmatchIndex(text, -1)
	if len(at) == 0 {
		return "", false
	}
	inner = text[at[len(at)-1][2]:]
	if arn, err := ParseARN(inner); err == nil {
		inner = entryForm(arn).String()
	}
	return inner, true
}

// mayNest reports whether a text has enough colons for a second ARN: five of the first one, and three before the account of
// the second. It is much faster than a regular expression.
func mayNest(text string) bool { return strings.Count(text, ":") >= 8 }

// severalARNs recognizes an ARN within an ARN, and a list of ARNs. IAM allows a path with the characters of an ARN, so
// a user's ARN with another ARN as path is well-formed, see [NestedARN].
func severalARNs(text string) *ARNError {
	if !mayNest(text) {
		return nil
	}
	at := innerARN.FindStringIndex(text)
	if at == nil {
		return nil
	}
	if parts, ok := splitARN(text); ok && strings.EqualFold(parts[2], "iam") && hasPrefixFold(parts[5], "user/") && !strings.Contains(text, " ") {
		return nil
	}
	if separator := text[at[0]]; separator == ',' || separator == ' ' || separator == ';' {
		return &ARNError{Problem: "holds several ARNs, but an entry can have only one", Hint: "write one entry for each role or user"}
	}
	inner, _ := NestedARN(text)
	if arn, err := ParseARN(inner); err == nil && strings.Contains(arn.Resource, ":") {
		return nil
	} else if err != nil {
		return &ARNError{Problem: "has an ARN inside an ARN", Hint: principalHint}
	}
	return &ARNError{Problem: "has an ARN inside an ARN", Hint: "write " + inner}
}

func hasPrefixFold(text, prefix string) bool {
	return len(text) >= len(prefix) && strings.EqualFold(text[:len(prefix)], prefix)
}

// arnParts matches the parts of an ARN with any number of colons between them.
var arnParts = regexp.MustCompile(`(?i)^arn:+([a-z0-9-]+):+(iam|sts):*(\d*):*((?:role|user|group|assumed-role|federated-user|instance-profile)[:/][^:]+|root)$`)

// wrongColons recognizes an ARN with too many or too few colons.
func wrongColons(text string) *ARNError {
	parts := arnParts.FindStringSubmatch(text)
	if len(parts) == 0 {
		return nil
	}
	right := ARN{parts[1], parts[2], parts[3], strings.Replace(parts[4], ":", "/", 1)}
	if right.Account == "" {
		problem, hint := accountMistake(right)
		return &ARNError{Problem: problem, Hint: hint}
	}
	written := right.String()
	if written == text || strings.EqualFold(written, text) {
		return nil
	}
	problem := "has a colon in place of a slash"
	switch n := strings.Count(text, ":") - strings.Count(written, ":"); {
	case strings.Contains(parts[4], ":") && n == 1:
	case n == 1:
		problem = fmt.Sprintf("has one colon too many before %q", afterDifference(text, written))
	case n > 1:
		problem = fmt.Sprintf("has %d colons too many", n)
	case n == -1:
		problem = fmt.Sprintf("has one colon too few before %q", afterDifference(written, text))
	default:
		problem = "has the colons in wrong places"
	}
	if _, err := ParseARN(written); err != nil {
		bad := AsARNError(err)
		hint := bad.Hint
		if !IsAccountID(right.Account) {
			hint = "write " + written + " with the 12 digits of the account"
		}
		return &ARNError{Problem: problem + ", and " + bad.Problem, Hint: hint}
	}
	return &ARNError{Problem: problem, Hint: writeARN(written)}
}

// afterDifference returns the part of the longer text that begins where the shorter text first differs, without
// leading colons and up to the next colon or slash.
func afterDifference(longer, shorter string) string {
	i := 0
	for i < len(shorter) && longer[i] == shorter[i] {
		i++
	}
	rest := strings.TrimLeft(longer[i:], ":")
	if end := strings.IndexAny(rest, ":/"); end > 0 {
		rest = rest[:end]
	}
	return rest
}

// accountMistake describes an account that is not 12 digits, with a hint.
func accountMistake(a ARN) (problem, hint string) {
	right := a
	if right.Account = digits(a.Account); IsAccountID(right.Account) && right.Account != "" {
		return fmt.Sprintf("has the account %q, which is not written as 12 digits", a.Account), writeARN(right.String())
	}
	hint = "write " + a.String() + " with the 12 digits of the account"
	switch {
	case a.Account == "":
		right.Account = "ACCOUNT"
		return "has no account", "write " + right.String() + " with the 12 digits of the account"
	case right.Account == a.Account:
		return fmt.Sprintf("has the account %q, which has %d digits instead of 12", a.Account, len(a.Account)), hint
	}
	right.Account = "ACCOUNT"
	return fmt.Sprintf("has the account %q, which is not 12 digits", a.Account), "write " + right.String() + " with the 12 digits of the account"
}

// ssoRole matches the name of a role of IAM Identity Center. ssoSuffix matches the suffix of such a name, and
// ssoDigits a suffix with slightly too few or too many digits.
var (
	ssoRole   = regexp.MustCompile(`(?i)^AWSReservedSSO_`)
	ssoSuffix = regexp.MustCompile(`(?i)^AWSReservedSSO_.+_[0-9a-f]{16}$`)
	ssoDigits = regexp.MustCompile(`(?i)^(AWSReservedSSO_.+)_([0-9a-f]{12,24})$`)
)

// SSODigits returns the digits at the end of a role's name, and the name before them, if the digits look like the
// suffix of a role of IAM Identity Center but are too few or too many.
func (a ARN) SSODigits() (name, digits string, ok bool) {
	parts := ssoDigits.FindStringSubmatch(a.Name())
	if parts == nil || !a.LacksSSOSuffix() {
		return "", "", false
	}
	return parts[1], parts[2], true
}

// LacksSSOSuffix reports whether a role has the name of a role of IAM Identity Center without the suffix that IAM
// Identity Center gives it: an underscore and 16 hexadecimal digits (IAM Identity Center user guide, "Referencing
// permission sets in resource policies, Amazon EKS Cluster config maps, and AWS KMS key policies").
func (a ARN) LacksSSOSuffix() bool {
	return a.IsRole() && ssoRole.MatchString(a.Name()) && !ssoSuffix.MatchString(a.Name())
}
