package main

import (
	"fmt"
	"strconv"
	"strings"
)

// construct makes a text by repeating a piece of YAML or JSON. text returns a text of at most the given size in bytes, and
// almost this size.
type construct struct {
	name string
	text func(size int) string
}

// filled returns a construct of a beginning, as many pieces as fit, and an end. piece returns the piece with a number.
func filled(name, begin string, piece func(i int) string, end string) construct {
	return construct{name, func(size int) string {
		var b strings.Builder
		b.WriteString(begin)
		for i := 0; ; i++ {
			next := piece(i)
			if b.Len()+len(next)+len(end) > size {
				b.WriteString(end)
				return b.String()
			}
			b.WriteString(next)
		}
	}}
}

// repeat returns a construct of a beginning, copies of a unit, and an end. In the unit, %d and %[1]d stand for the
// number of the copy.
func repeat(name, begin, unit, end string) construct {
	unit = strings.ReplaceAll(unit, "%[1]d", "%d")
	return filled(name, begin, func(i int) string { return strings.ReplaceAll(unit, "%d", strconv.Itoa(i)) }, end)
}

// nested returns a construct that opens as many collections as fit, each inside the collection before it, and closes them
// after the middle.
func nested(name, begin, opening, middle, closing string) construct {
	return construct{name, func(size int) string {
		n := (size - len(begin) - len(middle)) / (len(opening) + len(closing))
		return begin + strings.Repeat(opening, n) + middle + strings.Repeat(closing, n)
	}}
}

// stairs returns a construct of units on lines. Each unit is indented by one more space than the unit before it. After
// depth units, the indentation starts again.
func stairs(name, unit string, depth int) construct {
	return filled(name, "", func(i int) string { return strings.Repeat(" ", i%depth) + unit }, "")
}

const role = "arn:aws:iam::111122223333:role/"

// constructs returns all constructs.
func constructs() []construct {
	var all []construct
	for _, group := range [][]construct{
		aliasConstructs(), directiveConstructs(), flowConstructs(), blockConstructs(), scalarConstructs(), commentConstructs(),
		keyConstructs(), valueConstructs(), jsonConstructs(), brokenConstructs(), entryConstructs(),
	} {
		all = append(all, group...)
	}
	return all
}

func aliasConstructs() []construct {
	return []construct{
		repeat("anchors", "", "- &a%d x\n", ""),
		repeat("anchors of one name", "", "- &a x\n", ""),
		repeat("anchors of empty nodes", "", "- &a\n", ""),
		repeat("aliases", "- &a x\n", "- *a\n", ""),
		repeat("aliases in a flow list", "- &a x\n- [", "*a,", "]\n"),
		repeat("aliases of a role", "- &a {rolearn: "+role+"a, username: a, groups: [a, b, c]}\n", "- *a\n", ""),
		repeat("aliases of a list", "- &a [x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x]\n", "- *a\n", ""),
		repeat("aliases of a long text", "- &a "+strings.Repeat("x", 1000)+"\n", "- *a\n", ""),
		repeat("aliases of a longer text", "- &a "+strings.Repeat("x", 10_000)+"\n", "- *a\n", ""),
		repeat("aliases of a binary text", "- &a !!binary "+strings.Repeat("eHh4", 10_000)+"\n", "- *a\n", ""),
		repeat("groups by aliases of a binary text", "- &a !!binary "+strings.Repeat("eHh4", 100_000)+"\n", "- {rolearn: x%d, groups: [*a]}\n", ""),
		repeat("groups by an alias", "- &g [system:masters]\n", "- {rolearn: x%d, groups: *g}\n", ""),
		repeat("groups by an alias of many", "- &g ["+strings.Repeat("g,", 500)+"g]\n", "- {rolearn: x%d, groups: *g}\n", ""),
		repeat("anchor and alias alternate", "", "- &a%d x\n- *a%[1]d\n", ""),
		repeat("aliases of unknown anchors", "- &a x\n", "- *b\n", ""),
		repeat("aliases of aliases", "- &a0 [x]\n- &a1 [*a0,*a0]\n- &a2 [*a1,*a1]\n- &a3 [*a2,*a2]\n- &a4 [*a3,*a3]\n- &a5 [*a4,*a4]\n- &a6 [*a5,*a5]\n- &a7 [*a6,*a6]\n", "- *a7\n", ""),
		repeat("chain of anchors", "- &a0 [x]\n", "- &a%d [*a0]\n", ""),
		repeat("merges", "- &m {a: b}\n", "- {<<: *m}\n", ""),
		repeat("merges of many keys", "- &m {"+strings.Repeat("a: b, ", 100)+"}\n", "- {<<: *m}\n", ""),
		repeat("merges in a list", "- &m {a: b}\n- <<: [", "*m,", "]\n"),
		repeat("merges of maps in place", "- <<: [", "{a: b},", "]\n"),
		nested("nested merges", "- ", "{<<: ", "{a: b}", "}"),
		repeat("merges in one map", "- &m {a: b}\n- {", "<<: *m, ", "}\n"),
		repeat("merges with keys", "- &m {a: b}\n", "- {<<: *m, k%d: v}\n", ""),
		repeat("aliases as keys", "- &m a\n", "- {*m : b}\n", ""),
		repeat("ampersands and stars in comments", "- rolearn: "+role+"a\n", "# & * , - x: y\n", ""),
		repeat("aliases of a long key in a complex key", "- &a ["+strings.Repeat("x", 5000)+"]\n- ? [", "*a,", "]\n  : b\n"),
		repeat("anchors on keys", "", "- {&a%d k: v}\n", ""),
		repeat("self-reference", "", "- &a%d [*a%[1]d]\n", ""),
	}
}

