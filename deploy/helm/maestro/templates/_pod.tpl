{{- define "maestro.pod" -}}
metadata:
  labels: {{- include "maestro.labels" . | nindent 4 }}
  annotations:
    checksum/config: {{ .Values.config | sha256sum }}
spec:
  automountServiceAccountToken: false
  enableServiceLinks: false
  # A stop takes up to ten seconds; a node hands its systems over before it.
  terminationGracePeriodSeconds: {{ ternary 120 20 (gt (int .Values.replicas) 1) }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets: {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    fsGroup: 10001
    # Else each start opens every file to the group, and Maestro says so of each.
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile:
      type: RuntimeDefault
  containers:
    - name: maestro
      image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: ["ALL"]
      env:
        - {name: MAESTRO_CONFIG, value: /etc/maestro/maestro.toml}
        - {name: MAESTRO_DATA_DIR, value: /var/lib/maestro/data}
        - {name: MAESTRO_HTTP__HOST, value: "0.0.0.0"}
        - {name: MAESTRO_HTTP__PORT, value: "6971"}
        - {name: MAESTRO_ACCESS__ENABLED, value: "true"}
        - {name: RABBITMQ_HOST, value: {{ .Values.rabbitmq.host | quote }}}
        - {name: RABBITMQ_PORT, value: {{ .Values.rabbitmq.port | quote }}}
        - name: RABBITMQ_USERNAME
          valueFrom: {secretKeyRef: {name: {{ include "maestro.brokerSecret" . }}, key: username}}
        - name: RABBITMQ_PASSWORD
          valueFrom: {secretKeyRef: {name: {{ include "maestro.brokerSecret" . }}, key: password}}
        {{- with .Values.platform }}
        - {name: APICORE_HOST, value: {{ .apicore.host | quote }}}
        - {name: APICORE_PORT, value: {{ .apicore.port | quote }}}
        - {name: DISCOVERY_HOST, value: {{ .discovery.host | quote }}}
        - {name: DISCOVERY_PORT, value: {{ .discovery.port | quote }}}
        - {name: PROCESS_MEMORY_HOST, value: {{ .processMemory.host | quote }}}
        - {name: PROCESS_MEMORY_PORT, value: {{ .processMemory.port | quote }}}
        - {name: EVENT_MANAGER_HOST, value: {{ .eventManager.host | quote }}}
        - {name: EVENT_MANAGER_PORT, value: {{ .eventManager.port | quote }}}
        {{- end }}
        {{- if .Values.tls.existingSecret }}
        - {name: MAESTRO_HTTP__TLS_CERT, value: /etc/maestro-tls/tls.crt}
        - {name: MAESTRO_HTTP__TLS_KEY, value: /etc/maestro-tls/tls.key}
        {{- end }}
        {{- if gt (int .Values.replicas) 1 }}
        - name: MAESTRO_STORE__URL
          valueFrom: {secretKeyRef: {name: {{ required "cluster.existingSecret: nodes need a database" .Values.cluster.existingSecret }}, key: store-url}}
        - {name: MAESTRO_CLUSTER__NAME, value: {{ .Values.cluster.name | quote }}}
        - name: MAESTRO_CLUSTER__SECRET
          valueFrom: {secretKeyRef: {name: {{ .Values.cluster.existingSecret }}, key: secret}}
        - name: MAESTRO_CLUSTER__NODE
          valueFrom: {fieldRef: {fieldPath: metadata.name}}
        - {name: MAESTRO_CLUSTER__URL, value: "{{ ternary "https" "http" (not (empty .Values.tls.existingSecret)) }}://$(MAESTRO_CLUSTER__NODE).{{ include "maestro.nodes" . }}:6971"}
        {{- end }}
        - {name: MAESTRO_HTTP__ALLOWED_HOSTS, value: {{ include "maestro.hosts" . | quote }}}
        {{- with .Values.env }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      ports:
        - {name: http, containerPort: 6971}
      {{- if gt (int .Values.replicas) 1 }}
      lifecycle:
        preStop:
          exec: {command: ["python", "/opt/maestro/drain.py"]}
      {{- end }}
      # A slow start is no reason to start again: what is stored is read first.
      startupProbe:
        httpGet: {path: /healthz, port: http, scheme: {{ ternary "HTTPS" "HTTP" (not (empty .Values.tls.existingSecret)) }}}
        periodSeconds: 5
        failureThreshold: 60
      livenessProbe:
        httpGet: {path: /healthz, port: http, scheme: {{ ternary "HTTPS" "HTTP" (not (empty .Values.tls.existingSecret)) }}}
        periodSeconds: 20
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        httpGet: {path: {{ ternary "/readyz" .Values.readinessPath (gt (int .Values.replicas) 1) }}, port: http, scheme: {{ ternary "HTTPS" "HTTP" (not (empty .Values.tls.existingSecret)) }}}
        periodSeconds: 10
        timeoutSeconds: 5
      resources: {{- toYaml .Values.resources | nindent 8 }}
      volumeMounts:
        - {name: data, mountPath: /var/lib/maestro}
        - {name: config, mountPath: /etc/maestro, readOnly: true}
        - {name: tmp, mountPath: /tmp}
        {{- if .Values.tls.existingSecret }}
        - {name: tls, mountPath: /etc/maestro-tls, readOnly: true}
        {{- end }}
  volumes:
    {{- if eq (int .Values.replicas) 1 }}
    - name: data
      persistentVolumeClaim:
        claimName: {{ .Values.persistence.existingClaim | default (include "maestro.name" .) }}
    {{- end }}
    - name: config
      configMap: {name: {{ include "maestro.name" . }}}
    - name: tmp
      emptyDir: {sizeLimit: 64Mi}
    {{- if .Values.tls.existingSecret }}
    - name: tls
      secret: {secretName: {{ .Values.tls.existingSecret }}, defaultMode: 0440}
    {{- end }}
  {{- if gt (int .Values.replicas) 1 }}
  # One machine's loss is to be one node's.
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels: {{- include "maestro.selector" . | nindent 10 }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
