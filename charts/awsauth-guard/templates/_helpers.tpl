{{- define "awsauth-guard.name" -}}
{{- default .Chart.Name .Values.nameOverride }}
{{- end }}

{{- /* A Service's name has at most 63 characters. This name has at most 50, so that other objects' names can have a suffix. Dots
become dashes, because the name of a release can have dots and the name of a Service can't. validate.yaml refuses a name that begins
with a digit. */}}
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

{{- /* The name of the Secret with the CAs, and of the Lease of the replica that writes the Secret. */}}
{{- define "awsauth-guard.caName" -}}
{{ include "awsauth-guard.fullname" . }}-ca
{{- end }}

{{- /* The name of the Secret that the pods mount. */}}
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

{{- /* The labels by which the Service, the Deployment and other objects select the webhook's pods. The label component excludes the pod
of `helm test`. Kubernetes refuses a change of a Deployment's selector, so the labels depend on no value. They depend only on the
release and on the chart's alias in a parent chart. */}}
{{- define "awsauth-guard.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: webhook
{{- end }}

{{- /* (dict "root" $ "labels" LABELS "selected" SELECTOR): the labels of an object. A user's label never replaces a label of
SELECTOR. */}}
{{- define "awsauth-guard.labels" -}}
{{- $own := dict
  "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-")
  "app.kubernetes.io/version" (.root.Chart.AppVersion | replace "+" "_")
  "app.kubernetes.io/managed-by" .root.Release.Service }}
{{- merge dict (.selected | default (include "awsauth-guard.selectorLabels" .root | fromYaml)) (.labels | default dict) $own .root.Values.commonLabels | toYaml }}
{{- end }}

{{- /* (dict "root" $ "annotations" ANNOTATIONS): the annotations of an object, together with commonAnnotations. */}}
{{- define "awsauth-guard.annotations" -}}
{{- with merge dict (.annotations | default dict) .root.Values.commonAnnotations -}}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* (dict "root" $ "name" NAME "namespace" NAMESPACE "cluster" true …): the metadata of an object. Without NAME the object has the name
awsauth-guard.fullname, and without NAMESPACE the namespace of the release. With "cluster" true it has no namespace. labels, selected
and annotations are those of the two templates above. All of the chart's templates quote names, because YAML doesn't read names such as
on and 123 as text. */}}
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

{{- /* The securityContext of the chart's pods, and below that of their containers. They meet the Pod Security Standard "restricted". */}}
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

{{- /* The GuardConfig file. Helm's YAML reads the severity off, without quotes, as false. After an upgrade with --reuse-values, the values
don't have the fields that are new in the chart. For these fields the guard uses its defaults. */}}
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

{{- /* The expression that is true for requests about aws-auth. request.name is absent if a client deletes a collection, and oldObject is
null if a client creates an object. The expression must not fail: with failurePolicy Fail, an error would refuse changes of other
ConfigMaps, too. */}}
{{- define "awsauth-guard.isAWSAuth" -}}
(has(request.name) ? request.name : oldObject != null ? oldObject.metadata.name : "") == "aws-auth"
{{- end }}
{{- define "awsauth-guard.isEKS" -}}
(has(request.userInfo.username) && request.userInfo.username.startsWith("eks:"))
{{- end }}
{{- define "awsauth-guard.isBypass" -}}
(has(request.userInfo.groups) && {{ .Values.bypass.group | quote }} in request.userInfo.groups)
{{- end }}

{{- /* The match conditions of the enforcing webhook. They select requests about aws-auth, but not those of EKS and of the bypass
group. */}}
{{- define "awsauth-guard.enforceConditions" -}}
- name: is-aws-auth
  expression: '{{ include "awsauth-guard.isAWSAuth" . }}'
- name: not-eks
  expression: '!{{ include "awsauth-guard.isEKS" . }}'
- name: not-bypass
  expression: '!{{ include "awsauth-guard.isBypass" . }}'
{{- end }}

{{- /* The rules of the webhooks: all writes of ConfigMaps in a namespace. matchConditions select the writes of aws-auth. */}}
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

{{- /* The key of a principal, as the guard computes it: the ARN in lower case, without the path of a role. */}}
{{- define "awsauth-guard.principalKey" -}}
{{- include "awsauth-guard.withoutPath" . | lower }}
{{- end }}

{{- /* (dict "at" FIELD "group" GROUP): fails if the guard would refuse the name of the group, or if the YAML of the backstop can't
contain the name. The schema can't check this, because its patterns don't know every kind of white space. */}}
{{- define "awsauth-guard.checkGroup" -}}
{{- if ne .group (trim .group) }}
{{- fail (printf "%s: %q has white space at an end" .at .group) }}
{{- end }}
{{- if regexMatch "[\\p{Cc}\\x{feff}\\x{fffe}\\x{ffff}]" .group }}
{{- fail (printf "%s: %q has a character that no text shows" .at .group) }}
{{- end }}
{{- end }}

{{- /* (dict "at" FIELD "map" MAP): fails if MAP has labels or annotations that Helm or the guard use themselves. For example, with
helm.sh/resource-policy: keep, helm uninstall would leave a webhook without pods. */}}
{{- define "awsauth-guard.checkMetadata" -}}
{{- range $key, $_ := .map }}
{{- if regexMatch "^([^/]*[.])?(helm[.]sh|awsauth-guard[.]io)/" $key }}
{{- fail (printf "%s: %q is for Helm and the guard itself; leave it out" $.at $key) }}
{{- end }}
{{- end }}
{{- end }}

{{- /* The keys of the access entries, as the backstop looks for them. They are the keys of a map, because the cost of a search in a
list grows with the length of the list. */}}
{{- define "awsauth-guard.backstopEntries" -}}
{{- $entries := dict }}
{{- range .Values.guardConfig.accessEntries }}
{{- $_ := set $entries (include "awsauth-guard.principalKey" .) true }}
{{- end }}
{{- toJson $entries }}
{{- end }}

{{- /* The protected principals without an access entry, as the backstop looks for them. */}}
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

{{- /* The ids of the rules in the backstop: those that the values don't set to warn or off. protected-principal is among them only if a
protected principal has no access entry. */}}
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
