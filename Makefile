# Automat.  `make run` and `make test` are all a newcomer needs; each installs what is missing first.
SHELL := /bin/bash
JOBS ?= $(shell nproc)
LISTEN ?= 127.0.0.1:8000
MQTT ?= 127.0.0.1:1883
DATA ?= data

.PHONY: run build ui test test-slow bench fuzz clean tidy

run: build
	build/release/automat serve --listen $(LISTEN) --mqtt $(MQTT) --data $(DATA) --demo

build: deps-build
	cmake --preset release >/dev/null
	cmake --build --preset release -j $(JOBS)
	@$(MAKE) --no-print-directory ui

.PHONY: deps-build
deps-build:
	@tools/deps.sh build ui

# The front end: npm install only when the lock file changed, build only when a source did.
ui: build/release/ui/index.html

ui/node_modules/.installed: ui/package-lock.json ui/package.json
	cd ui && npm install --no-audit --no-fund # not ci: it wants lock entries for platforms that a registry may lack
	@touch $@

build/release/ui/index.html: ui/node_modules/.installed $(shell find ui/src ui/public ui/scripts ui/index.html ui/vite.config.ts -type f 2>/dev/null)
	cd ui && npm run build
	@mkdir -p build/release
	rm -rf build/release/ui && cp -r ui/dist build/release/ui

test: build
	@tools/deps.sh test
	tests/run.sh quick

test-slow: build
	@tools/deps.sh test slow
	tests/run.sh slow

bench: build
	@tools/deps.sh test bench
	bench/run.sh

fuzz:
	@tools/deps.sh build test
	cmake --preset fuzz && cmake --build --preset fuzz -j $(JOBS)

clean:
	rm -rf build ui/dist