func directiveConstructs() []construct {
	return []construct{
		repeat("TAG directives", "", "%TAG !%d! x\n", "---\n- x\n"),
		repeat("TAG directives of one handle", "", "%TAG !a! x\n", "---\n- x\n"),
		repeat("TAG directives indented by a mark", "\ufeff", "%TAG !%d! x\n", "---\n- x\n"),
		repeat("TAG directives with carriage returns", "", "%TAG !%d! x\r", "---\r- x\r"),
		repeat("TAG directives behind a document", "- x\n...\n", "%TAG !%d! x\n", "---\n- x\n"),
		repeat("TAG directives behind NEL", "- x\n...\n", "%TAG !%d! x\u0085", "---\n- x\n"),
		repeat("TAG directives and tags", strings.Repeat("%TAG !a! x\n", 1)+"---\n", "- !a!b c\n", ""),
		repeat("YAML directives", "", "%YAML 1.1\n", "---\n- x\n"),
		repeat("unknown directives", "", "%FOO bar\n", "---\n- x\n"),
		repeat("directives without a document", "", "%TAG !%d! x\n", ""),
		repeat("TAG directives in many documents", "- x\n", "...\n%TAG !%d! x\n---\n- x\n", ""),
		repeat("documents", "- x\n", "---\n- x\n", ""),
		repeat("empty documents", "- x\n", "---\n", ""),
		repeat("document ends", "- x\n", "...\n", ""),
		repeat("document marks", "- x\n", "--- x\n...\n", ""),
		repeat("tags", "", "- !a b\n", ""),
		repeat("long tags", "", "- !<"+strings.Repeat("a", 1000)+"> b\n", ""),
		repeat("escaped tags", "- !<", "%41", "> b\n"),
		repeat("tags of core types", "", "- !!str b\n", ""),
		repeat("binary", "", "- !!binary aGVsbG8=\n", ""),
		repeat("one long binary", "- !!binary ", "aGVs", "\n"),
		repeat("tags on empty nodes", "", "- !a\n", ""),
	}
}

