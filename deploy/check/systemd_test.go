package main

import (
	"maps"
	"testing"
)

var systemdTwins = []fileTwin{
	{"sluice-api.service", twin{"systemd takes them", "MemoryMax=", "MaxMemory="}},
	{"sluice-api.service", twin{"systemd takes them", "TasksMax=200", "TasksMax=a few"}},
	{"sluice-consumer.service", twin{"systemd takes them", "sluice/consumer\n", "sluice/consumer --name=%k\n"}},
	{"sluice-consumer.service", twin{"systemd takes them", "[Service]", "[Servise]"}},
	{"sluice-consumer.service", twin{"systemd takes them", "NoNewPrivileges=yes\nProtectSystem=strict\nProtectHome=yes\nPrivateDevices=yes\nProtectKernelTunables=yes\nProtectKernelModules=yes\nProtectKernelLogs=yes\nProtectControlGroups=yes\n", ""}}, // too much may be done
	{"sluice-migrate.service", twin{"systemd takes them", "LoadCredential=postgres-url:/etc/sluice/postgres-url", "LoadCredential postgres-url"}},

	{"sluice-scheduler.service", twin{"every process is there", "sluice/scheduler\n", "sluice/consumer\n"}},
	{"sluice.target", twin{"every process is there", " sluice-api.service", ""}},
	{"sluice-api.service", twin{"settings are known and taken", "SLUICE_TRUSTED_PROXIES", "SLUICE_TRUSTED_PROXY"}},
	{"sluice-api.service", twin{"settings are known and taken", "SLUICE_LISTEN=127.0.0.1:8080", "SLUICE_LISTEN=127.0.0.1"}},
	{"sluice-api.service", twin{"settings are known and taken", "LoadCredential=jwt-keys:/etc/sluice/jwt-keys\n", ""}},
	{"sluice-api.service", twin{"settings are known and taken", "%d/jwt-keys", "%d/keys"}},
	{"sluice-consumer.service", twin{"settings are known and taken", "LoadCredential=redis-url:/etc/sluice/redis-url", "LoadCredential=redis-url:/etc/sluice/redis"}},
	{"sluice-consumer.service", twin{"grace is long enough", "TimeoutStopSec=15", "TimeoutStopSec=5"}},
	{"sluice-consumer.service", twin{"grace is long enough", "KillSignal=SIGTERM", "KillSignal=SIGKILL"}},
	{"sluice-api.service", twin{"grace is long enough", "SLUICE_SHUTDOWN_GRACE=10s", "SLUICE_SHUTDOWN_GRACE=20s"}},
	{"sluice-scheduler.service", twin{"who ends is started again", "Restart=always", "Restart=on-failure"}},
	{"sluice-scheduler.service", twin{"who ends is started again", "StartLimitIntervalSec=0\n", ""}},
	{"sluice-api.service", twin{"the schema comes first", "Wants=network-online.target sluice-migrate.service\n", "Wants=network-online.target\n"}},
	{"sluice-api.service", twin{"the schema comes first", "Wants=network-online.target sluice-migrate.service\n", "Wants=network-online.target sluice-migrate.service\nRequires=sluice-migrate.service\n"}},
	{"sluice-api.service", twin{"the schema comes first", "postgresql.service sluice-migrate.service", "postgresql.service"}},
	{"sluice-consumer.service", twin{"operations ports differ", "127.0.0.1:8082", "127.0.0.1:8081"}},
	{"sluice-consumer.service", twin{"operations ports differ", "127.0.0.1:8082", ":8082"}},
	{"sluice-scheduler.service", twin{"memory of Go stays below the limit", "MemoryMax=256M", "MemoryMax=220M"}},
}

func TestSystemdTwins(t *testing.T) {
	files := map[string][]byte{}
	for _, w := range systemdTwins {
		files[w.file] = read(t, "deploy/systemd/"+w.file)
	}
	if len(files) != 5 {
		t.Errorf("%d units have twins", len(files))
	}
	before, err := systemdFaultsIn(t.Context(), files, built)
	if err != nil {
		t.Fatal(err)
	}
	var rules []string
	for _, r := range systemdRules {
		rules = append(rules, r.name)
	}
	every(t, append(rules, "systemd takes them"), twins(systemdTwins))
	for _, w := range systemdTwins {
		t.Run(w.rule, func(t *testing.T) {
			changed := maps.Clone(files)
			changed[w.file] = w.in(t, files[w.file])
			faults, err := systemdFaultsIn(t.Context(), changed, built)
			if err != nil {
				t.Fatal(err)
			}
			w.catches(t, before, faults)
		})
	}
}
