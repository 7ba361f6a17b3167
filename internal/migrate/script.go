package migrate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf16"

	"github.com/awsauth-guard/awsauth-guard/internal/textutil"
)

// scriptFunctions are the bash functions of the script. An access entry wins over aws-auth as soon as it exists, but gives less access
// until its access policies are associated. So if the script ends before it has associated them, it deletes the access entry. The
// script ignores signals during the call that creates an access entry. If a signal ended the script during this call, the script would
// not know whether it created the access entry or found an existing one.
const scriptFunctions = `
# unfinished is the principal whose access entry has not all of its access policies.
unfinished=
clean_up() {
  trap '' HUP INT TERM
  if [[ -n $unfinished ]]; then
    printf 'error: the access policy of %s failed, so its access entry is deleted again\n' "$unfinished" >&2
    eks delete-access-entry --cluster-name "$cluster" --principal-arn "$unfinished"
  fi
}
trap clean_up EXIT

# create PRINCIPAL ENTRY [POLICY...] creates an access entry and gives it its access policies.
# It leaves an access entry that exists as it is; kubectl awsauth migrate verify compares it with aws-auth.
create() {
  local principal=$1 entry=$2 policy answer
  shift 2
  trap '' HUP INT TERM
  if answer=$(eks create-access-entry --cluster-name "$cluster" --principal-arn "$principal" --cli-input-json "$entry" 2>&1); then
    unfinished=$principal
    printf 'created %s\n' "$principal"
  elif [[ $answer == *ResourceInUseException* ]]; then
    trap - HUP INT TERM
    printf 'exists  %s\n' "$principal"
    return
  else
    printf 'error: creating the access entry of %s: %s\n' "$principal" "$answer" >&2
    exit 1
  fi
  trap 'exit 1' HUP INT TERM
  for policy in "$@"; do
    associate "$principal" "$policy" || exit 1
  done
  unfinished=
  trap - HUP INT TERM
}

# associate PRINCIPAL POLICY gives an access entry an access policy. EKS may not find a new access entry for some seconds.
associate() {
  local attempt answer
  for attempt in 1 2 3 4 5; do
    if answer=$(eks associate-access-policy --cluster-name "$cluster" --principal-arn "$1" --cli-input-json "$2" 2>&1); then
      return 0
    fi
    [[ $answer == *ResourceNotFoundException* && $attempt -lt 5 ]] || break
    sleep 3
  done
  printf 'error: %s\n' "$answer" >&2
  return 1
}
`

// script returns a bash script that creates the access entries with the AWS CLI.
func (w *writer) script() []byte {
	var b bytes.Buffer
	b.WriteString("#!/usr/bin/env bash\n" + w.header() + "# The script stops at the first error, and can be run again.\nset -euo pipefail\n\n")
	if w.Cluster == "" {
		b.WriteString("cluster=${CLUSTER:?set CLUSTER to the name of the EKS cluster}\n")
	} else {
		fmt.Fprintf(&b, "cluster=%s\n", textutil.ShellQuote(w.Cluster))
	}
	region := ""
	if w.Region != "" {
		region = " --region " + textutil.ShellQuote(w.Region)
	}
	fmt.Fprintf(&b, "eks() { aws eks \"$@\"%s; }\n%s", region, scriptFunctions)
	for _, m := range w.moves {
		username, groups := m.fields()
		fmt.Fprintf(&b, "\ncreate %s \\\n  %s", textutil.ShellQuote(m.PrincipalARN), textutil.ShellQuote(asciiJSON(scriptEntry{m.Type, username, groups})))
		for _, p := range m.Policies {
			fmt.Fprintf(&b, " \\\n  %s", textutil.ShellQuote(asciiJSON(p)))
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// scriptEntry is the JSON input of aws eks create-access-entry. The AWS CLI replaces an argument that begins with file:// by the
// content of a file. It doesn't do so for a value in JSON, so the script passes JSON.
type scriptEntry struct {
	Type     string   `json:"type"`
	Username string   `json:"username,omitempty"`
	Groups   []string `json:"kubernetesGroups,omitempty"`
}

// asciiJSON returns a value as JSON. It escapes all characters that are not ASCII, so that the user's locale has no effect.
func asciiJSON(v any) string {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		panic(err) // the values consist of texts
	}
	var escaped strings.Builder
	for _, r := range strings.TrimSuffix(b.String(), "\n") {
		if r < 0x7f {
			escaped.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&escaped, `\u%04x`, unit)
		}
	}
	return escaped.String()
}
