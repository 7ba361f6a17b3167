package generate

import (
	"math/rand/v2"
	"slices"
	"strings"
)

// Edit changes the content of a model. The edit can be harmless or harmful.
type Edit struct {
	Name  string
	apply func(r *rand.Rand, m *Model)
}

// Apply edits a model.
func (e Edit) Apply(r *rand.Rand, m *Model) { e.apply(r, m) }

// Edits returns every edit.
func Edits() []Edit {
	return []Edit{
		// These edits take no access away.
		{"add-role", func(r *rand.Rand, m *Model) { m.Roles = insert(r, m.Roles, pick(r, roles()), false) }},
		{"add-user", func(r *rand.Rand, m *Model) { m.Users = insert(r, m.Users, pick(r, users()), false) }},
		{"add-account", func(_ *rand.Rand, m *Model) { m.Accounts = append(m.Accounts, "444455556666") }},
		{"add-group", onEntry(func(_ *rand.Rand, e *Entry) { e.Groups = append(e.Groups, "extra") })},
		{"authenticated-group", onEntry(func(_ *rand.Rand, e *Entry) { e.Groups = append(e.Groups, authenticated) })},
		{"reorder", reorder},
		{"userid", onEntry(func(_ *rand.Rand, e *Entry) { e.UserID = "AROA0123456789ABCDEFG" })},
		{"arn-case", onEntry(func(r *rand.Rand, e *Entry) { e.ARN = changeCase(r, e.ARN) })},
		{"copy", onList(func(r *rand.Rand, list []Entry) []Entry { return insert(r, list, pick(r, list), true) })},
		{"superset-copy", onList(func(r *rand.Rand, list []Entry) []Entry {
			more := pick(r, list)
			more.Groups = append(slices.Clone(more.Groups), pick(r, []string{"extra", "eks:kube-proxy-windows", "team:{{AccountID}}"}))
			if r.IntN(4) == 0 {
				more.ARN = changeCase(r, more.ARN)
			}
			return append(list, more)
		})},
		{"add-sso", func(r *rand.Rand, m *Model) {
			m.Roles = insert(r, m.Roles, Entry{ARN: accountA, PermissionSet: pick(r, []string{"AdministratorAccess", "ReadOnly"}), Username: "sso", Groups: []string{"readers"}}, true)
		}},
		{"add-special-username", func(r *rand.Rand, m *Model) {
			m.Users = insert(r, m.Users, Entry{ARN: "arn:aws:iam::" + accountA + ":user/service", Username: pick(r, []string{"y", "on", "0123", "1e3", "0x10", "~", "12:30:45", "2019-01-01", ".inf"}), Groups: []string{"readers"}}, true)
		}},
		// Most of these edits can take access away or add a fault.
		{"remove", onList(func(r *rand.Rand, list []Entry) []Entry {
			at := r.IntN(len(list))
			return slices.Delete(list, at, at+1)
		})},
		{"rename", onEntry(func(_ *rand.Rand, e *Entry) { e.ARN = strings.Replace(e.ARN, "/", "/v2-", 1) })},
		{"other-account", onEntry(func(_ *rand.Rand, e *Entry) { e.ARN = strings.Replace(e.ARN, accountA, "111122223334", 1) })},
		{"username", onEntry(func(_ *rand.Rand, e *Entry) { e.Username += "-new" })},
		{"empty-username", onEntry(func(_ *rand.Rand, e *Entry) { e.Username = "" })},
		{"wrong-template", onEntry(wrongTemplate)},
		{"instances-only", onEntry(func(_ *rand.Rand, e *Entry) { e.Username = nodeName })},
		{"superset-copy-before", onList(func(r *rand.Rand, list []Entry) []Entry { // the original entry follows the copy and replaces it, so the principal doesn't get the group
			more := pick(r, list)
			more.Groups = append(slices.Clone(more.Groups), "extra")
			return slices.Insert(list, 0, more)
		})},
		{"no-groups", onEntry(func(_ *rand.Rand, e *Entry) { e.Groups = nil })},
		{"remove-group", onEntry(func(r *rand.Rand, e *Entry) {
			if n := len(e.Groups); n > 0 {
				at := r.IntN(n)
				e.Groups = slices.Delete(e.Groups, at, at+1)
			}
		})},
		{"misspelt-group", onEntry(func(r *rand.Rand, e *Entry) {
			if n := len(e.Groups); n > 0 {
				at := r.IntN(n)
				e.Groups[at] = e.Groups[at][:max(0, len(e.Groups[at])-1)]
			}
		})},
		{"emptier-copy", onList(func(r *rand.Rand, list []Entry) []Entry {
			duplicate := pick(r, list)
			duplicate.Groups = nil
			if r.IntN(2) == 0 {
				duplicate.ARN = changeCase(r, duplicate.ARN)
			}
			return insert(r, list, duplicate, true)
		})},
		{"case-twin", func(r *rand.Rand, m *Model) { // the authenticator keeps both users, and picks one at random
			if len(m.Users) > 0 {
				twin := pick(r, m.Users)
				twin.ARN, twin.Groups = changeCase(r, twin.ARN), pick(r, [][]string{nil, twin.Groups, {masters}, {"readers"}})
				if r.IntN(2) == 0 {
					twin.Username += "-twin"
				}
				m.Users = insert(r, m.Users, twin, true)
			}
		}},
		{"role-path", onEntry(func(r *rand.Rand, e *Entry) {
			e.ARN = strings.Replace(e.ARN, ":role/", pick(r, []string{":role/path/", ":role/aws-reserved/sso.amazonaws.com/eu-west-1/", ":role//"}), 1)
		})},
		{"session-arn", onEntry(func(r *rand.Rand, e *Entry) {
			e.ARN = strings.Replace(strings.Replace(e.ARN, ":iam:", ":sts:", 1), ":role/", ":assumed-role/", 1) + pick(r, []string{"", "/alice", "/i-0123456789abcdef0"})
		})},
		{"broken-arn", onEntry(func(r *rand.Rand, e *Entry) { e.ARN = pick(r, brokenARNs)(e.ARN) })},
		{"other-section", otherSection},
		{"empty-group", onEntry(func(_ *rand.Rand, e *Entry) { e.Groups = append(e.Groups, "") })},
		{"template-group", onEntry(func(r *rand.Rand, e *Entry) {
			e.Groups = append(e.Groups, pick(r, []string{"{{SessionName}}", "team:{{AccountID}}", "{{AccessKeyID}}", "raw:{{SessionNameRaw}}", "{{unknown}}"}))
		})},
		{"instance-group", onEntry(func(_ *rand.Rand, e *Entry) { e.Groups = append(e.Groups, "dns:{{EC2PrivateDNSName}}") })},
		{"bypass-group", onEntry(func(r *rand.Rand, e *Entry) {
			e.Groups = append(e.Groups, pick(r, []string{Bypass, Bypass + "{{SessionName}}", "awsauth-guard:{{SessionName}}", "{{SessionNameRaw}}:bypass", BreakGlass, "platform:{{SessionName}}"}))
		})},
		{"instances-bypass", func(_ *rand.Rand, m *Model) { // gives no caller the bypass group, because no instance's session is named bypass
			for i := range m.Roles {
				if e := &m.Roles[i]; e.Username == nodeName {
					e.Groups = append(slices.Clone(e.Groups), "awsauth-guard:{{SessionName}}")
					return
				}
			}
		}},
		{"other-partition", onEntry(func(_ *rand.Rand, e *Entry) { e.ARN = strings.Replace(e.ARN, "arn:aws:", "arn:aws-cn:", 1) })},
		{"folded-arn", onEntry(func(r *rand.Rand, e *Entry) { e.ARN = foldable(r, e.ARN) })},
		{"folded-twin", onList(func(r *rand.Rand, list []Entry) []Entry {
			twin := pick(r, list)
			twin.ARN = foldable(r, twin.ARN)
			if r.IntN(2) == 0 {
				twin.Groups = []string{"readers"}
			}
			return insert(r, list, twin, true)
		})},
		{"without-node-proxier", onNode(podGroups()[2])},
		{"without-kube-proxy-windows", onNode("eks:kube-proxy-windows")},
		{"without-bootstrappers", onNode("system:bootstrappers")},
		{"drop-section", func(r *rand.Rand, m *Model) {
			switch r.IntN(3) {
			case 0:
				m.Roles = nil
			case 1:
				m.Users = nil
			default:
				m.Accounts = nil
			}
		}},
		{"sso-key", func(r *rand.Rand, m *Model) { // the authenticator stores an sso element under this ARN
			m.Roles = insert(r, m.Roles, Entry{ARN: role("AWSReservedSSO_ReadOnly_*"), Username: "sso", Groups: []string{"readers"}}, true)
			m.Roles = append(m.Roles, Entry{ARN: accountA, PermissionSet: "ReadOnly", Username: "sso", Groups: []string{"readers"}})
		}},
		{"broken-account", func(r *rand.Rand, m *Model) {
			m.Accounts = append(m.Accounts, pick(r, []string{"1111-2222-3333", "*", "12345678901", "arn:aws:iam::111122223333:root"}))
		}},
		{"empty", func(_ *rand.Rand, m *Model) { *m = Model{} }},
	}
}

