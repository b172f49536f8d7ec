# `make` alone lists what there is.

.DEFAULT_GOAL := help
SHELL := bash
.PHONY: help setup build demo up torture torture-cluster rolling hosts hosts-known-bad k6 k6-known-bad test test-replica test-cluster fuzz vet staticcheck lint-openapi bench bench-smoke env deploy-check dashboards alerts web-check check check-all clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/\1|\2/' | \
		while IFS='|' read -r name text; do printf '  %-15s %s\n' "$$name" "$$text"; done

setup: ## install what the tests need if it is missing (redis-server, postgresql, pgbouncer, gcc)
	@.ci/setup

build: ## build the commands into bin/
	go build -o bin/ ./cmd/...

demo: ## run the whole thing here and watch four sales (ARGS="--exit" and the like)
	@.ci/setup postgres
	go run ./cmd/sluice demo $(ARGS)

up: ## run every part in one process on a database that lasts (ARGS=…)
	@.ci/setup postgres
	go run ./cmd/sluice up $(ARGS)

torture: ## break a deployment at random for three minutes, and check that nobody was wronged (ARGS="--seed 7" and the like)
	@.ci/setup
	go run ./cmd/sluice torture $(ARGS)

torture-cluster: ## the same with a Redis Cluster, whose masters die, lag, freeze and hand over, and whose slots move
	@.ci/setup
	go run ./cmd/sluice torture --cluster $(ARGS)

rolling: setup ## run the last release beside this one and roll to and fro while things break (ARGS="COMMIT --seconds 120")
	@.ci/rolling $(ARGS)

hosts: setup ## put three hosts into network namespaces, cut and freeze them, and check that nobody was wronged (needs root; ARGS="--seconds 300")
	@.ci/hosts $(ARGS)

hosts-known-bad: setup ## prove that it notices a consumer that is wrong on purpose (five minutes; needs root)
	@.ci/hosts --known-bad

k6: ## send a crowd through k6 against this tree and hold the record against what it read (ARGS="soak -e RATE=5")
	@.ci/k6 $(ARGS)

k6-known-bad: ## prove that k6 notices a consumer that is wrong on purpose, and an API that lies
	@.ci/k6 --known-bad $(ARGS)

# What stands beside Sluice is a module of its own, whose libraries are none of the product's.
RIVALS := internal/bench/rivals
BENCH := go build -o bin/ ./cmd/sluice && (cd $(RIVALS) && go build -o ../../../bin/ .) && bin/sluice bench --rivals bin/rivals

bench: ## measure everything beside its limits, locks and other carriers, and write docs/benchmarks.* and what docs/scaling.md computes from it (half an hour; ARGS="--only door" and the like)
	@.ci/setup redis postgres
	$(BENCH) --docs docs $(ARGS)
	go test -race -count=1 ./internal/plan -run ScalingPage -update

bench-smoke: ## see that every benchmark runs, with tiny amounts; nothing is written
	@.ci/setup redis postgres
	$(BENCH) --smoke $(ARGS)

test: setup ## all tests, with the race detector and in random order, on real servers (ARGS="./internal/sale" and the like)
	@.ci/test $(ARGS)

test-cluster: setup ## the tests that touch Redis, on a cluster of three masters with replicas, and some behind sentinels (ARGS=…)
	@.ci/test-cluster $(ARGS)

test-replica: setup ## the ledger's tests beside a replica that has none of what they write, and passes for fresh
	SLUICE_TEST_REPLICA=paused .ci/test $(ARGS) ./internal/ledger

FUZZTIME ?= 10s

fuzz: setup ## give every decoder any bytes, each for FUZZTIME (10s, or FUZZTIME=1m and the like)
	@packages=$$(go list ./...) || exit 1; failed=; for package in $$packages; do \
		listed=$$(go test -list '^Fuzz' $$package) || exit 1; \
		for target in $$(grep '^Fuzz' <<<"$$listed"); do \
			echo "── $$package $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package || failed="$$failed $$target"; \
		done; \
	done; \
	[[ -z $$failed ]] || { echo "broken:$$failed" >&2; exit 1; }

vet: ## what the Go team warns about
	go vet ./...

staticcheck: ## what staticcheck warns about
	go tool staticcheck ./...

# The newest that Node 20 can run.
REDOCLY := @redocly/cli@2.77.0

lint-openapi: ## what a public linter says of the document of the API (needs npx)
	npx --yes $(REDOCLY) lint --config internal/httpapi/redocly.yaml internal/httpapi/openapi.json

env: ## write .env with random secrets, for docker compose up
	@deploy/env

deploy-check: ## hold docker-compose.yml, Dockerfile, deploy/ against the program, and run them without Docker
	@.ci/setup redis postgres haproxy systemd
	cd deploy/check && go vet ./... && go tool -modfile=../../go.mod staticcheck ./... && go test -race -shuffle=on -count=1 ./...
	deploy/rehearse
	deploy/rehearse --known-bad

dashboards: ## hold the dashboards against metrics, runbook and a real Prometheus that scrapes a demo
	@.ci/setup redis postgres prometheus
	cd grafana/check && go vet ./drawing ./stage ./boards && go tool -modfile=../../go.mod staticcheck ./drawing ./stage ./boards && \
		go test -race -shuffle=on -count=1 -timeout 30m ./drawing ./stage ./boards

alerts: ## hold the alerts against their cases, the metrics, the runbook, and a deployment that breaks (ten minutes)
	@.ci/setup redis postgres prometheus
	promtool check config grafana/prometheus/prometheus.yml
	promtool test rules grafana/prometheus/*_test.yml
	cd grafana/check && go vet ./rules ./faults && go tool -modfile=../../go.mod staticcheck ./rules ./faults && \
		go test -race -shuffle=on -count=1 -p 1 -timeout 30m ./rules ./faults

web-check: ## go through the pages in a real browser, against a whole Sluice (three minutes; ARGS="-run TestLine", "-shots DIR" and the like)
	@.ci/setup redis postgres chromium npm
	cd web/check && go vet ./... && go tool -modfile=../../go.mod staticcheck ./... && go test -race -count=1 -timeout 20m . $(ARGS)

check: ## all that a change must pass: what CI runs
	@.ci/run

check-all: check test-replica test-cluster torture torture-cluster rolling hosts hosts-known-bad fuzz deploy-check dashboards alerts web-check lint-openapi k6 k6-known-bad ## check, and what takes longer

clean: ## remove what was built
	rm -rf bin
