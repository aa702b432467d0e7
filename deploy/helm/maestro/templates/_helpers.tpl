{{- define "maestro.name" -}}
{{- if contains "maestro" .Release.Name }}{{ .Release.Name }}{{ else }}{{ .Release.Name }}-maestro{{ end }}
{{- end }}

{{- define "maestro.selector" -}}
app.kubernetes.io/name: maestro
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "maestro.labels" -}}
{{ include "maestro.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "maestro.brokerSecret" -}}
{{ .Values.rabbitmq.existingSecret | default (printf "%s-rabbitmq" (include "maestro.name" .)) }}
{{- end }}

{{- define "maestro.hosts" -}}
{{- $service := printf "%s.%s.svc" (include "maestro.name" .) .Release.Namespace }}
{{- $nodes := ternary (list (printf "*.%s" (include "maestro.nodes" .))) list (gt (int .Values.replicas) 1) }}
{{- $ingress := ternary (list .Values.ingress.host) list .Values.ingress.enabled }}
{{- concat (list $service (printf "%s.cluster.local" $service)) $nodes $ingress .Values.allowedHosts | join "," }}
{{- end }}

{{- define "maestro.nodes" -}}
{{ include "maestro.name" . }}-nodes.{{ .Release.Namespace }}.svc
{{- end }}

{{- define "maestro.workload" -}}
{{ ternary "statefulset" "deploy" (gt (int .Values.replicas) 1) }}/{{ include "maestro.name" . }}
{{- end }}
