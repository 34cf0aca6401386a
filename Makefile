# Backstream: `make demo` shows it, `make test` checks it. Each sets itself up in .venv from the package index.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Images of containers set it. Without compiled files each process would compile the source anew: a second for each command.
unexport PYTHONDONTWRITEBYTECODE
# On two cores: a test waits for servers and clocks two thirds of its time. Who has nothing left takes over what others have not begun.
WORKERS ?= 7
SPREAD := -n $(WORKERS) --dist worksteal

.PHONY: demo test lint types layers unit soak web-load servers spark spark-test spark-soak bench fuzz mutate docs docs-site screens package terraform-module lambda lambda-lock cli-lock docs-lock clean help

help: ## what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: $(VENV)/local ## a real day of flights: captured, ruined, brought back (about a minute; once, the set-up before it)
	$(BIN)/backstream demo

# The checks need one processor, and so does the first collection of the tests, which compiles them for all workers at once.
# What the checks say comes last, where it is seen; each of the two can fail the whole.
test: $(VENV)/dev ## everything that must hold: style, types, layers, tests (about 20 minutes on two idle cores)
	@mkdir -p build
	@$(MAKE) --no-print-directory lint >build/lint.txt 2>&1 & checks=$$!; \
	$(BIN)/pytest --collect-only --quiet >build/collected.txt 2>&1; \
	$(MAKE) --no-print-directory unit; tests=$$?; \
	wait $$checks; checks=$$?; cat build/lint.txt; \
	if [ $$checks -ne 0 ]; then echo "make lint: failed, see above"; fi; \
	exit $$((tests | checks))