func flowConstructs() []construct {
	return []construct{
		nested("nested flow lists", "", "[", "", "]"),
		nested("nested flow maps", "", "{a: ", "b", "}"),
		nested("nested flow maps as keys", "", "{", "a", "}"),
		nested("nested flow maps as keys with values", "", "{", "a", "}: b"),
		nested("nested flow lists as keys", "", "[", "a", "]: b"),
		repeat("open flow lists", "", "[", ""),
		repeat("open flow maps", "", "{", ""),
		repeat("open flow lists and maps", "", "[{", ""),
		repeat("flow list inside of 9,990 open flow lists", strings.Repeat("[", 9990), "a,", ""),
		repeat("open flow lists on lines", "", "[\n", ""),
		repeat("flow list", "- [", "a,", "]\n"),
		repeat("flow list of lists", "- [", "[],", "]\n"),
		repeat("flow list of maps", "- [", "{},", "]\n"),
		repeat("flow list of pairs", "- [", "a: b,", "]\n"),
		repeat("flow list of quoted pairs", "- [", `"a":b,`, "]\n"),
		repeat("flow list of maps of one key", "- [", "{a},", "]\n"),
		repeat("flow list of empty pairs", "- [", ":,", "]\n"),
		repeat("flow list of empty keys", "- [", "? ,", "]\n"),
		repeat("flow map", "- {", "a,", "}\n"),
		repeat("flow map of keys", "- {", "k%d,", "}\n"),
		repeat("flow map of empty values", "- {", "k%d: ,", "}\n"),
		repeat("flow map in quotes", "- {", `"a":"b",`, "}\n"),
		repeat("flow map of empty pairs", "- {", "? ,", "}\n"),
		repeat("elements of 300 nested maps as keys", "", "- "+strings.Repeat("{", 300)+"a"+strings.Repeat("}: b", 300)+"\n", ""),
		repeat("elements of 250 nested lists as keys", "", "- "+strings.Repeat("[", 250)+strings.Repeat("]: b", 250)+"\n", ""),
		repeat("keys behind 1,000 characters of a flow list", "- {", "["+strings.Repeat("a,", 500)+"]: b,", "}\n"),
		repeat("keys behind 1,000 characters of flow lists", "- {", "["+strings.Repeat("[],", 330)+"]: b,", "}\n"),
		repeat("elements of 256 nested lists", "", "- "+strings.Repeat("[", 256)+strings.Repeat("]", 256)+"\n", ""),
		repeat("flow lists on lines", "", "- [a,\n   b]\n", ""),
		repeat("top flow list", "[", "{rolearn: x},", "]"),
		repeat("top flow list of roles", "[", "{rolearn: "+role+"a%d, username: a, groups: [a]},", "]"),
	}
}

func blockConstructs() []construct {
	return []construct{
		repeat("elements", "", "- a\n", ""),
		repeat("empty elements", "", "-\n", ""),
		repeat("nested elements on a line", "", "- ", "a\n"),
		repeat("lines of nested elements", "", strings.Repeat("- ", 50)+"a\n", ""),
		repeat("lines of 500 nested elements", "", strings.Repeat("- ", 500)+"a\n", ""),
		stairs("stairs of elements", "-\n", 1400),
		stairs("stairs of elements, repeated", "-\n", 100),
		stairs("stairs of keys", "a:\n", 1400),
		stairs("stairs of keys, repeated", "a:\n", 100),
		stairs("stairs of complex keys", "?\n", 1400),
		repeat("complex keys", "", "? a\n: b\n", ""),
		repeat("complex keys in elements", "", "- ? a\n  : b\n", ""),
		repeat("nested complex keys", "", "? ", "a\n"),
		repeat("lines of nested complex keys", "", strings.Repeat("? ", 100)+"a\n", ""),
		repeat("complex keys without values", "", "? k%d\n", ""),
		repeat("values without keys", "", ": a\n", ""),
		repeat("nested values without keys", "", ": ", "a\n"),
		repeat("keys", "", "k%d: v\n", ""),
		repeat("keys of one name", "", "k: v\n", ""),
		repeat("keys without values", "", "k%d:\n", ""),
		repeat("list below a key", "a:\n", "- b\n", ""),
		repeat("lists below keys", "", "a:\n- b\n", ""),
		repeat("map elements", "", "- a: b\n", ""),
		repeat("map elements of long keys", "", "- "+strings.Repeat("k", 1000)+": b\n", ""),
		repeat("map elements of too long keys", "", "- "+strings.Repeat("k", 1030)+": b\n", ""),
		repeat("empty lines", "- a\n", "\n", "- b\n"),
		repeat("blanks", "- a", " ", "\n- b\n"),
		repeat("blank lines of blanks", "- a\n", strings.Repeat(" ", 1000)+"\n", "- b\n"),
		repeat("carriage returns", "", "- a\r", ""),
		repeat("line separators", "", "- a\u2028", ""),
		repeat("next lines", "", "- a\u0085", ""),
	}
}