var brokenARNs = []func(string) string{
	func(arn string) string { return arn + " " },
	func(arn string) string { return arn + "\u200b" },
	func(arn string) string { return "\u00a0" + arn },
	func(arn string) string { return arn + "/" },
	func(arn string) string { return arn + "*" },
	func(arn string) string { return strings.Replace(arn, "iam::", "iam:eu-west-1:", 1) },
	func(arn string) string { return strings.Replace(arn, accountA, "11112222333", 1) },
	func(arn string) string { return strings.Replace(arn, accountA, "${ACCOUNT}", 1) },
	func(arn string) string { return strings.Replace(arn, ":role/", ":instance-profile/", 1) },
	func(arn string) string { return strings.Replace(arn, "arn:aws:", "arn:aws-eu:", 1) },
	func(string) string { return "arn:aws:eks:eu-west-1:111122223333:fargateprofile/demo/pods/0abc" },
	func(string) string { return "AROA0123456789ABCDEFG" },
	func(arn string) string { return strings.Replace(arn, ":role/", "::role/", 1) },
	func(arn string) string { return strings.Replace(arn, "iam::", "iam:", 1) },
	func(arn string) string { return strings.Replace(arn, "/", ":", 1) },
	func(arn string) string { return strings.Replace(arn, "role/", "role/"+arn, 1) },
	func(arn string) string { return strings.Replace(arn, "user/", "user/"+arn, 1) },
	func(arn string) string { return arn + " - system:masters" },
	func(arn string) string { return arn + "," + arn },
	func(arn string) string { return arn + "\u2013x" },
	func(arn string) string { return "\u201c" + arn + "\u201d" },
	func(arn string) string { return strings.Replace(arn, "role/", "ro\u00adle/", 1) },
	func(arn string) string { return strings.Replace(arn, "k", "\u212a", 1) }, // the Kelvin sign, which the authenticator compares as a k
	func(arn string) string { return strings.Replace(arn, "s", "\u017f", 1) }, // the long s
}

