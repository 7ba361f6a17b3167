# `make` lists the targets. They need Go, make, git and bash. verify also needs gcc for the race detector, and image
# needs docker.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PACKAGE := github.com/awsauth-guard/awsauth-guard
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null)
REVISION ?= $(shell git rev-parse HEAD 2>/dev/null)
LDFLAGS := -s -w -X $(PACKAGE)/internal/version.version=$(VERSION)
# The Dockerfile and tools/dist.sh use the same flags, so that all builds give the same bytes. -buildvcs=false is for
# the Dockerfile: its build has no .git, and would otherwise give other bytes.
BUILD := CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)'
# The Dockerfile has the same labels.
LABELS := \
	-label "org.opencontainers.image.title=awsauth-guard" \
	-label "org.opencontainers.image.description=Admission webhook that refuses edits of EKS's aws-auth ConfigMap that lock people out" \
	-label "org.opencontainers.image.source=https://github.com/awsauth-guard/awsauth-guard" \
	-label "org.opencontainers.image.licenses=Apache-2.0" \
	-label "org.opencontainers.image.version=$(VERSION)" \
	-label "org.opencontainers.image.revision=$(REVISION)"
IMAGE ?= awsauth-guard:dev
IMAGE_ARCHIVE ?= dist/image.tar
PLATFORMS ?= linux/amd64,linux/arm64
comma := ,
FUZZTIME ?= 30s
SOAK ?= 5m

# MODULES are the folders of all modules of the repository, with the root first. CODE are the modules with Go code of this
# project, except tools/cert-manager: for its one file the linter would analyse cert-manager, which takes minutes.
MODULES := $(patsubst ./%,%,$(sort $(patsubst %/go.mod,%,$(shell find . -name go.mod -not -path '*/.*' -not -path '*/testdata/*'))))
CODE := $(filter-out tools/%,$(MODULES)) tools/cabundle tools/packages tools/sbom tools/sitecheck

# GOLDEN are the packages of the root module, except test/documents, whose tests write files if UPDATE_GOLDEN is set. A test holds this
# list.
GOLDEN := ./internal/cli ./internal/config ./internal/edit ./internal/entryplan ./internal/fix ./internal/metrics ./internal/migrate ./internal/validate

GOLANGCI_LINT = go tool -modfile=$(CURDIR)/tools/golangci-lint/go.mod golangci-lint
HELM = go tool -modfile=$(CURDIR)/tools/helm/go.mod helm
HELM_DOCS = go tool -modfile=$(CURDIR)/tools/helm-docs/go.mod helm-docs
ACTIONLINT = go tool -modfile=$(CURDIR)/tools/actionlint/go.mod actionlint
GOVULNCHECK = go tool -modfile=$(CURDIR)/tools/govulncheck/go.mod govulncheck
# kube-apiserver, kubectl and etcd: KUBEBUILDER_ASSETS when it is set, else built once and cached.
WITH_CONTROL_PLANE = KUBEBUILDER_ASSETS=$$(tools/controlplane.sh) && export KUBEBUILDER_ASSETS

##@ Use
.PHONY: help
help: ## list the targets
	@awk 'BEGIN { FS = ":.*## " } /^##@ / { printf "\n%s\n", substr($$0, 5) } /^[a-z-]+:.*## / { printf "  %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build the webhook and the kubectl plugin into bin/
	$(BUILD) -o bin/awsauth-guard-webhook ./cmd/webhook
	$(BUILD) -o bin/kubectl-awsauth ./cmd/kubectl-awsauth

.PHONY: demo
demo: export KEEP := $(KEEP)
demo: ## see the guard work on a real API server; KEEP=1 leaves it running
	$(WITH_CONTROL_PLANE) && go run ./test/demo

.PHONY: site
site: ## build the documentation as a site into dist/site, with the newest releases
	tools/site.sh dist/site

.PHONY: image
image: ## build the container image IMAGE; GO_IMAGE is the Go image
	DOCKER_BUILDKIT=1 docker build --tag $(IMAGE) $(if $(TARGET),--target $(TARGET)) $(if $(CLI_BASE),--build-arg CLI_BASE=$(CLI_BASE)) $(if $(GO_IMAGE),--build-arg GO_IMAGE=$(GO_IMAGE)) \
		--build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) \
		--build-arg SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) .

