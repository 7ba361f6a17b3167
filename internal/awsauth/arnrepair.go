package awsauth

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// principalHint is the hint for a text from which the principal can't be guessed.
const principalHint = "write the ARN of an IAM role or user, such as arn:aws:iam::111122223333:role/NAME"

// looksPlain reports whether a text has exactly five colons, in the places where an ARN of a principal has them, and
// consists of ASCII characters other than white space and control characters. ParseARN does not call describeMistake
// for such a text.
func looksPlain(text string) bool {
	colons := 0
	for i := range len(text) {
		switch c := text[i]; {
		case c == ':':
			colons++
			if (colons == 4) != (i > 0 && text[i-1] == ':') {
				return false // two colons in a row must stand around the region, and nowhere else
			}
		case c <= ' ' || c >= utf8.RuneSelf:
			return false
		}
	}
	return colons == 5
}

// describeMistake recognizes mistakes that people often make when they write an ARN. If a text has mistakes of several
// kinds, it returns the first in the order of its list, with the hint. It returns nil if it recognizes none.
func describeMistake(text string) *ARNError {
	for _, recognize := range []func(string) *ARNError{endsInvisible, foldedLine, hasTypographic, severalARNs, wrongColons} {
		if err := recognize(text); err != nil {
			err.Text = text
			return err
		}
	}
	return nil
}

// writeARN returns the hint to write an ARN. text is a corrected ARN. The hint has this ARN in the form that an entry
// needs, see entryForm. If text is still not the ARN of a principal, writeARN returns principalHint.
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

// foldedLine recognizes an ARN with a dash and further text after it, which come from the next line of the file. YAML
// appends a line that begins with a dash to the value above it if the dash is indented deeper than the value's key.
func foldedLine(text string) *ARNError {
	first, rest, ok := strings.Cut(text, " ")
	if !ok || !strings.HasPrefix(rest, "- ") {
		return nil
	}
	if _, err := ParseARN(first); err != nil {
		return nil //nolint:nilerr // it is another mistake
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

// similarARN tries some corrections of a text. It returns the hint to write the first result that is the ARN of a
// principal, in the form that an entry needs. If no result is such an ARN, it returns principalHint.
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

// NestedARN returns the last of several ARNs in a text. In arn:aws:iam::111122223333:user/arn:… it is the ARN after
// user/. If the last ARN is the ARN of a principal, NestedARN returns it in the form that an entry needs. It returns
// false if the text does not hold several ARNs.
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

// mayNest reports whether a text has enough colons for two ARNs: five in the first ARN, and three up to the service of
// the second. Counting colons is much faster than a regular expression.
func mayNest(text string) bool { return strings.Count(text, ":") >= 8 }

// severalARNs recognizes an ARN inside another ARN, and a list of ARNs. It does not report the ARN of a user whose path
// holds another ARN, because IAM allows such a path; see [NestedARN]. It also does not report an inner ARN whose path
// holds a colon.
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

// arnParts matches the parts of an ARN without a region. Between the parts up to the service there is at least one
// colon, and between the parts after it any number of colons.
var arnParts = regexp.MustCompile(`(?i)^arn:+([a-z0-9-]+):+(iam|sts):*(\d*):*((?:role|user|group|assumed-role|federated-user|instance-profile)[:/][^:]+|root)$`)

// wrongColons recognizes an ARN with too many, too few or misplaced colons, with a colon in place of a slash, or
// without an account.
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
			hint = withAccount(right)
		}
		return &ARNError{Problem: problem + ", and " + bad.Problem, Hint: hint}
	}
	return &ARNError{Problem: problem, Hint: writeARN(written)}
}

// afterDifference finds the first difference between two texts, and returns the part of the longer text from there up
// to the next colon or slash. It ignores colons at the beginning of this part.
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

// accountMistake returns the problem and the hint for an ARN whose account is not 12 digits.
func accountMistake(a ARN) (problem, hint string) {
	right := a
	if right.Account = digits(a.Account); IsAccountID(right.Account) && right.Account != "" {
		return fmt.Sprintf("has the account %q, which is not written as 12 digits", a.Account), writeARN(right.String())
	}
	switch hint = withAccount(a); {
	case a.Account == "":
		return "has no account", hint
	case right.Account == a.Account:
		return fmt.Sprintf("has the account %q, which has %d digits instead of 12", a.Account, len(a.Account)), hint
	}
	return fmt.Sprintf("has the account %q, which is not 12 digits", a.Account), hint
}

// withAccount returns the hint to write an ARN with another account, which only a person knows.
func withAccount(a ARN) string {
	a.Account = "ACCOUNT"
	return "write " + a.String() + " with the 12 digits of the account in place of ACCOUNT"
}

// The name of a role of IAM Identity Center begins with AWSReservedSSO_, and ends with an underscore and 16 hexadecimal
// digits. ssoRole matches each name with this beginning. ssoSuffix matches a whole name. ssoDigits matches a name with
// 12 to 24 digits at its end.
var (
	ssoRole   = regexp.MustCompile(`(?i)^AWSReservedSSO_`)
	ssoSuffix = regexp.MustCompile(`(?i)^AWSReservedSSO_.+_[0-9a-f]{16}$`)
	ssoDigits = regexp.MustCompile(`(?i)^(AWSReservedSSO_.+)_([0-9a-f]{12,24})$`)
)

// SSODigits splits the name of a role of IAM Identity Center at its suffix if the suffix has a wrong number of digits:
// from 12 to 24, but not 16. It returns the name before the suffix, and the digits. It returns false for other names.
func (a ARN) SSODigits() (name, digits string, ok bool) {
	parts := ssoDigits.FindStringSubmatch(a.Name())
	if parts == nil || !a.LacksSSOSuffix() {
		return "", "", false
	}
	return parts[1], parts[2], true
}

// LacksSSOSuffix reports whether the name of a role begins like that of a role of IAM Identity Center, but does not end
// with its suffix: an underscore and 16 hexadecimal digits (IAM Identity Center user guide, "Referencing permission
// sets in resource policies, Amazon EKS Cluster config maps, and AWS KMS key policies").
func (a ARN) LacksSSOSuffix() bool {
	return a.IsRole() && ssoRole.MatchString(a.Name()) && !ssoSuffix.MatchString(a.Name())
}
