package main

import (
	"maps"
	"os"
	"path/filepath"
	"testing"
)

// fileTwin is a twin of one of several files.
type fileTwin struct {
	file string
	twin
}

var kubernetesTwins = []fileTwin{
	{"40-api.yaml", twin{"fits its type", "readinessProbe:", "readyProbe:"}},
	{"40-api.yaml", twin{"fits its type", "apiVersion: policy/v1\n", "apiVersion: policy/v1beta1\n"}},
	{"30-consumer.yaml", twin{"fits its type", "maxReplicas: 16", "maxReplicas: many"}},
	{"30-consumer.yaml", twin{"fits its type", "  minReplicas: 2\n", "  minReplicas: 2\n  minReplicas: 3\n"}},
	{"monitoring/podmonitor.yaml", twin{"fits its type", "podMetricsEndpoints", "endpoints"}},
	{"monitoring/adapter-rules.yaml", twin{"fits its type", "metricsQuery", "query"}},

	{"50-scheduler.yaml", twin{"every process is there", "command: [scheduler]", "command: [schedule]"}},
	{"20-migrate.yaml", twin{"every process is there", "name: migrate\n  namespace", "name: schema\n  namespace"}},
	{"10-config.yaml", twin{"objects are in the namespace", "  namespace: sluice\n", ""}},
	{"00-namespace.yaml", twin{"objects are in the namespace", "restricted", "privileged"}},
	{"40-api.yaml", twin{"pods are restricted", "runAsNonRoot: true, ", ""}},
	{"40-api.yaml", twin{"pods are restricted", "fsGroup: 65532, ", ""}},
	{"30-consumer.yaml", twin{"pods are restricted", "readOnlyRootFilesystem: true, ", ""}},
	{"30-consumer.yaml", twin{"pods are restricted", "drop: [ALL]", "drop: [NET_RAW]"}},
	{"50-scheduler.yaml", twin{"pods are restricted", ", seccompProfile: { type: RuntimeDefault }", ""}},
	{"50-scheduler.yaml", twin{"pods are restricted", ", defaultMode: 0440", ""}},
	{"50-scheduler.yaml", twin{"pods are restricted", ", limits: { memory: 256Mi }", ""}},
	{"20-migrate.yaml", twin{"pods are restricted", "automountServiceAccountToken: false", "automountServiceAccountToken: true"}},
	{"20-migrate.yaml", twin{"the images are one release", "sluice:v1.0.0", "sluice:v0.9.0"}},
	{"30-consumer.yaml", twin{"the images are one release", "sluice:v1.0.0", "sluice:latest"}},
	{"40-api.yaml", twin{"what is named is there", "configMapRef: { name: api }", "configMapRef: { name: ipa }"}},
	{"40-api.yaml", twin{"what is named is there", "secretName: sluice-api", "secretName: sluice-ipa"}},
	{"40-api.yaml", twin{"what is named is there", "- { name: keys, mountPath", "- { name: locks, mountPath"}},
	{"10-config.yaml", twin{"settings are known and taken", "SLUICE_LOG_LEVEL: info", "SLUICE_LOGLEVEL: info"}},
	{"10-config.yaml", twin{"settings are known and taken", "SLUICE_PARTITIONS: \"16\"", "SLUICE_PARTITIONS: sixteen"}},
	{"10-config.yaml", twin{"settings are known and taken", "sluice/redis-url", "sluice/redis"}},
	{"10-config.yaml", twin{"settings are known and taken", "10.244.0.0/16", "everybody"}},
	{"secret.yaml.example", twin{"settings are known and taken", "redis-url: rediss://:@hex@", "redis-url: rediss://:change-me-@hex@"}},
	{"secret.yaml.example", twin{"settings are known and taken", "jwt-keys: k1:@base64", "jwt-keys: \"@base64\""}},
	{"40-api.yaml", twin{"probes ask what is answered", "path: /readyz", "path: /ready"}},
	{"30-consumer.yaml", twin{"probes ask what is answered", "livenessProbe:\n            httpGet: { path: /healthz", "livenessProbe:\n            httpGet: { path: /readyz"}},
	{"30-consumer.yaml", twin{"probes ask what is answered", "containerPort: 8081", "containerPort: 8082"}},
	{"40-api.yaml", twin{"grace is long enough", "terminationGracePeriodSeconds: 25", "terminationGracePeriodSeconds: 19"}},
	{"40-api.yaml", twin{"grace is long enough", "lifecycle: { preStop: { sleep: { seconds: 8 } } }", "lifecycle: {}"}},
	{"10-config.yaml", twin{"grace is long enough", "SLUICE_SHUTDOWN_GRACE: 10s", "SLUICE_SHUTDOWN_GRACE: 14s"}},
	{"30-consumer.yaml", twin{"memory of Go stays below the limit", "GOMEMLIMIT, value: 440MiB", "GOMEMLIMIT, value: 510MiB"}},
	{"40-api.yaml", twin{"selectors select", "  selector: { app.kubernetes.io/name: api }", "  selector: { app.kubernetes.io/name: apis }"}},
	{"40-api.yaml", twin{"selectors select", "targetPort: http", "targetPort: ops"}},
	{"30-consumer.yaml", twin{"selectors select", "minAvailable: 1\n  selector: { matchLabels: { app.kubernetes.io/name: consumer } }", "minAvailable: 1\n  selector: { matchLabels: { app.kubernetes.io/name: api } }"}},
	{"60-network.yaml", twin{"selectors select", "- from: [{ namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: monitoring } } }]\n      ports", "- ports"}},
	{"60-network.yaml", twin{"selectors select", "port: ops", "port: oops"}},
	{"monitoring/podmonitor.yaml", twin{"selectors select", "[api, consumer, scheduler]", "[api, consumer]"}},
	{"monitoring/podmonitor.yaml", twin{"selectors select", "port: ops", "port: http"}},
	{"50-scheduler.yaml", twin{"one may go at a time", "minAvailable: 1", "minAvailable: 2"}},
	{"50-scheduler.yaml", twin{"one may go at a time", "maxUnavailable: 0", "maxUnavailable: 1"}},
	{"30-consumer.yaml", twin{"one may go at a time", "spec:\n  # One more", "spec:\n  replicas: 2\n  # One more"}},
	{"30-consumer.yaml", twin{"it scales by metrics that are there", "name: sluice_depth", "name: sluice_depths"}},
	{"30-consumer.yaml", twin{"it scales by metrics that are there", "maxReplicas: 16", "maxReplicas: 32"}},
	{"30-consumer.yaml", twin{"it scales by metrics that are there", "kind: Deployment, name: consumer }", "kind: Deployment, name: consumers }"}},
	{"monitoring/adapter-rules.yaml", twin{"it scales by metrics that are there", "max by (partition) (sluice_partition_depth{", "max by (partition) (sluice_depth_of_partition{"}},
	{"secret.yaml.example", twin{"examples hold no secret", "k1:@base64", "k1:q3wXHNVPCGhPqFbWlCDqzYvEoMXJlWc2iQ0o9e1cUuE="}},
	{"10-config.yaml", twin{"examples hold no secret", "  SLUICE_LOG_LEVEL: info", "  SLUICE_LOG_LEVEL: info\n  SLUICE_REDIS_URL: redis://:pw@redis/0"}},
}