// folds maps an ASCII letter to other letters that some, but not all, case-insensitive comparisons treat as equal to it.
var folds = map[string][]string{
	"i": {"\u0130", "\u0131"}, "k": {"\u212a"}, "s": {"\u017f", "\u00df", "\u1e9e", "\u03c2", "\u03c3", "\u03a3"},
}

// foldable replaces an i, k or s of the name in an ARN by one of its folds. It picks the letter at random. If the name doesn't
// have this letter, foldable returns the ARN unchanged.
func foldable(r *rand.Rand, arn string) string {
	start := strings.LastIndexAny(arn, "/:") + 1
	letter := pick(r, []string{"i", "i", "k", "s"})
	var places []int
	for at := start; at < len(arn); at++ {
		if strings.EqualFold(arn[at:at+1], letter) {
			places = append(places, at)
		}
	}
	if len(places) == 0 {
		return arn
	}
	at := pick(r, places)
	return arn[:at] + pick(r, folds[letter]) + arn[at+1:]
}

// onNode returns an edit that removes a group from the first node role that has it.
func onNode(group string) func(*rand.Rand, *Model) {
	return func(_ *rand.Rand, m *Model) {
		for i := range m.Roles {
			if e := &m.Roles[i]; strings.HasPrefix(e.Username, "system:node:") && slices.Contains(e.Groups, group) {
				e.Groups = slices.DeleteFunc(slices.Clone(e.Groups), func(g string) bool { return g == group })
				return
			}
		}
	}
}

