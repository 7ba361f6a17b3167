# METADATA
# title: kube-system/aws-auth
# description: |
#   What a platform engineer writes into a general policy engine: the text parses, the administrator is
#   in it, the ARNs have a shape that can match, and none stands twice. input is an AdmissionReview;
#   data.protected lists the principals that must stay, each with its groups.
package awsauth

# The key of the ARN in an entry, by section.
arn_key := {"mapRoles": "rolearn", "mapUsers": "userarn"}

sections := {"mapRoles", "mapUsers", "mapAccounts"}

# The text of each section that has one. A deletion has no object.
text[section] := value if {
	some section in sections
	value := input.request.object.data[section]
	trim_space(value) != ""
}

list[section] := value if {
	some section, t in text
	yaml.is_valid(t)
	value := yaml.unmarshal(t)
	is_array(value)
}

empty(section) if yaml.unmarshal(text[section]) == null

entries := [{"section": section, "index": i, "arn": arn(section, e), "groups": groups(e)} |
	some section, _ in arn_key
	some i, e in list[section]
]

# The ARN of an element. It is "" if the element has no ARN or is not a mapping.
arn(section, e) := object.get(e, arn_key[section], "") if is_object(e)

else := ""

groups(e) := {g | some g in object.get(e, "groups", [])} if is_object(e)

else := set()

because(rule, message) := {"rule": rule, "message": message}

# 1. The text of each section parses, and it is a list.
deny contains because("parses", sprintf("%s does not parse", [section])) if {
	some section, t in text
	not yaml.is_valid(t)
}

deny contains because("parses", sprintf("%s is not a list", [section])) if {
	some section, t in text
	yaml.is_valid(t)
	not list[section]
	not empty(section)
}

# 2. Every protected principal has an entry with its groups.
deny contains because("admin", sprintf("%s has no entry with the groups %v", [p.arn, p.groups])) if {
	some p in data.protected
	not present(p)
}

present(p) if {
	some e in entries
	lower(e.arn) == lower(p.arn)
	every g in p.groups { g in e.groups }
}

# 3. Every ARN is that of a role without a path, of a user, or of root. AWS documents that an entry
# must leave out the path of a role.
deny contains because("shape", sprintf("%s[%d]: %v is no ARN of a role without a path, or of a user", [e.section, e.index, e.arn])) if {
	some e in entries
	not well_formed(e.arn)
}

well_formed(a) if regex.match(`^arn:aws(-cn|-us-gov)?:iam::[0-9]{12}:(role/[\w+=,.@-]+|user/([\w+=,.@-]+/)*[\w+=,.@-]+|root)$`, a)

# 4. No ARN stands twice. The rule looks for duplicates only if the counts differ. In a large document,
# comparing all pairs would take minutes.
arns := [lower(e.arn) | some e in entries; e.arn != ""]

deny contains because("duplicates", sprintf("%s stands more than once", [a])) if {
	count(arns) > count({a | some a in arns})
	sorted := sort(arns)
	some i, a in sorted
	a == sorted[i + 1]
}
