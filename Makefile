# pathspider: build, install, demonstrate, test. `make help` lists the targets.

PREFIX  ?= /usr
DESTDIR ?=
CARGO   ?= cargo

# What Debian has to have; installed by `deps` where missing.
PACKAGES := build-essential libpcap-dev iproute2 nftables
SUDO     := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

# What is installed and measured with has the profile `release`. `make demo` and `make test` take `quick`, which
# compiles in half the time, in a folder of its own. See Cargo.toml.
PROFILE  = release
ALL      = --profile $(PROFILE) --locked --workspace
NEXTEST  = $(shell $(CARGO) nextest --version 2>/dev/null)
# What --version says; without git, the caller may say it. The compiler notes it, so that another commit makes the
# program anew.
export PATHSPIDER_COMMIT := $(or $(shell git describe --always --dirty --abbrev=12 --exclude '*' 2>/dev/null),$(PATHSPIDER_COMMIT))
TARGET   = $(or $(CARGO_TARGET_DIR),target)/$(PROFILE)
SHARE    = $(DESTDIR)$(PREFIX)/share
UNITS    = pathspider-agent@.service pathspider-respond.service pathspider-restore.service
# What is no plugin has a folder of its own.
SDK      = $(DESTDIR)$(PREFIX)/lib/pathspider/sdk
# Where shells look for completions.
COMPLETIONS := bash-completion/completions zsh/vendor-completions fish/vendor_completions.d
PLUGINS := $(patsubst plugins/%/Cargo.toml,%,$(wildcard plugins/*/Cargo.toml))

# Debian's own cargo is older than what the sources need, and says so only in riddles.
NEEDED     := $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
define NEW_ENOUGH
has=$$($(CARGO) --version 2>/dev/null | cut -d' ' -f2); \
	test -n "$$has" && printf '%s\n' $(NEEDED) "$$has" | sort -CV && exit 0; \
	case "$$has" in "") echo "$(CARGO) is missing";; *) echo "$(CARGO) $$has is too old";; esac >&2; \
	echo "pathspider needs Rust $(NEEDED) or newer; Debian's own package may be older. To get it:" >&2; \
	echo "    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh" >&2; \
	echo "(or with Debian's rustup: apt-get install rustup && rustup default stable)" >&2; \
	exit 1
endef

.PHONY: help archive deb deps rustc-web python browser nats quic-server systemd shells build program install uninstall setcap demo first-hour bench bench-observer bench-records soak machine test try lint \
	doctests test-programs run-tests clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

deps: ## install the Debian packages that are missing
	@missing=; for package in $(PACKAGES); do \
		dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q 'ok installed' \
			|| missing="$$missing $$package"; \
	done; \
	if [ -n "$$missing" ]; then \
		echo "installing:$$missing"; \
		$(SUDO) apt-get update -qq && \
		$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$missing >/dev/null; \
	fi
	@$(NEW_ENOUGH)

# `program` is what measures, and the lab: whoever builds it to measure needs no more.
PROGRAM := -p pathspider -p pathspider-lab $(PLUGINS:%=-p pathspider-%)
WHAT     = $(PROGRAM) -p pathspider-report -p pathspider-fleet -p pathspider-respond -p pathspider-c -p pathspider-python
program: WHAT = $(PROGRAM)
build: ## build pathspider, the programs beside it, and every plugin into target/release/plugins
build program: deps
	$(CARGO) build --profile $(PROFILE) --locked $(WHAT) --quiet
	@mkdir -p $(TARGET)/plugins
	@for plugin in $(PLUGINS); do \
		install -m 644 $(TARGET)/libpathspider_$$plugin.so $(TARGET)/plugins/$$plugin.so || exit 1; \
	done

# Capabilities that an earlier installation was given are given to this one, for the same group.
install: HAD := $(shell getcap $(DESTDIR)$(PREFIX)/bin/pathspider 2>/dev/null)
install: OWNERS := $(shell stat -c %G $(DESTDIR)$(PREFIX)/bin/pathspider 2>/dev/null)
install: ## install what was built under DESTDIR and PREFIX
	install -D -m 755 $(TARGET)/pathspider $(DESTDIR)$(PREFIX)/bin/pathspider
	install -D -m 755 $(TARGET)/pathspider-report $(DESTDIR)$(PREFIX)/bin/pathspider-report
	install -D -m 755 $(TARGET)/pathspider-fleet $(DESTDIR)$(PREFIX)/bin/pathspider-fleet
	install -D -m 755 $(TARGET)/pathspider-respond $(DESTDIR)$(PREFIX)/bin/pathspider-respond
	@for plugin in $(PLUGINS); do \
		install -D -m 644 -v $(TARGET)/plugins/$$plugin.so \
			$(DESTDIR)$(PREFIX)/lib/pathspider/$$plugin.so || exit 1; \
	done
	install -D -m 755 $(TARGET)/pathspider-lab $(DESTDIR)$(PREFIX)/bin/pathspider-lab
	@# What measurements in C and Python are made with.
	install -D -m 644 -t $(SDK) $(TARGET)/libpathspider_c.a $(TARGET)/libpathspider_python.so \
		sdk-template/c/pathspider_plugin.h sdk-template/python/pathspider.py
	@# Made by the programs, so that they say what --help says.
	$(DESTDIR)$(PREFIX)/bin/pathspider man $(DESTDIR)$(PREFIX)/share/man/man1 $(PLUGINS)
	$(DESTDIR)$(PREFIX)/bin/pathspider-report man $(DESTDIR)$(PREFIX)/share/man/man1
	$(DESTDIR)$(PREFIX)/bin/pathspider-fleet man $(DESTDIR)$(PREFIX)/share/man/man1
	ln -sf pathspider-campaign.1 $(DESTDIR)$(PREFIX)/share/man/man1/pathspider-fleet.1
	$(DESTDIR)$(PREFIX)/bin/pathspider-respond man $(DESTDIR)$(PREFIX)/share/man/man1
	$(DESTDIR)$(PREFIX)/bin/pathspider-lab man $(DESTDIR)$(PREFIX)/share/man/man1
	@install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	@for unit in $(UNITS); do \
		sed 's|@PREFIX@|$(PREFIX)|' host/systemd/$$unit >$(DESTDIR)$(PREFIX)/lib/systemd/system/$$unit || exit 1; \
	done
	@install -d $(COMPLETIONS:%=$(SHARE)/%)
	$(DESTDIR)$(PREFIX)/bin/pathspider completions bash >$(SHARE)/bash-completion/completions/pathspider
	$(DESTDIR)$(PREFIX)/bin/pathspider completions zsh >$(SHARE)/zsh/vendor-completions/_pathspider
	$(DESTDIR)$(PREFIX)/bin/pathspider completions fish >$(SHARE)/fish/vendor_completions.d/pathspider.fish
	@# PATHspider 2.x's name, unless PATHspider itself is installed.
	@pspdr=$(DESTDIR)$(PREFIX)/bin/pspdr; \
		[ -e $$pspdr ] || [ -L $$pspdr ] || ln -s pathspider $$pspdr; \
		[ "$$(readlink $$pspdr)" != pathspider ] || ln -sf pathspider.1 $(SHARE)/man/man1/pspdr.1
	@$(if $(or $(GROUP),$(HAD)),$(MAKE) --no-print-directory setcap GROUP=$(or $(GROUP),$(OWNERS)))

uninstall: ## remove what `install` put there; plugins of others, and journals, stay
	rm -f $(DESTDIR)$(PREFIX)/bin/pathspider $(DESTDIR)$(PREFIX)/bin/pathspider-report \
		$(DESTDIR)$(PREFIX)/bin/pathspider-fleet $(DESTDIR)$(PREFIX)/bin/pathspider-respond $(DESTDIR)$(PREFIX)/bin/pathspider-lab
	rm -f $(UNITS:%=$(DESTDIR)$(PREFIX)/lib/systemd/system/%)
	rm -f $(SHARE)/bash-completion/completions/pathspider $(SHARE)/zsh/vendor-completions/_pathspider \
		$(SHARE)/fish/vendor_completions.d/pathspider.fish
	@pspdr=$(DESTDIR)$(PREFIX)/bin/pspdr; \
		[ "$$(readlink $$pspdr)" != pathspider ] || rm -f $$pspdr $(SHARE)/man/man1/pspdr.1
	rm -f $(PLUGINS:%=$(DESTDIR)$(PREFIX)/lib/pathspider/%.so)
	rm -rf $(SDK)
	rm -f $(DESTDIR)$(PREFIX)/share/man/man1/pathspider.1 \
		$(DESTDIR)$(PREFIX)/share/man/man1/pathspider-*.1
	@# Root's cache is of all installations: it goes with the last plugin that it knows.
	@known=$$(grep -ohs '"/[^"]*\.so"' /var/cache/pathspider/*.json | tr -d '"'); \
		[ -z "$(DESTDIR)" ] && echo "$$known" | grep -q '^$(PREFIX)/lib/pathspider/' || exit 0; \
		echo "$$known" | while read -r plugin; do [ ! -e "$$plugin" ] || exit 1; done || exit 0; \
		rm -rf /var/cache/pathspider
	-@rmdir $(DESTDIR)$(PREFIX)/lib/pathspider 2>/dev/null

# The program then has more privileges than its users, so only members of GROUP may run it:
# `make install GROUP=adm` does this too.
setcap: ## let members of GROUP (adm) run what was installed without root
	chgrp $(or $(GROUP),adm) $(DESTDIR)$(PREFIX)/bin/pathspider
	chmod 750 $(DESTDIR)$(PREFIX)/bin/pathspider
	setcap cap_net_raw,cap_net_admin+ep $(DESTDIR)$(PREFIX)/bin/pathspider

# For machines without a package: what `install` puts into /usr/local, to be unpacked there as root.
ARCHIVE = pathspider-$(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)-$(shell uname -m)
archive: build ## build an archive of all that is installed, into target/release
	rm -rf $(TARGET)/archive
	@$(MAKE) --no-print-directory install DESTDIR=$(abspath $(TARGET))/archive PREFIX=/usr/local GROUP= HAD= >/dev/null
	tar -C $(TARGET)/archive/usr/local --owner=0 --group=0 -czf $(TARGET)/$(ARCHIVE).tar.gz .
	rm -rf $(TARGET)/archive

# What it packs is what `install` puts there.
deb: build ## build a Debian package in the folder above
	@$(MAKE) --no-print-directory deps PACKAGES="$(PACKAGES) debhelper po-debconf"
	@# Debian's tools look for the folder under this name. debhelper gives its commands a home of their own,
	@# where there is no compiler.
	ln -sfn .debian debian
	CARGO_HOME=$${CARGO_HOME:-$$HOME/.cargo} RUSTUP_HOME=$${RUSTUP_HOME:-$$HOME/.rustup} \
		DEB_BUILD_OPTIONS=nocheck dpkg-buildpackage --unsigned-source --unsigned-changes --build=binary \
		--no-pre-clean; status=$$?; rm debian; exit $$status

demo: PROFILE = quick
demo: program ## measure a network of known paths, made on this machine for the occasion
	$(TARGET)/pathspider-lab demo

# In a clone of its own, which it builds from nothing. HOUR=target/release takes what is built from there.
first-hour: deps python ## what somebody new does: README's commands, plugins, a campaign, a report
	tests/first-hour/run.sh $(HOUR)

# Another page, or other cases: make bench BENCH='connect http --rounds 3'
BENCH ?= --long --write docs/performance.md
# One case measures with a plugin that blocks.
bench: WHAT += -p pathspider-test-blocker
bench: build ## compare with bare loops and other programs in the same network
	$(TARGET)/pathspider-lab bench $(BENCH)

# Another capture: make bench-observer CAPTURE=x.pcap
CAPTURE ?= $(TARGET)/bench-observer.pcap
bench-observer: build ## compare the observer with other tools
	$(CARGO) build --release --locked -p pathspider-bench --quiet
	$(TARGET)/bench-observer --pathspider $(TARGET)/pathspider --capture $(CAPTURE)

# DuckDB comes from PyPI, into a folder beside what is built.
bench-records: ## compare `report` and `export` with DuckDB on a million records
	@$(MAKE) --no-print-directory deps PACKAGES="$(PACKAGES) python3-venv"
	$(CARGO) build --release --locked -p pathspider-report --quiet
	test -e $(TARGET)/bench-python/whole || { rm -rf $(TARGET)/bench-python \
		&& python3 -m venv $(TARGET)/bench-python && $(TARGET)/bench-python/bin/pip install -q duckdb \
		&& touch $(TARGET)/bench-python/whole; }
	$(TARGET)/bench-python/bin/python tests/bench/records.py --program $(TARGET)/pathspider-report $(BENCH_RECORDS)

soak: build ## runs of SOAK_MINUTES (10) and a third of it with faults at random
	$(CARGO) build $(ALL) --quiet
	$(CARGO) test --release --locked -p pathspider-e2e --test main -- --ignored --nocapture soak

# Emulated, so that it needs no more than the packages.
machine: build ## tests in a virtual machine, whose power is cut and clock is set (amd64)
	@$(MAKE) --no-print-directory deps \
		PACKAGES="$(PACKAGES) qemu-system-x86 busybox-static e2fsprogs zstd"
	tests/e2e/machine/pack.sh $(TARGET)
	$(CARGO) test --release --locked -p pathspider-e2e --test main -- --ignored --nocapture machine::

# Together with the program, so that the contract's crate is the one that is there.
try: deps ## what an edit of one plugin takes: make try PLUGIN=ecn
	@test -d plugins/$(PLUGIN) -a -n "$(PLUGIN)" || { echo "name a plugin: make try PLUGIN=ecn" >&2; exit 2; }
	$(CARGO) build --release --locked -p pathspider -p pathspider-$(PLUGIN) --quiet
	@install -D -m 644 $(TARGET)/libpathspider_$(PLUGIN).so $(TARGET)/plugins/$(PLUGIN).so
	$(CARGO) test --release --locked -p pathspider-$(PLUGIN) --quiet
	$(TARGET)/pathspider check $(TARGET)/plugins/$(PLUGIN).so
	$(TARGET)/pathspider-lab check --plugin $(PLUGIN)

# The lints and the documentation are checked where a crate is compiled: see tests/compiler.sh.
# clippy's driver takes `-D warnings` as cargo-clippy hands it over.
CHECKING = RUSTC_WORKSPACE_WRAPPER=$(abspath tests/compiler.sh) \
	CLIPPY_ARGS=-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__
# Most of what the tests do is wait. So the examples of the documentation are tried beside them, at a low
# priority, and what they say is shown after the tests.
test: deps ## everything that has to hold
	$(CARGO) fmt --all --check
	@# What some tests need beside is fetched while everything is compiled.
	@said=$$(mktemp); \
	$(MAKE) --no-print-directory rustc-web browser nats quic-server systemd shells >$$said 2>&1 & \
	$(CHECKING) $(MAKE) --no-print-directory build WHAT="$(WHAT)" PROFILE=$(PROFILE); built=$$?; \
	wait $$!; fetched=$$?; cat $$said; rm $$said; exit $$((built | fetched))
ifneq ($(NEXTEST),)
	@$(CHECKING) $(MAKE) --no-print-directory test-programs
	@said=$$(mktemp); \
	$(CHECKING) nice $(MAKE) --no-print-directory doctests >$$said 2>&1 & \
	$(MAKE) --no-print-directory run-tests; tests=$$?; \
	wait $$!; checks=$$?; cat $$said; rm $$said; exit $$((tests | checks))
else
	$(CHECKING) $(CARGO) build $(ALL) --quiet
	$(CHECKING) $(CARGO) test $(ALL) --no-fail-fast
endif

# Tests need more features of some libraries. What is tested is built with them too, in one go with the
# tests' own programs: otherwise these libraries, and all that stands on them, are compiled twice.
test: WHAT = --workspace

test lint doctests test-programs run-tests: PROFILE = quick

lint: deps ## format, lints and documentation
	$(CARGO) fmt --all --check
	$(CARGO) clippy $(ALL) --all-targets --quiet -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc $(ALL) --no-deps --quiet

doctests: deps
	$(CARGO) test $(ALL) --doc --quiet

test-programs:
	$(CARGO) build $(ALL) --quiet
	@mkdir -p $(TARGET)/nextest
	$(CARGO) nextest list --cargo-profile $(PROFILE) --locked --workspace --list-type binaries-only \
		--message-format json >$(TARGET)/nextest/programs.json
	@$(CARGO) metadata --locked --format-version 1 >$(TARGET)/nextest/metadata.json \
		--filter-platform $$(rustc -vV | sed -n 's/^host: //p')

# It asks cargo nothing, so it waits for nobody who compiles.
run-tests:
	$(CARGO) nextest run --no-fail-fast --binaries-metadata $(TARGET)/nextest/programs.json \
		--cargo-metadata $(TARGET)/nextest/metadata.json

# Debian's compiler for the web browsers is newer than its ordinary one. One test builds the template
# with it, to see that a plugin and its host need not come from the same compiler.
rustc-web: deps ## install Debian's other compiler for a test, where there is one
	@if ! dpkg-query -W -f '$${Status}' rustc-web 2>/dev/null | grep -q 'ok installed' \
		&& apt-cache policy rustc-web 2>/dev/null | grep -q 'Candidate: [0-9]'; then \
		echo "installing: rustc-web"; \
		$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq rustc-web >/dev/null \
			|| { echo "rustc-web cannot be installed; its test is skipped" >&2; test -z "$$CI"; }; \
	fi

# What measurements in Python run on. Debian names its library by the version.
python: deps ## install Python's library, for measurements in Python
	@/sbin/ldconfig -p | grep -q 'libpython3\.[0-9]*\.so\.1\.0' && command -v python3 >/dev/null || { \
		$(SUDO) apt-get update -qq; \
		library=$$(apt-cache depends libpython3-dev 2>/dev/null \
			| sed -n 's/.*Depends: \(libpython3\.[0-9]*\)-dev$$/\1/p' | head -n 1); \
		echo "installing: python3 $$library"; \
		$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
			python3 $$library >/dev/null \
			|| { echo "they cannot be installed; their tests are skipped" >&2; test -z "$$CI"; }; \
	}

# The page that `report --html` writes is looked at in a browser; queries are run by jq and R and, as tables
# of `export` are read, by DuckDB and pandas, which come from PyPI into a folder beside what is built.
browser: deps python ## install Chromium, jq, R and Python for tests of what is made of records
	@command -v chromium >/dev/null && command -v jq >/dev/null && command -v Rscript >/dev/null \
		&& python3 -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "installing: chromium jq python3-venv r-base-core"; \
		$(SUDO) apt-get update -qq && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y \
			-qq --no-install-recommends chromium jq python3-venv r-base-core >/dev/null \
			|| { echo "they cannot be installed; their tests are skipped" >&2; test -z "$$CI"; }; \
	}

# Tests of fleets run Debian's server and PyPI's current one, and agents whose clock is wrong.
nats: deps ## install a NATS server and faketime for tests of campaigns on many vantage points
	@command -v nats-server >/dev/null && dpkg-query -W -f '$${Status}' faketime 2>/dev/null \
		| grep -q 'ok installed' || { \
		echo "installing: nats-server faketime"; \
		$(SUDO) apt-get update -qq && $(SUDO) env DEBIAN_FRONTEND=noninteractive \
			apt-get install -y -qq --no-install-recommends nats-server faketime >/dev/null \
			|| { echo "they cannot be installed; their tests are skipped" >&2; test -z "$$CI"; }; \
	}

# QUIC is spoken with servers of other makes: one of PyPI, which its test fetches, and Debian's of ngtcp2.
quic-server: deps ## install a QUIC server in C for tests of the kind `quic`
	@command -v /usr/sbin/gtlsserver >/dev/null && command -v openssl >/dev/null || { \
		echo "installing: ngtcp2-server openssl"; \
		$(SUDO) apt-get update -qq && $(SUDO) env DEBIAN_FRONTEND=noninteractive \
			apt-get install -y -qq --no-install-recommends ngtcp2-server openssl >/dev/null \
			|| { echo "they cannot be installed; their tests are skipped" >&2; test -z "$$CI"; }; \
	}

systemd: deps ## install systemd for tests of the units
	@test -e /lib/systemd/systemd && command -v systemd-analyze >/dev/null || { \
		echo "installing: systemd"; \
		$(SUDO) apt-get update -qq && $(SUDO) env DEBIAN_FRONTEND=noninteractive \
			apt-get install -y -qq --no-install-recommends systemd >/dev/null \
			|| { echo "it cannot be installed; its tests are skipped" >&2; test -z "$$CI"; }; \
	}

shells: deps ## install fish and zsh for tests of completions
	@command -v fish >/dev/null && command -v zsh >/dev/null || { \
		echo "installing: fish zsh"; \
		$(SUDO) apt-get update -qq && $(SUDO) env DEBIAN_FRONTEND=noninteractive \
			apt-get install -y -qq --no-install-recommends fish zsh >/dev/null \
			|| { echo "they cannot be installed; their tests are skipped" >&2; test -z "$$CI"; }; \
	}

clean: ## remove what was built
	$(CARGO) clean