func scalarConstructs() []construct {
	return []construct{
		repeat("one plain scalar", "- ", "x", "\n"),
		repeat("one plain scalar of words", "- ", "x ", "\n"),
		repeat("one plain scalar of lines", "- x\n", "  x\n", ""),
		repeat("one plain scalar of blank lines", "- x\n", "\n  x\n", ""),
		repeat("one single-quoted scalar", "- '", "x ", "'\n"),
		repeat("one single-quoted scalar of quotes", "- '", "''", "'\n"),
		repeat("one single-quoted scalar of lines", "- '", "x\n  ", "'\n"),
		repeat("one single-quoted scalar of empty lines", "- '", "\n", "'\n"),
		repeat("one double-quoted scalar of escapes", `- "`, `\x41`, "\"\n"),
		repeat("one double-quoted scalar of short escapes", `- "`, `\a`, "\"\n"),
		repeat("one double-quoted scalar of long escapes", `- "`, `\U00010000`, "\"\n"),
		repeat("one double-quoted scalar of control characters", `- "`, `\0`, "\"\n"),
		repeat("one double-quoted scalar of escaped breaks", `- "`, "\\\n", "\"\n"),
		repeat("one double-quoted scalar of lines", `- "`, "x\n  ", "\"\n"),
		repeat("one double-quoted scalar of less-than signs", `- "`, "<", "\"\n"),
		repeat("one double-quoted scalar of separators", `- "`, `\L`, "\"\n"),
		repeat("one double-quoted scalar, open", `- "`, "x\n", ""),
		repeat("one literal", "- |\n", "  x\n", ""),
		repeat("one literal of empty lines", "- |\n", "\n", "  x\n"),
		repeat("one literal that keeps", "- |+\n  x\n", "\n", ""),
		repeat("one folded scalar", "- >\n", "  x\n", ""),
		repeat("one folded scalar of more-indented lines", "- >\n  x\n", "   x\n", ""),
		repeat("one folded scalar of blank lines", "- >\n  x\n", "\n\n  x\n", ""),
		repeat("literals", "", "- |\n  x\n", ""),
		repeat("literals with an indentation", "", "- |9-\n           x\n", ""),
		repeat("folded scalars", "", "- >-\n  x\n", ""),
		repeat("empty literals", "", "- |\n", ""),
		repeat("literals of leading blanks", "- |\n", strings.Repeat(" ", 500)+"\n", "  x\n"),
		repeat("quoted elements", "", "- ''\n", ""),
		repeat("double-quoted elements", "", "- \"\\n\"\n", ""),
		repeat("quoted elements on two lines", "", "- 'a\n  b'\n", ""),
		repeat("plain elements on two lines", "", "- a\n  b\n", ""),
	}
}

func commentConstructs() []construct {
	return []construct{
		repeat("comments", "- a\n", "# x\n", ""),
		repeat("empty comments", "- a\n", "#\n", ""),
		repeat("one comment", "- a\n#", "x", "\n"),
		repeat("comments first", "", "# x\n", "- a\n"),
		repeat("comments behind elements", "", "- a # x\n", ""),
		repeat("comments below elements", "", "- a\n# x\n", ""),
		repeat("comments with blank lines", "- a\n", "# x\n\n", "- b\n"),
		repeat("indented comments", "- a\n", "  # x\n", "- b\n"),
		repeat("comments at all depths", "- a:\n    b:\n      c: d\n", "      # x\n    # y\n  # z\n", "- b\n"),
		repeat("comments in a flow list", "- [", "a, # x\n  ", "]\n"),
		repeat("comments below in a flow list", "- [", "a,\n  # x\n  ", "]\n"),
		repeat("comments before the end of a flow list", "- [a,\n", "  # x\n", "  ]\n"),
		repeat("comments behind keys", "- ", "k%d: # x\n    v\n  ", "\n"),
		repeat("comments behind dashes", "", "- # x\n  a\n", ""),
		repeat("comments behind empty elements", "", "- # x\n", ""),
		repeat("comments behind literals", "", "- | # x\n  a\n", ""),
		repeat("comments behind document marks", "- a\n", "--- # x\n", ""),
		repeat("comments of commas", "- a\n", "# ,,,,,,,,,,,,,,,,\n", ""),
		repeat("comments of brackets", "- a\n", "# [[[[{{{{[[[[\n", ""),
		repeat("comments of commented-out roles", "- a\n", "# - rolearn: "+role+"a\n#   username: a\n", ""),
		repeat("long comments behind elements", "", "- a #"+strings.Repeat("x", 500)+"\n", ""),
		repeat("comments between anchor and value", "", "- &a # x\n  b\n", ""),
		repeat("comments before dedents", "", "- a:\n    - b\n    # x\n", ""),
		stairs("stairs of comments", "# x\n", 1400),
		stairs("stairs of keys with comments", "a: # x\n", 1400),
	}
}

