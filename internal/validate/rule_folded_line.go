package validate

import (
	"fmt"
	"strings"
)

var foldedLine = &Rule{
	ID:       "folded-line",
	Severity: Deny,
	Title:    "YAML folds the next line into a username",
	Doc: `
A line that is indented deeper than the key above it continues the value of that key. If the line of a group is
directly below username and indented deeper, the username becomes a text such as "build - system:masters", and the
entry lacks the group. No RBAC binding names such a user.

The rules malformed-arn and group-typo report lines that are folded into an ARN or a group.

Move the group below the key groups. If the folded line doesn't begin with a dash, it may belong to the username, and
the rule only warns. Then write the whole username on one line.`,
	Source: "YAML 1.1, \"Line Folding\"; terraform-aws-eks#1757",
	Exact:  true,
	Check:  checkFoldedLine,
}

func checkFoldedLine(p *Pass) {
	for m := range p.Doc.Mappings() {
		if !strings.Contains(m.Username.Value, " ") {
			continue
		}
		line, at, ok := m.Username.Folded()
		if !ok {
			continue
		}
		at = p.Doc.Locate(at)
		first, _, _ := strings.Cut(m.Username.Value, " "+line)
		report, hint := p.Warnf, "write the username on one line"
		if strings.HasPrefix(line, "- ") {
			report, hint = p.Reportf, fmt.Sprintf("write %s, and move %q below groups", scalar(first), line)
		}
		report(m.Username, hint, "the username %q has line %d, %q, folded into it, because column %d is deeper than the key username", m.Username.Value, at.Line, line, at.Column)
		if strings.HasPrefix(line, "- ") {
			p.correctFolded(m, m.Username)
		}
	}
}