func TestKubernetesTwins(t *testing.T) {
	files := map[string][]byte{}
	for _, w := range kubernetesTwins {
		files["deploy/kubernetes/"+w.file] = read(t, "deploy/kubernetes/"+w.file)
	}
	before, err := kubernetesFaultsIn(t.Context(), root, files, built)
	if err != nil {
		t.Fatal(err)
	}
	var rules []string
	for _, r := range kubernetesRules {
		rules = append(rules, r.name)
	}
	every(t, append(rules, "fits its type"), twins(kubernetesTwins))
	for _, w := range kubernetesTwins {
		t.Run(w.rule, func(t *testing.T) {
			name := "deploy/kubernetes/" + w.file
			changed := maps.Clone(files)
			changed[name] = w.in(t, files[name])
			faults, err := kubernetesFaultsIn(t.Context(), root, changed, built)
			if err != nil {
				t.Fatal(err)
			}
			w.catches(t, before, faults)
		})
	}
}

// Every file has a twin, so that none is left out of the check.
func TestKubernetesFilesAreChecked(t *testing.T) {
	checked := map[string]bool{}
	for _, w := range kubernetesTwins {
		checked[w.file] = true
	}
	folder := filepath.Join(root, "deploy/kubernetes")
	for _, pattern := range []string{"*", "*/*"} {
		found, err := filepath.Glob(filepath.Join(folder, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			name, err := filepath.Rel(folder, path)
			if err != nil {
				t.Fatal(err)
			}
			if info, err := os.Stat(path); err != nil || info.IsDir() || name == "secret.yaml" {
				continue
			}
			if !checked[name] {
				t.Errorf("deploy/kubernetes/%s: no twin", name)
			}
		}
	}
}

func twins(all []fileTwin) (plain []twin) {
	for _, w := range all {
		plain = append(plain, w.twin)
	}
	return plain
}