func keyConstructs() []construct {
	return []construct{
		repeat("an element of many keys", "- rolearn: x\n", "  k%d: 1\n", ""),
		repeat("an element of one key, many times", "- rolearn: x\n", "  username: 1\n", ""),
		repeat("an element of one list, many times", "- rolearn: x\n", "  groups: [a]\n", ""),
		repeat("an element of keys in capitals", "- rolearn: x\n", "  USERNAME: u\n", ""),
		repeat("an element of long keys", "- rolearn: x\n", "  "+strings.Repeat("k", 1000)+"%d: 1\n", ""),
		repeat("an element of number keys", "- rolearn: x\n", "  %d: 1\n", ""),
		repeat("an element of float keys", "- rolearn: x\n", "  %d.5: 1\n", ""),
		repeat("an element of misspelt keys", "- rolearn: x\n", "  usernam%d: 1\n", ""),
		repeat("null keys", "", "- ~: a\n", ""),
		repeat("list keys", "", "- [a]: b\n", ""),
		repeat("map keys", "", "- {a: b}: c\n", ""),
		repeat("one list key", "- ? [", "a,", "]\n  : b\n"),
		repeat("one list key of lists", "- ? [", "[],", "]\n  : b\n"),
		repeat("unsupported keys with a long value", "- ~: [", "a,", "]\n"),
		repeat("one long key", "- ? ", "k", "\n  : b\n"),
	}
}

func valueConstructs() []construct {
	return []construct{
		repeat("one number", "- ", "9", "\n"),
		repeat("one octal number", "- 0", "7", "\n"),
		repeat("one hexadecimal number", "- 0x", "f", "\n"),
		repeat("one binary number", "- 0b", "1", "\n"),
		repeat("one number of underscores", "- 1", "_", "\n"),
		repeat("one float", "- 1.", "9", "\n"),
		repeat("one exponent", "- 1e", "9", "\n"),
		repeat("one negative exponent", "- 1e-", "9", "\n"),
		repeat("one sexagesimal number", "- 1", ":00", "\n"),
		repeat("one timestamp", "- 2001-01-01T00:00:00.", "0", "Z\n"),
		repeat("numbers", "", "- 1\n", ""),
		repeat("account numbers", "", "- 111122223333\n", ""),
		repeat("quoted accounts", "", "- \"111122223333\"\n", ""),
		repeat("floats", "", "- 1.5\n", ""),
		repeat("long floats", "", "- 1."+strings.Repeat("9", 800)+"e-300\n", ""),
		repeat("infinities", "", "- .inf\n", ""),
		repeat("booleans", "", "- y\n", ""),
		repeat("nulls", "", "- ~\n", ""),
		repeat("timestamps", "", "- 2001-01-01\n", ""),
		repeat("integers that are none", "", "- !!int a\n", ""),
		repeat("floats of numbers", "", "- !!float 1\n", ""),
		repeat("groups of numbers", "- rolearn: x\n  groups: [", "5,", "]\n"),
		repeat("groups", "- rolearn: "+role+"a\n  groups: [", "g%d,", "]\n"),
		repeat("groups on lines", "- rolearn: "+role+"a\n  groups:\n", "  - g%d\n", ""),
	}
}

func jsonConstructs() []construct {
	return []construct{
		nested("nested JSON lists", `{"a":`, "[", "", "]"),
		nested("nested JSON objects", "", `{"a":`, "1", "}"),
		repeat("open JSON objects", "", `{"a":`, ""),
		repeat("open JSON lists", `{"a":`, "[", ""),
		repeat("JSON list", `{"a":[`, "0,", "0]}"),
		repeat("JSON list of lists", `{"a":[`, "[],", "0]}"),
		repeat("JSON list of objects", `{"a":[`, "{},", "0]}"),
		repeat("JSON keys", "{", `"k%d":0,`, `"a":0}`),
		repeat("one JSON number", `{"a":`, "9", "}"),
		repeat("one JSON text of escapes", `{"a":"`, `\u0041`, `"}`),
		repeat("JSON list of roles", "[", `{"rolearn":"`+role+`a%d","username":"a","groups":["a"]},`, "{}]"),
		repeat("JSON list of numbers", "[", "0,", "0]"),
		repeat("JSON list of JSON lists", "[", "[],", "0]"),
		repeat("JSON list of JSON objects", "[", "{},", "0]"),
	}
}

