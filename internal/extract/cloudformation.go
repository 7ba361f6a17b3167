package extract

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// isCloudFormation reports whether a document is a CloudFormation template. cdk synth writes such a template.
func isCloudFormation(document map[string]any) bool {
	if document["AWSTemplateFormatVersion"] != nil {
		return true
	}
	resources, _ := document["Resources"].(map[string]any)
	for _, resource := range resources {
		fields, _ := resource.(map[string]any)
		if strings.Contains(text(fields, "Type"), "::") {
			return true
		}
	}
	return false
}

// cloudFormationJoin reports whether a value is a call of Fn::Join or Fn::Sub in a CloudFormation template. If so, it
// evaluates the call, and searches the resulting text for an aws-auth. A call is a mapping such as {Fn::Join: …}, or in
// YAML a value with a tag such as !Join. cdk synth writes such a call for the class AwsAuth of the CDK, as
// Properties.Manifest of Custom::AWSCDK-EKS-KubernetesResource.
func (w *walker) cloudFormationJoin(path awsauth.Path, value any) bool {
	if w.tool != cloudFormation {
		return false
	}
	var made string
	var unknown []string
	switch function := w.function(path, value); {
	case function.join != nil:
		made, unknown = w.join(function.path, function.join)
	case function.substitute != nil:
		made, unknown = substitute(function.substitute)
	default:
		return false
	}
	made = withPartition(made)
	switch {
	case !namePattern.MatchString(made) && !listPattern.MatchString(made):
	case len(unknown) > 0:
		w.unrendered(path, "%s makes this aws-auth with %s, which CloudFormation knows only at deployment; deploy to a test cluster, and lint the live object: kubectl awsauth lint --context TEST",
			w.kind, enumerate(unknown))
	default:
		w.made(path, made)
	}
	return true
}

// function is a call of Fn::Join or Fn::Sub. One of join and substitute is the argument of the call, and the other is
// nil. Both are nil for a value that is no such call. path is the path of the argument of Fn::Join.
type function struct {
	path             awsauth.Path
	join, substitute any
}

func (w *walker) function(path awsauth.Path, value any) function {
	if object, ok := value.(map[string]any); ok {
		if len(object) == 1 && object["Fn::Join"] != nil {
			return function{path: path.To("Fn::Join"), join: object["Fn::Join"]}
		}
		if len(object) == 1 && object["Fn::Sub"] != nil {
			return function{substitute: object["Fn::Sub"]}
		}
		return function{}
	}
	if !concerns.MatchString(fmt.Sprint(value)) { // such a text has no aws-auth, and finding its tag takes time
		return function{}
	}
	switch w.source.Tag(path) {
	case "!Join":
		return function{path: path, join: value}
	case "!Sub":
		return function{substitute: value}
	}
	return function{}
}

// made searches the text that results from a call of a CloudFormation function. path is the path of the call. Findings
// in the text get the position of the call.
func (w *walker) made(path awsauth.Path, value string) {
	sources, errs := w.source.ReadMade(path, value)
	if len(errs) > 0 {
		w.unrendered(path, "the text that %s makes here names an aws-auth and does not parse as manifests: %w", w.kind, errs[0])
		return
	}
	_ = w.inside(sources)
}

// join evaluates Fn::Join. unknown names the arguments whose values CloudFormation knows only at deployment.
func (w *walker) join(path awsauth.Path, arguments any) (made string, unknown []string) {
	list, _ := arguments.([]any)
	if len(list) != 2 {
		return "", nil
	}
	separator, _ := list[0].(string)
	parts, _ := list[1].([]any)
	texts := make([]string, len(parts))
	for i, part := range parts {
		tag := w.source.Tag(path.To(1, i))
		text, isText := part.(string)
		object, _ := part.(map[string]any)
		switch {
		case object["Ref"] == "AWS::Partition", tag == "!Ref" && text == "AWS::Partition":
			texts[i] = partitionVariable
		case isText && (tag == "!Sub" || strings.HasPrefix(tag, "!!") || tag == ""):
			texts[i] = text
			if tag == "!Sub" {
				var more []string
				texts[i], more = substitute(text)
				unknown = append(unknown, more...)
			}
		case isText:
			unknown = append(unknown, text)
		default:
			unknown = append(unknown, reference(object))
		}
	}
	return strings.Join(texts, separator), unknown
}

// partitionVariable is the variable for the partition of the deployment in the text of Fn::Sub.
const partitionVariable = "${AWS::Partition}"

// literalPartition matches the beginning of an ARN with a partition that a template names.
var literalPartition = regexp.MustCompile(`\barn:(aws[a-z-]*):`)

// withPartition returns a text with a partition in place of partitionVariable. CloudFormation knows the partition only at
// deployment. A cluster admits principals of only one partition, so withPartition takes the partition of the first ARN that
// names one. If the text has no such ARN, it takes aws.
func withPartition(text string) string {
	partition := "aws"
	if literal := literalPartition.FindStringSubmatch(text); literal != nil {
		partition = literal[1]
	}
	return strings.ReplaceAll(text, partitionVariable, partition)
}

// substitute evaluates Fn::Sub, but leaves partitionVariable in the text. unknown lists the other variables in the text.
func substitute(arguments any) (made string, unknown []string) {
	if list, ok := arguments.([]any); ok && len(list) > 0 {
		arguments = list[0]
	}
	made, _ = arguments.(string)
	for rest := strings.ReplaceAll(made, partitionVariable, ""); ; {
		_, after, ok := strings.Cut(rest, "${")
		if !ok {
			return made, unknown
		}
		var name string
		name, rest, _ = strings.Cut(after, "}")
		unknown = append(unknown, name)
	}
}

// reference returns the name of the value to which a call refers. For {Fn::GetAtt: [NodeRole, Arn]} this is
// NodeRole.Arn.
func reference(function map[string]any) string {
	for name, value := range function {
		switch value := value.(type) {
		case string:
			return value
		case []any:
			var parts []string
			for _, part := range value {
				parts = append(parts, fmt.Sprint(part))
			}
			return strings.Join(parts, ".")
		}
		return name
	}
	return "a function"
}

// enumerate returns the first three names, and the number of the others.
func enumerate(names []string) string {
	if len(names) > 3 {
		return fmt.Sprintf("%s and %d other values", strings.Join(names[:3], ", "), len(names)-3)
	}
	return strings.Join(names, ", ")
}