lint: $(VENV)/dev ## style, types, the direction of imports, and plain English
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@# Pages and notes break no rule. The margin is for pages that several people write on one day; each sentence is printed.
	PYTHONPATH=tests $(BIN)/python -m kit.plain_english --most=30 *.md docs/*.md docs/notes/*.md
	@# In the code some forty lists of parts and fields, and figures of a part and its whole, are right as they stand.
	PYTHONPATH=tests $(BIN)/python -m kit.plain_english --count --most=80 src
	@# proselint, on pages and notes. Its exceptions stand in that module, each with its reason.
	PYTHONPATH=tests $(BIN)/python -m kit.general_english --most=10 *.md docs/*.md docs/notes/*.md

unit: $(VENV)/dev ## the tests
	$(BIN)/pytest $(SPREAD) -m "not soak and not spark" --durations=10

# It takes hours. Stopped, it goes on where it was, as long as no file has changed; build/soak*.txt tell what has passed.
soak: $(VENV)/dev ## kill -9 fifty times, a million rows, base backups under load, long random runs (an hour and a half on two idle cores)
	PYTHONPATH=tests $(BIN)/pytest -p kit.going_on --passed build/soak.txt $(SPREAD) -m "soak and not spark" --timeout 1800 --durations=10
	PYTHONPATH=tests $(BIN)/pytest -p kit.going_on --passed build/soak-thorough.txt $(SPREAD) -m "hypothesis and not soak and not spark" \
		--hypothesis-profile thorough --timeout 1800 --durations=10

fuzz: $(VENV)/fuzz ## bytes of any kind for every reader of what lies in a bucket, an hour
	$(BIN)/python -m fuzz

mutate: $(VENV)/mutate ## plant a fault in each rule, one at a time: does a fast test see it? (an hour; again: it goes on)
	$(BIN)/python -m mutation

spark: $(VENV)/local ## dist/backstream.zip for `spark-submit --py-files`, and the job file beside it (docs/spark.md)
	$(BIN)/python -m backstream.engine.spark.shipped dist/backstream.zip
	cp spark_job/backstream_job.py dist/

# One process, so one cluster: a master and two workers on loopback. SPARK_VERSION=3.5.9 for an older Spark.
spark-test: $(VENV)/spark ## the tests on a Spark cluster; pyspark and Java 17 are needed (some minutes)
	$(VENV)/spark/bin/pytest -m "spark and not soak" --timeout 1800 --durations=10

spark-soak: $(VENV)/spark ## 200 random histories on a Spark cluster (half an hour)
	$(VENV)/spark/bin/pytest -m "spark and soak" --timeout 3600

bench: $(VENV)/bench ## side by side with boto3, dynamodump and wrk, into docs/benchmarks.md (a quarter of an hour)
	$(BIN)/python -m benchmarks

$(VENV)/local: pyproject.toml requirements/cli.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Backstream needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements/cli.txt
	$(BIN)/python -m pip install --quiet --editable '.[local,web]'
	touch $@

$(VENV)/dev: $(VENV)/local
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

# dynamodump pins its boto3, so it gets an environment of its own; without it the rest is measured all the same.
$(VENV)/fuzz: $(VENV)/dev pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[fuzz]'
	touch $@

$(VENV)/mutate: $(VENV)/dev pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[mutate]'
	touch $@

SPARK_VERSION ?= 4.3.0
$(VENV)/spark: pyproject.toml
	$(PYTHON) -m venv $@
	$@/bin/python -m pip install --quiet --editable '.[dev]' 'pyspark==$(SPARK_VERSION)'
	touch $@

$(VENV)/bench: $(VENV)/local
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	$(PYTHON) -m venv $(VENV)/dynamodump
	-$(VENV)/dynamodump/bin/python -m pip install --quiet 'dynamodump>=1.11,<2'
	touch $@

web-load: $(VENV)/dev ## twenty users browse ten million changes: the figures of docs/web.md (a quarter of an hour)
	rm -rf build/web-load
	PYTHONPATH=tests $(BIN)/python -m kit.compacted_vault build/web-load
	PYTHONPATH=tests $(BIN)/python -m kit.web_load build/web-load

lambda: $(VENV)/local ## the zips for AWS Lambda into dist/, their sizes, and what a cold start costs (a minute or two)
	$(BIN)/python -m lambda_zip

lambda-lock: $(VENV)/dev ## pin what the zips hold to the versions in .venv, with hashes (half a minute)
	$(BIN)/python -m lambda_zip --lock

cli-lock: $(VENV)/dev ## pin what the command line installs to the versions in .venv, with hashes (some minutes)
	$(BIN)/python -m lambda_zip --lock-cli

servers: $(VENV)/dev ## what the S3 servers on this machine do, into docs/servers.md (half an hour); each is optional
	-npm install --silent --no-audit --no-fund --ignore-scripts --prefix build/servers s3rver@3.7.1
	-test -x build/servers/moto/bin/moto_server || { $(PYTHON) -m venv build/servers/moto && \
		build/servers/moto/bin/python -m pip install --quiet 'moto[server]==5.2.5'; }
	-$(MAKE) --no-print-directory build/servers/ceph-bookworm build/servers/ceph-sid
	PYTHONPATH=tests $(BIN)/python -m kit.servers

# Ceph's gateway and its cluster, unpacked from Debian's packages: it takes Linux, mmdebstrap and a root user. Snapshots of an archive are old.
build/servers/ceph-%:
	mmdebstrap --quiet --variant=extract --aptopt='Acquire::Check-Valid-Until "false"' \
		--include=base-files,radosgw,ceph-mon,ceph-osd,ceph-common $* $@.new
	mv $@.new $@

docs: $(VENV)/dev ## write docs/cli.md from the command line itself
	PYTHONPATH=tests $(BIN)/python -m kit.cli_reference > docs/cli.md

docs-site: $(VENV)/docs ## the pages of docs/ as a site with search, in build/site; each link is checked
	NO_MKDOCS_2_WARNING=1 $(VENV)/docs/bin/mkdocs build --strict --quiet
	@# Nothing is loaded from elsewhere: search has to work without a network.
	! grep -rnE '<(script|img|iframe)[^>]* src="?https?:' build/site --include='*.html'

screens: $(VENV)/dev ## take the pictures of docs/screens anew (Chromium; some minutes)
	PYTHONPATH=tests $(BIN)/python -m kit.screens docs/screens
	SCREENS=$(CURDIR)/docs/screens $(BIN)/pytest --quiet tests/web/test_browser.py -m soak -k accessible

package: $(VENV)/docs ## wheel and sdist into dist/, and whether an index would take them
	rm -rf dist/*.whl dist/*.tar.gz
	$(VENV)/docs/bin/python -m build --quiet --outdir dist .
	$(VENV)/docs/bin/twine check --strict dist/*.whl dist/*.tar.gz

terraform-module: $(VENV)/local ## the Terraform module in the layout of a registry, in build/terraform-aws-backstream
	PYTHONPATH=tests $(BIN)/python -m kit.terraform_module build/terraform-aws-backstream

# A site and a package are built with tools that the tests do without, so these get an environment of their own.
$(VENV)/docs: $(VENV)/local requirements/docs.txt
	$(PYTHON) -m venv $(VENV)/docs
	$(VENV)/docs/bin/python -m pip install --quiet --require-hashes --requirement requirements/docs.txt
	touch $@

docs-lock: $(VENV)/docs ## pin what the site and the package are built with to the versions in .venv/docs, with hashes
	$(VENV)/docs/bin/python -c 'from lambda_zip.cli_lock import renew_docs; renew_docs()'

clean: ## remove what was set up and built
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
