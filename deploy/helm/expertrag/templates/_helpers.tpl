{{- define "expertrag.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Labels that select the pods of a role. Takes (list context role). */}}
{{- define "expertrag.selector" -}}
{{- $context := index . 0 -}}
app.kubernetes.io/name: {{ $context.Chart.Name }}
app.kubernetes.io/instance: {{ $context.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "expertrag.labels" -}}
{{- $context := index . 0 -}}
{{ include "expertrag.selector" . }}
app.kubernetes.io/version: {{ $context.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $context.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $context.Chart.Name $context.Chart.Version }}
{{- end -}}

{{/* What is asked of the values beyond their schema. */}}
{{- define "expertrag.check" -}}
{{- $_ := required "replicas.url is required: s3://bucket/prefix, or /replicas with replicas.existingClaim" .Values.replicas.url -}}
{{- if not (or .Values.tokens.existingSecret .Values.tokens.content .Values.tokens.open) -}}
{{- fail "set tokens.existingSecret, tokens.content, or tokens.open=true to let everyone call" -}}
{{- end -}}
{{- if not (or .Values.tls.existingSecret .Values.tls.disabled) -}}
{{- fail "set tls.existingSecret, or tls.disabled=true behind a mesh that encrypts" -}}
{{- end -}}
{{- if and .Values.tls.existingSecret (not .Values.tls.serverName) -}}
{{- fail "set tls.serverName to a name in the certificate: probes check it" -}}
{{- end -}}
{{- end -}}

{{- define "expertrag.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{- define "expertrag.security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "expertrag.tokens" -}}
{{- .Values.tokens.existingSecret | default (printf "%s-tokens" (include "expertrag.name" .)) -}}
{{- end -}}

{{- define "expertrag.environment" -}}
- {name: HF_HUB_OFFLINE, value: "1"}
- {name: EXPERTRAG_MODEL_GENERATOR, value: {{ .Values.models.generator | quote }}}
- {name: EXPERTRAG_SERVICE_LAME_DUCK_S, value: {{ .Values.service.lameDuckSeconds | quote }}}
- {name: EXPERTRAG_SERVICE_DRAIN_S, value: {{ .Values.service.drainSeconds | quote }}}
- {name: EXPERTRAG_SERVICE_METRICS_HOST, value: 0.0.0.0}
- {name: EXPERTRAG_SERVICE_METRICS_PORT, value: "9090"}
{{- if not .Values.tokens.open }}
- {name: EXPERTRAG_AUTH_TOKENS, value: /tokens/tokens.json}
{{- end }}
{{- if .Values.tls.existingSecret }}
- {name: EXPERTRAG_TLS_CERT, value: /tls/tls.crt}
- {name: EXPERTRAG_TLS_KEY, value: /tls/tls.key}
{{- else }}
- {name: EXPERTRAG_AUTH_INSECURE, value: "true"}
{{- end }}
{{- range $name, $value := .Values.environment }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end -}}

{{- define "expertrag.mounts" -}}
- {name: data, mountPath: /data}
- {name: models, mountPath: /models, readOnly: true}
- {name: tmp, mountPath: /tmp}
{{- if not .Values.tokens.open }}
- {name: tokens, mountPath: /tokens, readOnly: true}
{{- end }}
{{- if .Values.tls.existingSecret }}
- {name: tls, mountPath: /tls, readOnly: true}
{{- end }}
{{- end -}}

{{- define "expertrag.volumes" -}}
- name: tmp
  emptyDir: {}
- name: models
{{- if .Values.models.existingClaim }}
  persistentVolumeClaim: {claimName: {{ .Values.models.existingClaim }}, readOnly: true}
{{- else }}
  emptyDir: {sizeLimit: {{ .Values.models.sizeLimit }}}
{{- end }}
{{- if .Values.replicas.existingClaim }}
- name: replicas
  persistentVolumeClaim: {claimName: {{ .Values.replicas.existingClaim }}}
{{- end }}
{{- if not .Values.tokens.open }}
- name: tokens
  secret: {secretName: {{ include "expertrag.tokens" . }}, defaultMode: 0440}
{{- end }}
{{- if .Values.tls.existingSecret }}
- name: tls
  secret: {secretName: {{ .Values.tls.existingSecret }}, defaultMode: 0440}
{{- end }}
{{- end -}}

{{/* Pulls the models into their volume, if there is no claim that holds them. */}}
{{- define "expertrag.pull" -}}
{{- if not .Values.models.existingClaim -}}
{{- range .Values.models.pull }}
- name: pull-{{ . | replace "." "-" | lower | trunc 50 | trimSuffix "-" }}
  image: {{ include "expertrag.image" $ }}
  imagePullPolicy: {{ $.Values.image.pullPolicy }}
  args: [models, pull, {{ . }}]
  securityContext: {{- include "expertrag.security" $ | nindent 4 }}
  volumeMounts:
    - {name: models, mountPath: /models}
    - {name: tmp, mountPath: /tmp}
{{- end }}
{{- end }}
{{- end -}}

{{/* Ready: it accepts calls. Live: it answers at all, which it does while it loads its models. The
kubelet speaks gRPC without TLS only. */}}
{{- define "expertrag.probes" -}}
{{- if .Values.tls.existingSecret }}
readinessProbe:
  exec:
    command: [expertrag, health, "127.0.0.1:50051", --ca, /tls/ca.crt, --server-name, {{ .Values.tls.serverName }}]
  periodSeconds: 10
  timeoutSeconds: 10  # a process of its own each time
livenessProbe:
  tcpSocket: {port: grpc}
  initialDelaySeconds: 15
  failureThreshold: 6
{{- else }}
readinessProbe:
  grpc: {port: 50051}
  periodSeconds: 2
  timeoutSeconds: 2
livenessProbe:
  grpc: {port: 50051, service: expertrag.v1.InfoService}
  initialDelaySeconds: 15
  timeoutSeconds: 5
  failureThreshold: 6
{{- end }}
{{- end -}}

{{/* The pod of a server. Takes (dict "context" . "values" .Values.ROLE "args" LIST). */}}
{{- define "expertrag.pod" -}}
{{- $context := .context -}}
serviceAccountName: {{ include "expertrag.name" $context }}
automountServiceAccountToken: false
terminationGracePeriodSeconds: {{ add $context.Values.service.lameDuckSeconds $context.Values.service.drainSeconds 20 }}
{{- with $context.Values.image.pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .init }}
initContainers: {{- . | trim | nindent 2 }}
{{- end }}
containers:
  - name: server
    image: {{ include "expertrag.image" $context }}
    imagePullPolicy: {{ $context.Values.image.pullPolicy }}
    args: {{- toYaml .args | nindent 6 }}
    env: {{- include "expertrag.environment" $context | nindent 6 }}
    {{- with $context.Values.replicas.existingSecret }}
    envFrom:
      - secretRef: {name: {{ . }}}
    {{- end }}
    ports:
      - {name: grpc, containerPort: 50051}
      - {name: http, containerPort: 8080}
      - {name: metrics, containerPort: 9090}
    {{- include "expertrag.probes" $context | nindent 4 }}
    resources: {{- toYaml .values.resources | nindent 6 }}
    securityContext: {{- include "expertrag.security" $context | nindent 6 }}
    volumeMounts:
      {{- include "expertrag.mounts" $context | nindent 6 }}
      {{- if $context.Values.replicas.existingClaim }}
      - {name: replicas, mountPath: /replicas, readOnly: {{ .readOnlyReplicas }}}
      {{- end }}
volumes:
  {{- include "expertrag.volumes" $context | nindent 2 }}
  {{- with .volumes }}
  {{- . | nindent 2 }}
  {{- end }}
{{- with .values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Before the writer's first start there is no store. */}}
{{- define "expertrag.writerInit" -}}
{{- include "expertrag.pull" . }}
- name: create
  image: {{ include "expertrag.image" . }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  args: [index, create, /data/store, --if-missing]
  env:
    - {name: HF_HUB_OFFLINE, value: "1"}
  securityContext: {{- include "expertrag.security" . | nindent 4 }}
  volumeMounts:
    - {name: data, mountPath: /data}
    - {name: models, mountPath: /models, readOnly: true}
    - {name: tmp, mountPath: /tmp}
{{- end -}}

{{/* A copy that can be pulled again: it lives as long as its pod. */}}
{{- define "expertrag.readerStore" -}}
- name: data
  emptyDir: {sizeLimit: {{ .Values.readers.storeSizeLimit }}}
{{- end -}}