.PHONY: image-cli
image-cli: ## build the image of kubectl-awsauth with a shell, for CI systems, as IMAGE; GO_IMAGE and CLI_BASE are its bases
	$(MAKE) image TARGET=cli

.PHONY: image-archive
image-archive: ## pack the same files for PLATFORMS into IMAGE_ARCHIVE, without Docker
	@for platform in $(subst $(comma), ,$(PLATFORMS)); do \
		for command in webhook:awsauth-guard-webhook kubectl-awsauth:kubectl-awsauth; do \
			GOOS=$${platform%/*} GOARCH=$${platform#*/} $(BUILD) \
				-o dist/image/$${platform#*/}/$${command#*:} ./cmd/$${command%:*}; \
		done; \
	done
	@go run -C tools/cabundle . >dist/image/ca-certificates.crt
	@go run ./test/cluster/image -tag $(IMAGE) -output $(IMAGE_ARCHIVE) -platforms $(PLATFORMS) $(LABELS) \
		dist/image/{arch}/awsauth-guard-webhook dist/image/{arch}/kubectl-awsauth LICENSE \
		dist/image/ca-certificates.crt=/etc/ssl/certs/ca-certificates.crt

.PHONY: dist
dist: ## build what a release has beside the image into dist/release: programs, packages, chart, SBOM, checksums
	VERSION=$(VERSION) LDFLAGS='$(LDFLAGS)' tools/dist.sh

.PHONY: packages
packages: ## install the packages that `make dist` made, with krew, dpkg and rpm, into temporary folders
	tools/check-packages.sh dist/release

##@ Check
# test runs its parts at the same time, because most tests with a control plane spend their time waiting.
.PHONY: test
test: ## run every test that needs no root
	$(WITH_CONTROL_PLANE) && $(MAKE) --jobs test-unit test-integration test-modules

.PHONY: test-unit
test-unit: ## run the tests of the root module that need no control plane
	go test -timeout 20m $$(go list ./... | grep -vE '/test/(documents|integration)$$')

.PHONY: test-integration
test-integration: ## run the webhook's tests beside a real API server, and the commands of the documents
	$(WITH_CONTROL_PLANE) && go test -timeout 20m ./test/integration ./test/documents

.PHONY: test-modules
test-modules: ## run the tests of the other modules, with those of the chart
	# -count=1: Go's cache of results ignores files that a test reads outside of its module, such as the chart.
	$(WITH_CONTROL_PLANE) && for module in $(filter-out .,$(CODE)); do (cd $$module && go test -count=1 -timeout 20m ./...); done

.PHONY: e2e
e2e: export KEEP := $(KEEP)
e2e: ## install the chart in a real cluster and kill its pods; needs root on Debian, or E2E_KUBECONFIG
	test/e2e/run.sh

.PHONY: verify
verify: verify-format verify-tidy verify-commits verify-generated lint verify-race ## run the checks and the tests of the root module that CI runs
	@echo "verify: ok"

.PHONY: lint
lint: ## run golangci-lint on every module, helm lint on the chart, and actionlint, with shellcheck if it is installed
	for module in $(CODE); do (cd $$module && $(GOLANGCI_LINT) run --config $(CURDIR)/.golangci.yaml ./...); done
	$(HELM) lint --strict --quiet charts/awsauth-guard
	$(ACTIONLINT) -shellcheck="$$(command -v shellcheck || true)" -pyflakes= .github/workflows/*.yaml

.PHONY: verify-format
verify-format: ## fail if `make fmt` would change a file
	$(GOLANGCI_LINT) fmt --diff

.PHONY: verify-tidy
verify-tidy: ## fail if `make tidy` would change a module
	for module in $(MODULES); do (cd $$module && go mod tidy -diff) || { echo "$$module: go.mod or go.sum is not tidy; run make tidy" >&2; exit 1; }; done

.PHONY: verify-commits
verify-commits: ## fail if the subject of a recent commit is not `package: imperative subject`
	tools/verify-commits.sh

.PHONY: verify-generated
verify-generated: ## fail if `make generate` would change a file
	tools/verify-unchanged.sh make generate

.PHONY: verify-race
verify-race: ## run every test of the root module under the race detector
	$(WITH_CONTROL_PLANE) && CGO_ENABLED=1 go test -race -timeout 30m ./...

.PHONY: oracle
oracle: export GOGC := 400
oracle: ## compare the guard with the released authenticator, on COUNT changes, PAIRS of aws-auth and access entries, and TEXTEDITS edits of texts, generated from SEED
	$(WITH_CONTROL_PLANE) && cd test/oracle && go test -count=1 -timeout 3h -v . -args \
		-cases=$(or $(COUNT),100000) -pairs=$(or $(PAIRS),20000) -text-edits=$(or $(TEXTEDITS),5000) -seed=$(or $(SEED),1) -edits=1000

.PHONY: compat
compat: ## run the tests of the webhook and the chart on API servers of VERSIONS, such as "1.30 1.37", and write the results into the docs
	go run ./test/compat -versions '$(VERSIONS)'

.PHONY: chain
chain: ## make COUNT admitted edits on a real API server, move MAPS maps to access entries, and log in through the released authenticator after each; SEED selects the edits and maps
	$(WITH_CONTROL_PLANE) && cd test/chain && go test -count=1 -timeout 3h -v . -args \
		-edits=$(or $(COUNT),1000) -maps=$(or $(MAPS),500) -seed=$(or $(SEED),1)

.PHONY: mutants
mutants: export GOGC := 400
mutants: ## inject mistakes into the engine, one at a time, and report which of them the oracle detects
	cd test/oracle && go run ./mutants -cases $(or $(COUNT),12000) -seed $(or $(SEED),1)

.PHONY: bench
bench: ## measure a review, and compare it with the authenticator's own parsing and, over HTTPS, with a webhook that allows everything
	cd test/bench && go run .

.PHONY: cost
cost: ## find texts of 1 MiB that are expensive to evaluate; ONLY is a regular expression for the names of the texts
	go run ./test/cost -only '$(ONLY)'

.PHONY: efficacy
efficacy: ## rewrite docs/efficacy.md: public reports, evaluated by the guard, the authenticator and Rego
	cd test/bench && UPDATE_GOLDEN=1 go test -count=1 ./efficacy

.PHONY: soak
soak: ## load the webhook for SOAK while its certificate and configuration change; print the figures
	go run ./test/soak -duration $(SOAK)

.PHONY: fleet
fleet: ## measure kubectl awsauth over 200 API servers of which some refuse, hang or flood
	go run ./test/fleet

.PHONY: fuzz
fuzz: ## run every fuzz test for FUZZTIME
	@packages=$$(go list ./...); \
	for package in $$packages; do \
		names=$$(go test -list '^Fuzz' $$package | sed -n '/^Fuzz/p'); \
		for name in $$names; do \
			echo "==> $$package $$name"; \
			go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$package; \
		done; \
	done

.PHONY: vulncheck
vulncheck: ## look up known vulnerabilities in the code that each module calls; needs network
	for module in $(CODE); do echo "==> $$module" && (cd $$module && $(GOVULNCHECK) ./...); done

.PHONY: verify-site
verify-site: site ## check the versions of the site, load every page in Chromium, follow every link, and save screenshots in dist/screenshots
	tools/verify-site-versions.sh
	go run -C tools/sitecheck . $(CURDIR)/dist/site $(CURDIR)/dist/screenshots

##@ Change
.PHONY: fmt
fmt: ## format the Go files
	$(GOLANGCI_LINT) fmt

.PHONY: tidy
tidy: ## tidy every module
	for module in $(MODULES); do (cd $$module && go mod tidy); done

.PHONY: generate
generate: ## rewrite goldens and generated documents; read the diff
	UPDATE_GOLDEN=1 go test -count=1 $(GOLDEN)
	$(WITH_CONTROL_PLANE) && cd test/chart && UPDATE_GOLDEN=1 go test -count=1 -run '^(TestGolden|TestSchemaOfGuardConfig)$$' .
	$(HELM_DOCS) --log-level warning --chart-search-root charts
	$(WITH_CONTROL_PLANE) && UPDATE_GOLDEN=1 go test -count=1 ./test/documents

.PHONY: recording
recording: ## record `make demo` for the pages: docs/images/demo.cast and demo.svg
	$(WITH_CONTROL_PLANE) && RECORD=docs/images go run ./test/demo

.PHONY: clean
clean: ## remove build results; the control plane stays in its cache folder
	rm -rf bin dist
