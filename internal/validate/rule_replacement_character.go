package validate

var replacementCharacter = &Rule{
	ID:       "replacement-character",
	Severity: Deny,
	Title:    "a key's text holds the character U+FFFD",
	Doc: `
One byte that is not UTF-8 in mapRoles, mapUsers or mapAccounts makes the authenticator load nothing
from that key, even if the byte is in a comment. A client that writes protobuf, the default of client-go and
controller-runtime, can store such a byte: a letter in Latin-1, or a text that was cut inside a letter. The API
server sends reviews to the guard in JSON, and JSON shows U+FFFD (�) instead of the byte. So the guard can't tell
the byte from a real U+FFFD.

The guard therefore refuses U+FFFD even if the old object had it too, and assumes that the authenticator loads
nothing from that key of the new object.

Type the character again, and save the text as UTF-8.`,
	Source:    "aws-iam-authenticator v0.7.18, pkg/mapper/configmap/configmap.go, ParseMap: the watch is in protobuf; go.yaml.in/yaml/v2, readerc.go: invalid leading or trailing UTF-8 octet; Go, encoding/json, Marshal",
	Check:     checkReplacementCharacter,
	AlwaysNew: true,
}

func checkReplacementCharacter(p *Pass) {
	for _, t := range p.Doc.Texts {
		for at := range t.ReplacementCharacters() {
			p.Reportf(at, "type the character again, and save the text as UTF-8",
				"%s holds U+FFFD, which JSON shows in place of a byte that is not UTF-8; with such a byte the authenticator loads nothing from it", string(t.Section))
		}
	}
}
