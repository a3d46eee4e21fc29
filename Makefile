GO      ?= go
PREFIX  ?= /usr/local
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
FUZZTIME ?= 30s

STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: help build demo test test-all lint gpu-check oracle bench fuzz cover clean install

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# sandbox-gpu-probe alone is built with C: NVIDIA's library needs the dynamic linker. It runs on the glibc
# that it is built on and newer ones; without it GPUs are known by what the kernel shows.
PROBE  = ./cmd/sandbox-gpu-probe
STATIC = $(filter-out $(PROBE),$(patsubst %/,%,$(dir $(wildcard ./cmd/*/main.go))))
# go-nvml's header marks most of itself as deprecated.
export CGO_CFLAGS ?= -O2 -g -Wno-deprecated-declarations

build: ## bin/sandbox and the engine beside it, static files; with a C compiler the GPU probe too
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/ $(STATIC)
	@rm -f bin/sandbox-gpu-probe; if ! command -v $(firstword $(CC)) >/dev/null; then \
		echo "no C compiler ($(CC)): bin/sandbox-gpu-probe is not built, and GPUs are listed without memory, processes and slices"; \
	else \
		CGO_ENABLED=1 CC="$(CC)" $(GO) build -trimpath -ldflags '-s -w' -o bin/ $(PROBE); \
	fi

demo: build ## assemble an environment with PyTorch and train a network in it, without root
	bin/sandbox run -C examples/train-digits train

test: ## all tests, on this host's real parts; as root also as both kinds of ordinary user
	@$(GO) run ./internal/testenv/lacks
	$(GO) test -count=1 -timeout 25m ./...

test-all: ## the same, and every user runs what takes minutes too
	@$(GO) run ./internal/testenv/lacks
	SANDBOX_TEST_ALL=1 $(GO) test -count=1 -timeout 90m ./...

lint: ## gofmt, vet (also for macOS), staticcheck, go.mod tidy
	@files=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$files" ]; then echo "not formatted: $$files"; exit 1; fi
	$(GO) vet ./...
	GOOS=darwin $(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...
	$(GO) mod tidy -diff
	cd tools/oracle && $(GO) mod tidy -diff

gpu-check: ## prove on a machine with an NVIDIA GPU, without a network, that GPUs work: docs/gpu.md
	bench/gpu-check

oracle: ## our choice of a driver's files beside that of NVIDIA's own tool, as root
	cd tools/oracle && CGO_ENABLED=1 $(GO) test -count=1 ./...

bench: build ## speed beside the peers, as in docs/benchmarks.md
	bench/run

fuzz: ## each fuzz target for FUZZTIME (30s)
	@grep -rl --include='*_test.go' '^func Fuzz' . | while read -r file; do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$$file"); do \
			echo "== $$file $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 2s "$$(dirname "$$file")" || exit 1; \
		done; \
	done

cover: ## which lines the tests reach, the scripts included: bin/cover.html
	@rm -rf bin/cover && mkdir -p bin/cover && chmod 1777 bin/cover
	GOCOVERDIR=$(CURDIR)/bin/cover $(GO) test -count=1 -timeout 40m -coverpkg=./... -coverprofile=bin/unit.out ./...
	$(GO) tool covdata textfmt -i=bin/cover -o bin/scripts.out
	@{ cat bin/unit.out; tail -n +2 bin/scripts.out; } > bin/cover.out
	$(GO) tool cover -html=bin/cover.out -o bin/cover.html
	@$(GO) tool cover -func=bin/cover.out | tail -1

clean: ## remove what make built here; stores are `sandbox gc`'s business
	rm -rf bin .bench

install: build ## put the tool below PREFIX (/usr/local): what people type in bin, what it executes in libexec
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/libexec/sandbox
	install -m 755 bin/sandbox-* $(DESTDIR)$(PREFIX)/libexec/sandbox/
	install -m 755 bin/sandbox $(DESTDIR)$(PREFIX)/bin/