func brokenConstructs() []construct {
	return []construct{
		repeat("tabs", "", "\t", ""),
		repeat("tabs as indentation", "- a:\n", "\tb: c\n", ""),
		repeat("tabs between", "", "-\ta\n", ""),
		repeat("null characters", "", "\x00", ""),
		repeat("invalid UTF-8", "", "\xff", ""),
		repeat("replacement characters", "- ", "\ufffd", "\n"),
		repeat("byte order marks", "", "\ufeff", ""),
		repeat("byte order marks before elements", "", "\ufeff- a\n", ""),
		repeat("UTF-16", "\xff\xfe", "-\x00 \x00a\x00\n\x00", ""),
		repeat("UTF-16 of flow lists", "\xff\xfe[\x00", "a\x00,\x00", "]\x00"),
		repeat("UTF-16 of directives", "\xff\xfe", "%\x00T\x00A\x00G\x00 \x00!\x00%d\x00!\x00 \x00x\x00\n\x00", ""),
		repeat("UTF-16, big-endian, of dashes", "\xfe\xff", "\x00-\x00\n", ""),
		repeat("two-byte letters", "- ", "é", "\n"),
		repeat("four-byte letters", "- ", "😀", "\n"),
		repeat("dashes", "", "-", "\n"),
		repeat("question marks", "", "?", "\n"),
		repeat("colons", "", ":", "\n"),
		repeat("commas", "", ",", "\n"),
		repeat("closing brackets", "", "]", "\n"),
		repeat("quotes", "", `"`, "\n"),
		repeat("single quotes", "", "'", "\n"),
		repeat("percent signs", "", "%", "\n"),
		repeat("at signs", "", "@", "\n"),
		repeat("bars", "", "|", "\n"),
		repeat("bars on lines", "", "|\n", ""),
		repeat("templates without quotes", "", "- username: {{SessionName}}\n", ""),
		repeat("elements of two indentations", "  - a\n", "- b\n", ""),
		repeat("text behind a list", "- a\n", "b\n", ""),
	}
}

func entryConstructs() []construct {
	return []construct{
		repeat("roles", "", "- rolearn: "+role+"a%d\n  username: a\n  groups:\n  - system:masters\n", ""),
		repeat("short roles", "", "- rolearn: x%d\n", ""),
		repeat("roles of one ARN", "", "- rolearn: "+role+"a\n  username: a%d\n", ""),
		repeat("roles of one ARN, random case", "", "- userarn: "+role+"a\n  rolearn: "+role+"A\n  username: a%d\n", ""),
		filled("roles of one ARN, in every case", "", func(i int) string {
			var name strings.Builder
			for bit := range 16 { // the letters s and long s differ as keys of a map, but a comparison without case treats them as equal
				name.WriteString([]string{"s", "\u017f"}[i>>bit&1])
			}
			return fmt.Sprintf("- rolearn: %s%s\n  username: a%d\n", role, &name, i)
		}, ""),
		repeat("short roles in flow maps", "", "- {rolearn: a}\n", ""),
		repeat("roles with faults", "", "- rolearn: "+role+"p/a%d\n  usernam: a\n  groups: system:masters\n", ""),
		repeat("roles of wrong types", "", "- rolearn: 1\n  username: 2\n  groups: 3\n", ""),
		repeat("sso elements", "", "- sso: {permissionSetName: a, accountID: \"111122223333\"}\n", ""),
		repeat("roles with templates", "", "- rolearn: "+role+"a%d\n  username: \"{{a}}\"\n", ""),
		repeat("nodes", "", "- rolearn: "+role+"a%d\n  username: system:node:{{EC2PrivateDNSName}}\n  groups: [system:nodes, system:bootstrappers]\n", ""),
	}
}