// wrongTemplate gives an entry a mistaken form of the username of a node role, such as one with another template.
func wrongTemplate(r *rand.Rand, e *Entry) {
	e.Username = pick(r, []string{
		"system:node:{{EC2PrivateDnsName}}", "system:node:{{ EC2PrivateDNSName }}", "<system:node:{{EC2PrivateDNSName}}>",
		"system:node:{{SessionName}}", "{{EC2PrivateDNSName}}", "system:node:", "{{SessionName}}", "{{SessionNameRaw}}", "system:node:${name}",
	})
}

// insert adds an entry at a random index. If the list has an entry with the same ARN, insert adds the entry only with
// allowDuplicate.
func insert(r *rand.Rand, list []Entry, e Entry, allowDuplicate bool) []Entry {
	if !allowDuplicate && slices.ContainsFunc(list, func(o Entry) bool { return strings.EqualFold(o.ARN, e.ARN) }) {
		return list
	}
	e.Groups = slices.Clone(e.Groups)
	return slices.Insert(list, r.IntN(len(list)+1), e)
}

// onList returns an edit of the list of mapRoles or of mapUsers. It edits only a list that has entries.
func onList(edit func(*rand.Rand, []Entry) []Entry) func(*rand.Rand, *Model) {
	return func(r *rand.Rand, m *Model) {
		list := &m.Roles
		if len(m.Roles) == 0 || len(m.Users) > 0 && r.IntN(3) == 0 {
			list = &m.Users
		}
		if len(*list) > 0 {
			*list = edit(r, *list)
		}
	}
}

// onEntry returns an edit of a random entry of mapRoles or mapUsers.
func onEntry(edit func(*rand.Rand, *Entry)) func(*rand.Rand, *Model) {
	return onList(func(r *rand.Rand, list []Entry) []Entry {
		edit(r, &list[r.IntN(len(list))])
		return list
	})
}

// reorder shuffles the entries of mapRoles and of mapUsers.
func reorder(r *rand.Rand, m *Model) {
	for _, list := range [][]Entry{m.Roles, m.Users} {
		r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	}
}

// otherSection moves the first role to mapUsers. If there are no roles, it moves the first user to mapRoles.
func otherSection(_ *rand.Rand, m *Model) {
	switch {
	case len(m.Roles) > 0:
		m.Users = append(m.Users, m.Roles[0])
		m.Roles = m.Roles[1:]
	case len(m.Users) > 0:
		m.Roles = append(m.Roles, m.Users[0])
		m.Users = m.Users[1:]
	}
}

// changeCase returns an ARN in lower or upper case. It changes the whole ARN, or only the name in it.
func changeCase(r *rand.Rand, arn string) string {
	switch r.IntN(4) {
	case 0:
		return strings.ToLower(arn)
	case 1:
		return strings.ToUpper(arn)
	}
	i := strings.LastIndexAny(arn, "/:") + 1
	if r.IntN(2) == 0 {
		return arn[:i] + strings.ToLower(arn[i:])
	}
	return arn[:i] + strings.ToUpper(arn[i:])
}
