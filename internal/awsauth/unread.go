package awsauth

import "regexp"

// writtenARN matches the ARN of an entry in a text that can't be decoded, as YAML or as JSON.
var writtenARN = regexp.MustCompile(`(?i)\b(?:role|user)arn["']?[ \t]*:[ \t]*["']?([^\s"',{}\[\]]+)`)

// UnreadARNs returns the ARNs that entries have in the part of the text that the authenticator does not read, in order. It searches the
// text for them, because this part may not be YAML.
func (t *Text) UnreadARNs() []Scalar {
	if t.Syntax == nil && t.NotAList == nil && t.Trailing == nil {
		return nil
	}
	unread := t.Unread()
	start := len(t.raw) - len(unread)
	var list []Scalar
	for _, match := range writtenARN.FindAllStringSubmatchIndex(unread, -1) {
		list = append(list, Scalar{unread[match[2]:match[3]], t.offsetPlace(t.Section.Path(), start+match[0])})
	}
	return list
}
