{{- define "tritone.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "tritone.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "tritone.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "tritone.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "tritone.selector" -}}
app.kubernetes.io/name: {{ include "tritone.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "tritone.labels" -}}
{{ include "tritone.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: tritone
helm.sh/chart: {{ printf "%s-%s" .Chart.Name (.Chart.Version | replace "+" "_") }}
{{- end -}}

{{- define "tritone.image" -}}
{{- $image := index .root.Values.image .part -}}
{{ $image.repository }}:{{ default .root.Chart.AppVersion $image.tag }}
{{- end -}}

{{- define "tritone.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "tritone.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- /* The pools as JSON: name -> all values of the pool. */ -}}
{{- define "tritone.pools" -}}
{{- $pools := dict -}}
{{- range $name, $spec := .Values.pools -}}
{{- if $spec -}}
{{- $pool := mergeOverwrite (deepCopy $.Values.poolDefaults) (deepCopy $spec) -}}
{{- if not (or $pool.speech $pool.transcription) -}}
{{- fail (printf "pools.%s has no models: name some in speech or transcription" $name) -}}
{{- end -}}
{{- if and (ne $pool.autoscaling.mode "keda") (lt (int $pool.autoscaling.minReplicas) 1) -}}
{{- fail (printf "pools.%s.autoscaling.minReplicas: only mode keda can scale to 0" $name) -}}
{{- end -}}
{{- if and (eq $pool.autoscaling.mode "keda") (lt (int $pool.autoscaling.minReplicas) 1) (not $pool.autoscaling.keda.activation.query) -}}
{{- fail (printf "pools.%s.autoscaling.keda.activation.query: a pool that scales to 0 needs a query that wakes it" $name) -}}
{{- end -}}
{{- $_ := set $pools $name $pool -}}
{{- end -}}
{{- end -}}
{{- if not $pools -}}{{- fail "pools: name at least one pool" -}}{{- end -}}
{{- toJson $pools -}}
{{- end -}}

{{- define "tritone.weightsClaim" -}}
{{- default (printf "%s-weights" (include "tritone.fullname" .)) .Values.weights.existingClaim -}}
{{- end -}}

{{- define "tritone.jobsClaim" -}}
{{- default (printf "%s-jobs" (include "tritone.fullname" .)) .Values.jobs.existingClaim -}}
{{- end -}}

{{- /* Whether all pods must be on the node that has the weights' volume. */ -}}
{{- define "tritone.oneNode" -}}
{{- if not (or (has "ReadWriteMany" .Values.weights.accessModes) (has "ReadOnlyMany" .Values.weights.accessModes)) -}}true{{- end -}}
{{- end -}}

{{- define "tritone.env" -}}
{{- range $name, $value := . }}
- name: {{ $name }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- end -}}

{{- define "tritone.hubEnv" -}}
{{- if .Values.weights.hub.endpoint }}
- name: HF_ENDPOINT
  value: {{ .Values.weights.hub.endpoint | quote }}
{{- end }}
{{- if or .Values.weights.hub.token .Values.weights.hub.existingSecret }}
- name: HF_TOKEN
  valueFrom:
    secretKeyRef:
      name: {{ default (printf "%s-hub" (include "tritone.fullname" .)) .Values.weights.hub.existingSecret }}
      key: HF_TOKEN
{{- end }}
{{- end -}}

{{- /* Topology spread of the pods with the labels `match`. */ -}}
{{- define "tritone.spread" -}}
- maxSkew: 1
  topologyKey: kubernetes.io/hostname
  whenUnsatisfiable: {{ .spread.node }}
  labelSelector:
    matchLabels:
      {{- .match | nindent 6 }}
- maxSkew: 1
  topologyKey: topology.kubernetes.io/zone
  whenUnsatisfiable: {{ .spread.zone }}
  labelSelector:
    matchLabels:
      {{- .match | nindent 6 }}
{{- end -}}

{{- define "tritone.poolLabels" -}}
{{ include "tritone.selector" .root }}
app.kubernetes.io/component: triton
tritone/pool: {{ .name }}
{{- end -}}

{{- define "tritone.gatewayLabels" -}}
{{ include "tritone.selector" . }}
app.kubernetes.io/component: gateway
{{- end -}}

{{- /* The addresses of all Triton pods of all pools. */ -}}
{{- define "tritone.grpcUrl" -}}
{{- $urls := list -}}
{{- range $name, $pool := include "tritone.pools" . | fromJson -}}
{{- $urls = append $urls (printf "dns:///%s-%s:8001" (include "tritone.fullname" $) $name) -}}
{{- end -}}
{{- join "," $urls -}}
{{- end -}}

{{- /* What the gateways and the workers of the jobs share: environment. */ -}}
{{- define "tritone.gatewayEnv" -}}
- name: API_HOST
  value: 0.0.0.0
- name: API_PORT
  value: "8899"
- name: MODEL_DIR
  value: /models
- name: TRITON_GRPC_URL
  value: {{ include "tritone.grpcUrl" . | quote }}
- name: DRAIN_TIMEOUT
  value: {{ .Values.gateway.drainSeconds | quote }}
- name: JOBS
  value: {{ .Values.jobs.enabled | quote }}
{{- if .Values.jobs.enabled }}
- name: JOBS_DIR
  value: /jobs
{{- if .Values.jobs.databaseSecret }}
- name: JOBS_URL
  valueFrom:
    secretKeyRef: {name: {{ .Values.jobs.databaseSecret }}, key: JOBS_URL}
{{- end }}
{{- end }}
{{- if or .Values.auth.apiKeys .Values.auth.existingSecret }}
- name: API_KEYS
  valueFrom:
    secretKeyRef:
      name: {{ default (printf "%s-keys" (include "tritone.fullname" .)) .Values.auth.existingSecret }}
      key: API_KEYS
{{- end }}
{{- if .Values.gateway.webrtc.enabled }}
- name: WEBRTC
  value: "true"
{{- with .Values.gateway.webrtc.iceServers }}
- name: WEBRTC_ICE_SERVERS
  value: {{ join "," . | quote }}
{{- end }}
{{- end }}
{{- include "tritone.env" .Values.gateway.env }}
{{- end -}}

{{- define "tritone.gatewayMounts" -}}
- {name: models, mountPath: /models, readOnly: true}
- {name: tmp, mountPath: /tmp}
{{- if .Values.jobs.enabled }}
- {name: jobs, mountPath: /jobs}
{{- end }}
{{- with .Values.gateway.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "tritone.gatewayVolumes" -}}
- name: models
  persistentVolumeClaim: {claimName: {{ include "tritone.weightsClaim" . }}}
- name: tmp
  emptyDir: {sizeLimit: {{ .Values.gateway.uploads }}}
{{- if .Values.jobs.enabled }}
- name: jobs
  persistentVolumeClaim: {claimName: {{ include "tritone.jobsClaim" . }}}
{{- end }}
{{- with .Values.gateway.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* The affinity of gateways and workers. */ -}}
{{- define "tritone.gatewayAffinity" -}}
{{- $affinity := deepCopy .Values.gateway.affinity -}}
{{- if include "tritone.oneNode" . -}}
{{- $term := dict "topologyKey" "kubernetes.io/hostname" "labelSelector" (dict "matchLabels" (dict "app.kubernetes.io/name" (include "tritone.name" .) "app.kubernetes.io/instance" .Release.Name "app.kubernetes.io/component" "triton")) -}}
{{- $affinity = mergeOverwrite (dict "podAffinity" (dict "requiredDuringSchedulingIgnoredDuringExecution" (list $term))) $affinity -}}
{{- end -}}
{{- toYaml $affinity -}}
{{- end -}}

{{- /* Gateways and workers wait for the voice activity detector and the speaker embedding. */ -}}
{{- define "tritone.gatewayInit" -}}
{{- if ne .Values.weights.source "none" -}}
initContainers:
  - name: weights
    image: {{ include "tritone.image" (dict "root" . "part" "gateway") }}
    imagePullPolicy: {{ .Values.image.gateway.pullPolicy }}
    command:
      - sh
      - -c
      - until ls /models/silero-vad/* /models/speaker-embedding/* >/dev/null 2>&1; do echo waiting for the weights; sleep 5; done
    securityContext:
      {{- toYaml .Values.securityContext | nindent 6 }}
    resources: {requests: {cpu: 10m, memory: 16Mi}, limits: {memory: 64Mi}}
    volumeMounts:
      - {name: models, mountPath: /models, readOnly: true}
{{- end -}}
{{- end -}}

{{- /* Where pods of the gateway's image run. */ -}}
{{- define "tritone.gatewayPlacement" -}}
{{- with .Values.gateway.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.gateway.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
tolerations:
  {{- toYaml (ternary (concat .Values.gateway.tolerations .Values.poolDefaults.tolerations) .Values.gateway.tolerations (eq (include "tritone.oneNode" .) "true")) | nindent 2 }}
affinity:
  {{- include "tritone.gatewayAffinity" . | nindent 2 }}
{{- end }}

{{- /* A Deployment of the gateway's image that serves nobody: .root, .component, .command, .replicas, .resources. */ -}}
{{- define "tritone.worker" -}}
{{- $component := .component }}
{{- $command := .command }}
{{- $replicas := .replicas }}
{{- $resources := .resources }}
{{- $metricsPort := .metricsPort }}
{{- with .root }}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "tritone.fullname" . }}-{{ $component }}
  labels:
    {{- include "tritone.labels" . | nindent 4 }}
    app.kubernetes.io/component: {{ $component }}
spec:
  replicas: {{ $replicas }}
  selector:
    matchLabels:
      {{- include "tritone.selector" . | nindent 6 }}
      app.kubernetes.io/component: {{ $component }}
  # A worker that stops leaves its work to the others.
  strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
  template:
    metadata:
      labels:
        {{- include "tritone.selector" . | nindent 8 }}
        app.kubernetes.io/component: {{ $component }}
        {{- with .Values.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with .Values.podAnnotations }}
      annotations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      serviceAccountName: {{ include "tritone.serviceAccount" . }}
      automountServiceAccountToken: false
      enableServiceLinks: false
      terminationGracePeriodSeconds: {{ add .Values.gateway.drainSeconds 25 }}
      {{- with .Values.imagePullSecrets }}
      imagePullSecrets:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- include "tritone.gatewayPlacement" . | nindent 6 }}
      securityContext:
        {{- toYaml .Values.podSecurityContext | nindent 8 }}
      {{- include "tritone.gatewayInit" . | nindent 6 }}
      containers:
        - name: {{ $component }}
          image: {{ include "tritone.image" (dict "root" . "part" "gateway") }}
          imagePullPolicy: {{ .Values.image.gateway.pullPolicy }}
          command: [python, -m, {{ $command }}]
          env:
            {{- include "tritone.gatewayEnv" . | nindent 12 }}
            {{- if .Values.monitoring.enabled }}
            - name: {{ $metricsPort }}
              value: "9465"
            {{- end }}
          {{- with .Values.gateway.envFrom }}
          envFrom:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          {{- if .Values.monitoring.enabled }}
          ports:
            - {name: metrics, containerPort: 9465}
          {{- end }}
          securityContext:
            {{- toYaml .Values.securityContext | nindent 12 }}
          resources:
            {{- toYaml $resources | nindent 12 }}
          volumeMounts:
            {{- include "tritone.gatewayMounts" . | nindent 12 }}
      volumes:
        {{- include "tritone.gatewayVolumes" . | nindent 8 }}
{{- end }}
{{- end -}}
