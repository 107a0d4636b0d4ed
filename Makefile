# Every target is a thin line over an npm script; `make install` runs by itself when package-lock.json has changed.
.DEFAULT_GOAL := default
.PHONY: default help install run test lint check bench profile chaos chaos-control kill-matrix storm rolling-restarts fuzz soak integration debug openapi readme migrate migrate-down migration update sbom clean test-browser screenshots
installed := node_modules/.installed

default: check ## Check everything, then run the tests with coverage
	npm run --silent test:coverage

help: ## List the targets
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/p' Makefile | expand -t 24

install: $(installed) ## Install what is needed, when it has changed

$(installed): package-lock.json .npmrc
	npm ci --loglevel=error
	@touch $@

run: install ## Start PostgreSQL, a Twilio simulator and the service on port 5000
	@npm start --silent

test: install ## Run the tests
	npm test --silent

lint: install ## Mend format and lint
	npm run --silent lint

check: install ## Verify format, lint, types, dead code and lock file; changes nothing
	npm run --silent check

bench: install ## Measure, beside floors measured in the same run (json=yes: as JSON; big=yes: with millions of rows, takes an hour)
	npm run --silent bench -- $(if $(filter yes,$(json)),--json) $(if $(filter yes,$(big)),--big)

profile: install ## Flame graphs of sending and of callbacks: profile-post.svg, profile-callback.svg
	npm run --silent profile

# How large the drills are; each is a knob: make chaos MESSAGES=300 SEED=7
MESSAGES ?= 2000
SEED ?= 1
RUNS ?= 10
DURATION ?= 60
REQUESTS ?= 100000
SECONDS ?= 600

chaos: install ## Prove the guarantees under kill -9, crashes and lost answers (MESSAGES=2000 SEED=1)
	npm run --silent chaos -- --messages $(MESSAGES) --seed $(SEED)

chaos-control: install ## Let the judge of make chaos catch the Python service's order of steps
	npm run --silent chaos -- --control --messages $(MESSAGES) --seed $(SEED)

kill-matrix: install ## Kill the service before and after each commit that matters (RUNS=10)
	npm run --silent kill-matrix -- --runs $(RUNS)

storm: install ## Callbacks as fast as the machine takes them (DURATION=60 SEED=1)
	npm run --silent storm -- --seconds $(DURATION) --seed $(SEED)

rolling-restarts: install ## 20 deploys under load, without a failed request
	npm run --silent rolling-restarts -- --seed $(SEED)

fuzz: install ## 100,000 requests made from the OpenAPI document, good and bad, and bytes that are no HTTP (REQUESTS=100000 SEED=1)
	npm run --silent fuzz -- --requests $(REQUESTS) --seed $(SEED)

soak: install ## Mixed load on a bad day at Twilio: memory, event loop, tables, slowest statements (SECONDS=600 SEED=1)
	npm run --silent soak -- --seconds $(SECONDS) --seed $(SEED)

# Debian's; elsewhere name another: make test-browser CHROMIUM=/path/to/chromium
export CHROMIUM ?= /usr/bin/chromium

test-browser: install $(CHROMIUM) ## Play an operator's day in the console, in Chromium
	npm run --silent test:browser

screenshots: install $(CHROMIUM) ## Write docs/screenshots from a seeded run
	SCREENSHOTS=docs/screenshots npm run --silent test:browser -- test/browser/screenshots.browser.ts

$(CHROMIUM):
	@if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then apt-get update -qq && apt-get install -qq -y chromium > /dev/null; \
	else echo "The browser tests need Chromium at $(CHROMIUM): install it (Debian: apt-get install chromium), or say CHROMIUM=..."; exit 1; fi

integration: install ## Play the platform's use of the service against a running one
	npm run --silent integration

debug: install ## Run the tests that failed last under the inspector
	npm run --silent test:debug

openapi: install ## Write docs/openapi.yaml
	npm run --silent openapi

readme: install ## Write the generated parts of the README
	npm run --silent readme

migrate: install ## Bring the database to the newest version
	npm run --silent migrate

migrate-down: install ## Take the database back by one version (lose=yes: even if data goes)
	npm run --silent migrate:down -- $(if $(filter yes,$(lose)),--lose-data)

migration: install ## Write a new migration: make migration m='add a column'
	npm run --silent migration -- '$(m)'

update: install ## Update the dependencies within their ranges and check the lock file
	npm run --silent update

# Where the bill goes; it is not committed.
SBOM ?= sbom.cdx.json

sbom: ## Write what this is made of, development marked as such, as CycloneDX from the lock file alone (SBOM=sbom.cdx.json)
	npm run --silent sbom > $(SBOM)

clean: ## Remove what the tools have left behind (never the data)
	npm run --silent clean
