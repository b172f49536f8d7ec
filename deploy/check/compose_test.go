package main

import "testing"

var composeTwins = []twin{
	{"loads", "services:\n", "servises:\n"},
	{"loads", "    command: [api]\n", "    comand: [api]\n"},
	{"loads", "${REDIS_PASSWORD:?run make env}@redis", "${RADIS_PASSWORD:?run make env}@redis"},

	{"every process is there", "deploy: { replicas: 2, resources: { limits: { cpus: \"0.5\"", "deploy: { replicas: 1, resources: { limits: { cpus: \"0.5\""},
	{"every process is there", "\n  scheduler:\n", "\n  sheduler:\n"},
	{"images are pinned", "image: redis:7.4.11-bookworm", "image: redis:latest"},
	{"images are pinned", "image: postgres:17.11-bookworm", "image: postgres"},
	{"images are pinned", "image: haproxy:3.2.23-alpine", "image: haproxy:3"},
	{"who ends is started again", "restart: unless-stopped", `restart: "no"`},
	{"health is asked for", "      test: [CMD, wget, -q, -O, /dev/null, \"http://127.0.0.1:9090/-/ready\"]\n", "      disable: true\n"},
	{"health is asked for", "    start_period: 30s\n", ""},
	{"limits are set", "cpus: \"2\", memory: 1g, pids: 300", "cpus: \"2\", pids: 300"},
	{"limits are set", "    deploy: { resources: { limits: { cpus: \"1\", memory: 1g, pids: 50 } } }\n", ""},
	{"nobody may more than he must", "  user: \"65532:65532\"\n", ""},
	{"nobody may more than he must", "user: \"999:999\"", "user: \"0:0\""},
	{"nobody may more than he must", "  read_only: true\n", ""},
	{"nobody may more than he must", "  cap_drop: [ALL]\n", ""},
	{"nobody may more than he must", "    command: [consumer]\n", "    command: [consumer]\n    privileged: true\n"},
	{"logs are bounded", "max-size: 10m, ", ""},
	{"ports are published on loopback", "127.0.0.1:9090:9090", "9090:9090"},
	{"ports are published on loopback", "${API_ADDRESS:-127.0.0.1:8080}:8080", "0.0.0.0:8080:8080"},
	{"who waits, waits for health", "depends_on: { api: { condition: service_healthy } }", "depends_on: [api]"},
	{"who waits, waits for health", "      migrate: { condition: service_completed_successfully }\n", ""},
	{"who waits, waits for health", "migrate: { condition: service_completed_successfully }", "migrate: { condition: service_healthy }"},
	{"who waits, waits for health", "    depends_on: { postgres: { condition: service_healthy } }\n", ""},
	{"mounts exist and are read-only", "./deploy/haproxy:", "./deploy/proxy:"},
	{"mounts exist and are read-only", "./deploy/haproxy:/usr/local/etc/haproxy:ro", "./deploy/haproxy:/usr/local/etc/haproxy"},
	{"mounts exist and are read-only", "./docs/runbook.md:", "./docs/runbok.md:"},
	{"mounts exist and are read-only", "./grafana/prometheus:", "./grafana/nothing:"},
	{"secrets come from outside", "POSTGRES_PASSWORD: ${POSTGRES_PASSWORD:?run make env}", "POSTGRES_PASSWORD: correct-horse-battery"},
	{"secrets come from outside", "redis://:${REDIS_PASSWORD:?run make env}@", "redis://:correct-horse-battery@"},
	{"secrets come from outside", "SLUICE_JWT_KEYS: ${SLUICE_JWT_KEYS:?run make env}", "SLUICE_JWT_KEYS: k1:q3wXHNVPCGhPqFbWlCDqzYvEoMXJlWc2iQ0o9e1cUuE="},
	{"secrets come from outside", "--appendonly yes", "--requirepass ${REDIS_PASSWORD} --appendonly yes"},
	{"secrets come from outside", "    command: [scheduler]\n", "    command: [scheduler]\n    env_file: [{ path: .env, required: false }]\n"},
	{"env.example names what the file takes", "${GRAFANA_PASSWORD:?run make env}", "${GRAFFITI_PASSWORD-}"},
	{"settings are known and taken", "SLUICE_POSTGRES_CONNS: \"10\"", "SLUICE_POSTGRES_CONECTIONS: \"10\""},
	{"settings are known and taken", "SLUICE_POSTGRES_CONNS: \"20\"", "SLUICE_POSTGRES_CONNS: \"2\""},
	{"settings are known and taken", "SLUICE_SHUTDOWN_GRACE: 10s", "SLUICE_SHUTDOWN_GRACE: 10"},
	{"settings are known and taken", "SLUICE_LOG_LEVEL: ${SLUICE_LOG_LEVEL:-info}", "SLUICE_LOG_LEVEL: ${SLUICE_LOG_LEVEL:+loud}"},
	{"settings are known and taken", "      SLUICE_JWT_KEYS: ${SLUICE_JWT_KEYS:?run make env}\n", ""},
	{"settings are known and taken", "${REDIS_PASSWORD:?run make env}@redis", "sluice@redis"}, // production refuses it
	{"processes agree", "    environment:\n      <<: *servers\n      SLUICE_POSTGRES_CONNS: \"10\"", "    environment:\n      <<: *servers\n      SLUICE_PARTITIONS: \"32\"\n      SLUICE_POSTGRES_CONNS: \"10\""},
	{"processes agree", "    command: [sluice, migrate]\n    environment:\n      SLUICE_POSTGRES_URL: postgres://sluice:${POSTGRES_PASSWORD:?run make env}@postgres:5432/sluice", "    command: [sluice, migrate]\n    environment:\n      SLUICE_POSTGRES_URL: postgres://sluice:${POSTGRES_PASSWORD:?run make env}@postgres:5432/other"},
	{"processes agree", "    SLUICE_PARTITIONS: \"16\"\n", "    SLUICE_PARTITIONS: \"16\"\n    SLUICE_JWT_KEYS: ${SLUICE_JWT_KEYS}\n"},
	{"grace is long enough", "stop_grace_period: 15s", "stop_grace_period: 10s"},
	{"grace is long enough", "SLUICE_SHUTDOWN_GRACE: 10s", "SLUICE_SHUTDOWN_GRACE: 30s"},
	{"memory of Go stays below the limit", "GOMEMLIMIT: 440MiB", "GOMEMLIMIT: 512MiB"},
	{"Postgres has a connection for everybody", "max_connections=150", "max_connections=100"},
	{"Postgres has a connection for everybody", "deploy: { replicas: 2,", "deploy: { replicas: 5,"},
	{"Redis keeps what it is told", "--maxmemory-policy noeviction", "--maxmemory-policy allkeys-lru"},
	{"Redis keeps what it is told", "--appendonly yes", "--appendonly no"},
	{"Redis keeps what it is told", "--maxmemory 512mb", "--maxmemory 900mb"},
	{"Redis keeps what it is told", "    volumes: [\"redis:/data\"]\n", ""},
	{"stores are out of reach", "    volumes: [\"redis:/data\"]\n", "    volumes: [\"redis:/data\"]\n    ports: [\"127.0.0.1:6379:6379\"]\n"},
	{"stores are out of reach", "    internal: true\n", "    internal: false\n"},
	{"the proxy is believed, and nobody else", "SLUICE_TRUSTED_PROXIES: 172.31.77.10", "SLUICE_TRUSTED_PROXIES: 172.31.77.0/24"},
	{"the proxy is believed, and nobody else", "ipv4_address: 172.31.77.10", "ipv4_address: 172.31.77.11"},
	{"the proxy is believed, and nobody else", "ip_range: 172.31.77.128/25", "ip_range: 172.31.77.0/25"},
	{"operations ports are where they are looked for", `SLUICE_OPS_LISTEN: ":8081"`, `SLUICE_OPS_LISTEN: ":8082"`},
	{"operations ports are where they are looked for", `SLUICE_LISTEN: ":8080"`, `SLUICE_LISTEN: ":8090"`},
	{"Grafana finds its data and its dashboards", "./grafana/dashboards:/var/lib/grafana-dashboards:ro", "./grafana/dashboards:/boards:ro"},
	{"Grafana finds its data and its dashboards", "networks: [desk]", "networks: [edge]"},
	{"Grafana finds its data and its dashboards", "sale-floor.json", "floor.json"},
}

// TestComposeTwins: no rule is there that would not catch what it is for.
func TestComposeTwins(t *testing.T) {
	file := read(t, "docker-compose.yml")
	var rules []string
	for _, r := range composeRules {
		rules = append(rules, r.name)
	}
	every(t, append(rules, "loads"), composeTwins)
	before, err := composeFaultsIn(t.Context(), root, file, built)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range composeTwins {
		t.Run(w.rule, func(t *testing.T) {
			faults, err := composeFaultsIn(t.Context(), root, w.in(t, file), built)
			if err != nil {
				t.Fatal(err)
			}
			w.catches(t, before, faults)
		})
	}
}
