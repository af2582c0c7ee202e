# Bridgehead. `make run` and `make test` do all the set-up that they need on a
# Debian or Ubuntu machine with Go; everything else is listed by `make help`.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help run build test unit race e2e lint bench fuzz screenshots soak prompts web web-test clean setup-build setup-test

# libopus is linked statically, so that the one binary is all there is.
export GOFLAGS := -tags=nolibopusfile -buildvcs=false
export PKG_CONFIG_PATH := $(CURDIR)/.cache/pkgconfig
VERSION := $(shell git describe --always --dirty 2>/dev/null || echo dev)
FUZZTIME ?= 10s

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

run: build ## build and serve, with everything in ./data
	bin/bridgehead serve

build: setup-build ## build bin/bridgehead, and bin/bridgehead-media beside it
	@mkdir -p bin
	go build -trimpath -ldflags "-X main.version=$(VERSION)" -o bin/bridgehead ./gateway
	go build -trimpath -o bin/bridgehead-media ./gateway/mediaworker

test: setup-test build web-test race e2e fuzz ## every test; what they need is installed first

unit: setup-test ## unit tests, quickly
	go test ./...

race: setup-test ## unit tests under the race detector
	go test -race ./...

e2e: setup-test build ## end-to-end tests with real peers
	go test -count=1 -timeout 40m -parallel 4 -tags nolibopusfile,e2e ./gateway/e2e

lint: setup-build ## formatting, vet and staticcheck
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo "run gofmt on these files"; exit 1; }
	go vet ./...
	go vet -tags nolibopusfile,e2e ./gateway/e2e
	go tool staticcheck -tags nolibopusfile,e2e ./...

fuzz: setup-build ## every fuzz target for FUZZTIME (default 10s)
	.ci/fuzz $(FUZZTIME)

bench: build ## measure, and print the tables of docs/performance.md
	bin/bridgehead load bench --out docs/performance.md

screenshots: setup-test build ## pictures of every page in light and dark, on a screen and a telephone, into screenshots/
	@mkdir -p screenshots
	E2E_PICTURES=$(CURDIR)/screenshots go test -count=1 -tags nolibopusfile,e2e ./gateway/e2e -run TestEveryPageSuitsEveryScreen

soak: build ## hours of callers who come and go, with drifting clocks, loss and jitter (flags: SOAK="--duration 30m")
	bin/bridgehead load soak $(SOAK)

prompts: ## make the spoken prompts anew
	core/ivr/prompts/make.sh

web: ## build the web client into gateway/web/dist
	cd gateway/web && npm ci --silent && npm run build

clean: ## remove what was built
	rm -rf bin .cache gateway/web/node_modules

setup-build: .cache/pkgconfig/opus.pc

.cache/pkgconfig/opus.pc: .ci/packages
	@.ci/packages build
	@mkdir -p $(@D)
	@sed 's/-lopus/-l:libopus.a -lm/' $$(PKG_CONFIG_PATH= pkg-config --variable=pcfiledir opus)/opus.pc > $@

web-test: ## test the web client, and that dist is what its sources make
	@.ci/web

setup-test: setup-build
	@.ci/packages test
	@cd gateway/e2e/browser && { cmp -s package-lock.json node_modules/.lock || { \
		echo "Installing the browser driver's packages" && npm ci --silent && cp package-lock.json node_modules/.lock; }; }
