package awsauth

import "regexp"

// writtenARN matches the key and the ARN of an entry, as YAML or JSON writes them, in a text that can't be decoded.
var writtenARN = regexp.MustCompile(`(?i)\b(?:role|user)arn["']?[ \t]*:[ \t]*["']?([^\s"',{}\[\]]+)`)

// UnreadARNs returns the ARNs of entries in a text that does not parse or is not a list, or in the text after the end
// of the list. They are in the order of the text, with the positions of their keys. Such a text may not be YAML, so
// UnreadARNs searches it with a regular expression.
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
