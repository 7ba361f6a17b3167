package admission

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/textutil"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// Limits in bytes of UTF-8. A text never has more characters than bytes.
const (
	maxMessage = 4096 // status.message: clients print all of it, and logs and audit events repeat it
	maxCauses  = 100  // status.details.causes: a user can still scroll through this number
	// maxWarningsSize stays below the 4,096 characters above which the API server shortens all warnings of a response
	// (apiserver, pkg/endpoints/filters/warning.go, truncateAtTotalRunes).
	maxWarnings     = 30
	maxWarningsSize = 4000
	// Limits of one warning. When all warnings together are too long, the API server shortens each of them to 256 characters
	// and so may cut a sentence. Therefore a warning has at most maxWarning bytes. If a response has many warnings, the limit
	// of each is lower, but at least minWarning bytes.
	maxWarning = 256
	minWarning = 120 // 30 warnings of this length stay below maxWarningsSize
	maxLogged  = 256

	// Limits of one line of a denial. The longest role ARN that IAM allows has 604 characters (path 512, name 64), so a hint
	// that contains an ARN isn't shortened.
	maxDenialText = 1000
	maxHint       = 1000
	maxPath       = 300 // a ConfigMap key has at most 253 characters
	maxWarnedPath = 60
	minValue      = 24 // readers can't recognize a value that is shorter than this
)

// causes returns one cause for each denial. If there are more than maxCauses denials, the last of maxCauses causes says how
// many denials are not shown.
func causes(denials []validate.Finding) []metav1.StatusCause {
	shown := denials
	if len(denials) > maxCauses {
		shown = denials[:maxCauses-1]
	}
	list := make([]metav1.StatusCause, 0, len(shown)+1)
	for _, f := range shown {
		list = append(list, metav1.StatusCause{
			Type:    metav1.CauseTypeFieldValueInvalid,
			Field:   field(f, maxPath),
			Message: explain(f),
		})
	}
	if rest := len(denials) - len(shown); rest > 0 {
		list = append(list, metav1.StatusCause{Type: metav1.CauseTypeFieldValueInvalid, Field: "data", Message: andMore(rest)})
	}
	return list
}

// message returns the denials as one text of at most maxMessage bytes. The end of the text says how many denials don't fit.
func message(denials []validate.Finding) string {
	line := func(f validate.Finding) string {
		return textutil.Shorten(field(f, maxPath)+": "+explain(f), maxMessage/2)
	}
	if len(denials) == 1 {
		return line(denials[0])
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d reasons:", len(denials))
	for i, f := range denials {
		next, rest := "\n* "+line(f), ""
		if i+1 < len(denials) {
			rest = "\n" + andMore(len(denials)-i-1)
		}
		if b.Len()+len(next)+len(rest) > maxMessage {
			b.WriteString("\n" + andMore(len(denials)-i)) // fits, because each earlier line left room for it
			break
		}
		b.WriteString(next)
	}
	return b.String()
}

// warnings returns one line for each override and then one line for each finding. Break-glass comes first. If not all lines
// fit into the limits, the last line says how many are missing.
func warnings(overrides []validate.Override, findings []validate.Finding) []string {
	overrides = slices.Clone(overrides)
	slices.SortStableFunc(overrides, func(a, b validate.Override) int {
		return cmp.Compare(slices.Index(warnedFirst, b.Kind), slices.Index(warnedFirst, a.Kind))
	})
	var list []string
	size, total := 0, len(overrides)+len(findings)
	room := min(max(maxWarningsSize/max(total, 1), minWarning), maxWarning)
	for i := range total {
		line := func() string {
			if i < len(overrides) {
				return overruled(overrides[i], room)
			}
			return warning(findings[i-len(overrides)], room)
		}()
		need, rest := len(line), total-i-1
		if rest > 0 {
			need += len(andMore(rest))
		}
		if size+need > maxWarningsSize || rest > 0 && i == maxWarnings-1 {
			return append(list, andMore(rest+1)) // fits, because each earlier line left room for it
		}
		list = append(list, line)
		size += len(line)
	}
	return list
}

// warnedFirst lists the kinds of overrides that come first in the warnings. So they are shown even if not all warnings fit.
var warnedFirst = []string{validate.BreakGlass}

// overruled formats an override as one line of at most room bytes. The line ends with the detail of the override.
func overruled(o validate.Override, room int) string {
	head := clean(o.Kind, minValue) + " overrules the guard: "
	switch o.Kind {
	case validate.BreakGlass:
		head = "break-glass overrules every denial of this request: "
	case validate.AllowRemoval:
		head = "allow-removal overrules the guard for this node role: "
	}
	return head + clean(o.Detail, room-len(head))
}

func andMore(n int) string {
	if n == 1 {
		return "1 more finding is not shown"
	}
	return strconv.Itoa(n) + " more findings are not shown"
}

// explain formats a finding as one line: place, message, rule and hint. The line does not name the field of the finding.
func explain(f validate.Finding) string {
	text := sentence(f, maxDenialText) + " [" + f.Rule + "]"
	if f.Line > 0 {
		text = "line " + strconv.Itoa(f.Line) + " of " + dataKey(f) + ": " + text
	}
	if f.Hint != "" {
		text += "; " + clean(f.Hint, maxHint)
	}
	return text
}

// warning formats a finding as one line of at most size bytes. If the line is too long, warning first shortens long values
// in the sentence. If that isn't enough, it leaves out the whole hint, because a partial hint is useless.
func warning(f validate.Finding, size int) string {
	head, tail := field(f, maxWarnedPath)+": ", " ["+f.Rule+"]"
	if f.Exempt != "" {
		head = clean(f.Exempt, maxWarnedPath) + ": would be refused: " + head
	}
	text, hint := sentence(f, maxDenialText), ""
	if f.Hint != "" {
		hint = "; " + clean(f.Hint, maxHint)
	}
	for _, tail := range []string{tail + hint, tail} {
		room := size - len(head) - len(tail)
		for limit := size; limit >= minValue; limit -= 12 {
			if short := shortenValues(text, limit); len(short) <= room {
				return head + short + tail
			}
		}
	}
	return head + textutil.Shorten(text, max(size-len(head)-len(tail), minValue)) + tail
}

// sentence returns the message of a finding, shortened to limit bytes. An empty message gets a fixed text.
func sentence(f validate.Finding, limit int) string {
	if f.Message == "" {
		return "no reason was given"
	}
	return clean(f.Message, limit)
}

// field returns the path of a finding, shortened to limit bytes. If the finding has no path, field returns data.
func field(f validate.Finding, limit int) string {
	if f.Path == "" {
		return "data"
	}
	return clean(f.Path, limit)
}

// dataKey returns the ConfigMap key that a finding is about. It is mapRoles for the path data.mapRoles[0].rolearn.
func dataKey(f validate.Finding) string {
	path := field(f, maxPath)
	for _, prefix := range []string{"data.", "binaryData."} {
		path = strings.TrimPrefix(path, prefix)
	}
	key, _, _ := strings.Cut(path, "[")
	return key
}

// clean makes a text printable and shortens it to limit bytes. The text can be a megabyte long, so clean shortens it before it
// replaces characters by longer escapes, and again afterwards.
func clean(text string, limit int) string {
	return textutil.Shorten(textutil.Printable(textutil.Shorten(text, limit)), limit)
}

// values matches quoted values and other runs of characters without a space.
var values = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|\S+`)

// shortenValues shortens every value in a sentence to limit bytes.
func shortenValues(text string, limit int) string {
	return values.ReplaceAllStringFunc(text, func(v string) string { return textutil.Shorten(v, limit) })
}
