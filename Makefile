# `make` alone lists what there is.

.DEFAULT_GOAL := help
.PHONY: help setup build demo up torture test vet staticcheck check check-all clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1|\2/' | \
		while IFS='|' read -r name text; do printf '  %-12s %s\n' "$$name" "$$text"; done

setup: ## install what the tests need if it is missing (redis-server, postgresql, gcc)
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

test: setup ## all tests, with the race detector and in random order, on real servers
	go test -race -shuffle=on -count=1 ./...

vet: ## what the Go team warns about
	go vet ./...

staticcheck: ## what staticcheck warns about
	go tool staticcheck ./...

check: ## all that a change must pass: what CI runs
	@.ci/run

check-all: check torture ## check, and what takes longer

clean: ## remove what was built
	rm -rf bin
