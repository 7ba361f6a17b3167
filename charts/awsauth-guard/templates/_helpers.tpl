{{- define "awsauth-guard.name" -}}
{{- default .Chart.Name .Values.nameOverride }}
{{- end }}

{{- /* A Service's name has at most 63 characters; 13 are left for the suffixes of other objects' names. A
release's name may have dots, and a Service's may not; validate.yaml refuses a name that begins with a digit. */}}
{{- define "awsauth-guard.fullname" -}}
{{- $name := include "awsauth-guard.name" . }}
{{- if .Values.fullnameOverride }}
{{- $name = .Values.fullnameOverride }}
{{- else if not (contains $name .Release.Name) }}
{{- $name = printf "%s-%s" .Release.Name $name }}
{{- else }}
{{- $name = .Release.Name }}
{{- end }}
{{- $name | replace "." "-" | trunc 50 | trimAll "-" }}
{{- end }}

{{- define "awsauth-guard.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "awsauth-guard.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name: is empty; with serviceAccount.create=false write the name of an existing ServiceAccount" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- /* The Secret with the CAs and the Lease of those who write it. */}}
{{- define "awsauth-guard.caName" -}}
{{ include "awsauth-guard.fullname" . }}-ca
{{- end }}

{{- /* The Secret that is mounted. */}}
{{- define "awsauth-guard.certSecretName" -}}
{{- if eq .Values.certs.mode "secret" }}
{{- .Values.certs.secret.name }}
{{- else }}
{{- include "awsauth-guard.fullname" . }}-tls
{{- end }}
{{- end }}

{{- define "awsauth-guard.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{- /* The component keeps the Service and the rest away from the pod of `helm test`. A Deployment's selector cannot be
changed, so that no value has a part in it; an alias in a parent chart does. */}}
{{- define "awsauth-guard.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: webhook
{{- end }}

{{- /* (dict "root" $ "labels" LABELS "selected" SELECTOR): a user's label never takes the place of one that something
selects by. */}}
{{- define "awsauth-guard.labels" -}}
{{- $own := dict
  "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-")
  "app.kubernetes.io/version" (.root.Chart.AppVersion | replace "+" "_")
  "app.kubernetes.io/managed-by" .root.Release.Service }}
{{- merge dict (.selected | default (include "awsauth-guard.selectorLabels" .root | fromYaml)) (.labels | default dict) $own .root.Values.commonLabels | toYaml }}
{{- end }}

{{- /* (dict "root" $ "annotations" ANNOTATIONS) */}}
{{- define "awsauth-guard.annotations" -}}
{{- with merge dict (.annotations | default dict) .root.Values.commonAnnotations -}}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* (dict "root" $ "name" NAME "annotations" … "labels" …); without a namespace for objects of the cluster. Here
and everywhere names are quoted: on and 123 are names, and neither is text in YAML. */}}
{{- define "awsauth-guard.metadata" -}}
name: {{ default (include "awsauth-guard.fullname" .root) .name | quote }}
{{- if not .cluster }}
namespace: {{ default .root.Release.Namespace .namespace | quote }}
{{- end }}
labels:
  {{- include "awsauth-guard.labels" . | nindent 2 }}
{{- with include "awsauth-guard.annotations" . }}
{{ . }}
{{- end }}
{{- end }}

{{- /* What every process of the chart may do to its node and itself: the profile "restricted". */}}
{{- define "awsauth-guard.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}
{{- define "awsauth-guard.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- /* The GuardConfig file. A severity that was written as off, without quotes, is false in Helm's YAML. Fields that the
values lack, as with --reuse-values from an older chart, are left to the guard's defaults. */}}
{{- define "awsauth-guard.guardConfig" -}}
{{- $config := deepCopy .Values.guardConfig }}
{{- range $rule, $severity := $config.rules }}
{{- if kindIs "bool" $severity }}
{{- $_ := set $config.rules $rule "off" }}
{{- end }}
{{- end }}
{{- if kindIs "bool" (dig "iam" "mode" "" $config) }}
{{- $_ := set $config.iam "mode" "off" }}
{{- end }}
{{- merge (dict "apiVersion" "awsauth-guard.io/v1alpha1" "kind" "GuardConfig") $config | toYaml }}
{{- end }}

{{- /* request.name is absent where a collection is deleted, and oldObject where something is created. A condition
that errs refuses other ConfigMaps, too, where failurePolicy is Fail. */}}
{{- define "awsauth-guard.isAWSAuth" -}}
(has(request.name) ? request.name : oldObject != null ? oldObject.metadata.name : "") == "aws-auth"
{{- end }}
{{- define "awsauth-guard.isEKS" -}}
(has(request.userInfo.username) && request.userInfo.username.startsWith("eks:"))
{{- end }}
{{- define "awsauth-guard.isBypass" -}}
(has(request.userInfo.groups) && {{ .Values.bypass.group | quote }} in request.userInfo.groups)
{{- end }}

{{- /* The match conditions of the enforcing webhook: aws-auth, unless EKS or a member of the bypass group writes it. */}}
{{- define "awsauth-guard.enforceConditions" -}}
- name: is-aws-auth
  expression: '{{ include "awsauth-guard.isAWSAuth" . }}'
- name: not-eks
  expression: '!{{ include "awsauth-guard.isEKS" . }}'
- name: not-bypass
  expression: '!{{ include "awsauth-guard.isBypass" . }}'
{{- end }}

{{- /* The writes that are of interest; other ConfigMaps are told apart by matchConditions. */}}
{{- define "awsauth-guard.rules" -}}
- apiGroups: [""]
  apiVersions: [v1]
  resources: [configmaps]
  scope: Namespaced
  operations: [CREATE, UPDATE, DELETE]
{{- end }}
{{- define "awsauth-guard.namespaceSelector" -}}
matchLabels:
  kubernetes.io/metadata.name: kube-system
{{- end }}

{{- /* An ARN without the path of a role. The path of a user may look like a role. */}}
{{- define "awsauth-guard.withoutPath" -}}
{{- regexReplaceAll "^([^:]*:[^:]*:[^:]*:[^:]*:[^:]*:role/).*/" . "${1}" }}
{{- end }}

{{- /* The same as the guard's key of a principal: a role's path does not count, nor does case. */}}
{{- define "awsauth-guard.principalKey" -}}
{{- include "awsauth-guard.withoutPath" . | lower }}
{{- end }}

{{- /* (dict "at" FIELD "group" GROUP) fails for a name that the guard would not have, or that cannot stand in the YAML of
the backstop. The schema does not know every kind of white space. */}}
{{- define "awsauth-guard.checkGroup" -}}
{{- if ne .group (trim .group) }}
{{- fail (printf "%s: %q has white space at an end" .at .group) }}
{{- end }}
{{- if regexMatch "[\\p{Cc}\\x{feff}\\x{fffe}\\x{ffff}]" .group }}
{{- fail (printf "%s: %q has a character that no text shows" .at .group) }}
{{- end }}
{{- end }}

{{- /* (dict "at" FIELD "map" MAP) fails for labels and annotations that Helm and the guard themselves use: with
helm.sh/resource-policy: keep, helm uninstall would leave a webhook without a backend. */}}
{{- define "awsauth-guard.checkMetadata" -}}
{{- range $key, $_ := .map }}
{{- if regexMatch "^([^/]*[.])?(helm[.]sh|awsauth-guard[.]io)/" $key }}
{{- fail (printf "%s: %q is for Helm and the guard itself; leave it out" $.at $key) }}
{{- end }}
{{- end }}
{{- end }}

{{- /* The keys of the access entries, as the backstop looks for them: to find one in a list costs by its length. */}}
{{- define "awsauth-guard.backstopEntries" -}}
{{- $entries := dict }}
{{- range .Values.guardConfig.accessEntries }}
{{- $_ := set $entries (include "awsauth-guard.principalKey" .) true }}
{{- end }}
{{- toJson $entries }}
{{- end }}

{{- /* The protected principals that no access entry lets in, as the backstop looks for them. */}}
{{- define "awsauth-guard.backstopProtected" -}}
{{- $entries := list }}
{{- range .Values.guardConfig.accessEntries }}
{{- $entries = append $entries (include "awsauth-guard.principalKey" .) }}
{{- end }}
{{- $protected := list }}
{{- range .Values.guardConfig.protected }}
{{- if not (has (include "awsauth-guard.principalKey" .arn) $entries) }}
{{- $protected = append $protected (lower .arn) }}
{{- end }}
{{- end }}
{{- toJson $protected }}
{{- end }}

{{- /* The rules that the backstop holds: those of its own that would deny. */}}
{{- define "awsauth-guard.backstopRules" -}}
{{- $rules := list }}
{{- $possible := list "deleted" "immutable" "emptied" }}
{{- if include "awsauth-guard.backstopProtected" . | fromJsonArray }}
{{- $possible = append $possible "protected-principal" }}
{{- end }}
{{- range $possible }}
{{- if eq "deny" (toString (dig . "deny" $.Values.guardConfig.rules)) }}
{{- $rules = append $rules . }}
{{- end }}
{{- end }}
{{- toJson $rules }}
{{- end }}
{{- define "awsauth-guard.backstop" -}}
{{- $wanted := .Values.backstop.enabled }}
{{- if eq "auto" (toString $wanted) }}
{{- $wanted = eq .Values.webhook.failurePolicy "Ignore" }}
{{- end }}
{{- if and $wanted (include "awsauth-guard.backstopRules" . | fromJsonArray) }}true{{ end }}
{{- end }}
