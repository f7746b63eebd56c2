# Shared by first-run, test and .ci/run. Sourced, never run. Each function says what it does and
# runs again at no cost.

say() { printf '== %s\n' "$*" >&2; }
note() { printf '   %s\n' "$*" >&2; }
have() { command -v "$1" >/dev/null 2>&1; }

# Folder for what can be had again: models, tool servers, build output.
cache_folder() { printf '%s/toolbench' "${XDG_CACHE_HOME:-$HOME/.cache}"; }

check_system() {
  case "$(uname -s)" in
    Linux) ;;
    *) note "this set-up is tested on Debian only; on $(uname -s) it is untested" ;;
  esac
  have cargo || { note "cargo is missing: install Rust (1.95 or later) with rustup, then run this again"; exit 2; }
  have git || note "git is missing: the build's revision will be unknown"
}

# A libclang that bindgen can load (not libclang-cpp, which is another library).
have_libclang() {
  [ -n "${LIBCLANG_PATH:-}" ] && return 0
  find /usr/lib /usr/lib64 /usr/local/lib -maxdepth 4 \
    \( -name 'libclang.so*' -o -name 'libclang-[0-9]*.so*' \) 2>/dev/null | grep -q .
}

# cmake, a C++ compiler and libclang for llama.cpp: apt as root or with sudo, else PyPI wheels.
install_build_tools() {
  local packages=() sudo=""
  have python3 || packages+=(python3)
  { have python3 && python3 -m pip --version >/dev/null 2>&1; } || packages+=(python3-pip)
  have cmake || packages+=(cmake)
  have_libclang || packages+=(libclang-dev)
  { have c++ && have make; } || packages+=(build-essential)
  if [ ${#packages[@]} -eq 0 ]; then
    note "cmake, C++ compiler, libclang and pip are there"
    return 0
  fi
  if [ "$(id -u)" -ne 0 ]; then
    if have sudo && sudo -n true 2>/dev/null; then sudo="sudo -n"; else sudo="none"; fi
  fi
  if have apt-get && [ "$sudo" != none ]; then
    say "installing ${packages[*]} with apt"
    $sudo apt-get update -q >&2 && $sudo env DEBIAN_FRONTEND=noninteractive \
      apt-get install -q -y --no-install-recommends "${packages[@]}" >&2 && return 0
    note "apt failed; trying PyPI wheels"
  fi
  install_build_wheels
}

install_build_wheels() {
  have python3 || { note "python3 is missing, and without it neither cmake nor libclang can be had here"; exit 2; }
  python3 -m pip --version >/dev/null 2>&1 || { note "pip is missing and needs an administrator: apt-get install python3-pip"; exit 2; }
  { have c++ && have cc; } || { note "a C++ compiler is missing and needs an administrator: apt-get install build-essential"; exit 2; }
  local folder
  folder="$(cache_folder)/build-tools"
  if [ ! -x "$folder/bin/cmake" ] || ! ls "$folder"/clang/native/libclang* >/dev/null 2>&1; then
    say "installing cmake and libclang from PyPI into $folder"
    python3 -m pip install -q --upgrade --target "$folder" cmake ninja libclang >&2
    mkdir -p "$folder/bin"
    printf '#!/bin/sh\nPYTHONPATH="%s" exec python3 -c "import sys, cmake; sys.exit(cmake.cmake())" "$@"\n' "$folder" >"$folder/bin/cmake"
    chmod +x "$folder/bin/cmake"
  fi
  export PATH="$folder/bin:$PATH"
  have make || export CMAKE_GENERATOR=Ninja
  LIBCLANG_PATH="$(dirname "$(ls "$folder"/clang/native/libclang* | head -1)")"
  export LIBCLANG_PATH
  # The wheel has no compiler headers of its own: bindgen takes the C compiler's.
  export BINDGEN_EXTRA_CLANG_ARGS="-I$(cc -print-file-name=include)"
}

# Build output lives outside the clone where a cache folder can be had, keyed by compiler and by what
# `native` means here, since llama.cpp is built for this processor.
choose_target_folder() {
  if [ -z "${CARGO_TARGET_DIR:-}" ] && mkdir -p "$(cache_folder)" 2>/dev/null; then
    local key
    key="$( { rustc -vV; rustc --print cfg -C target-cpu=native; } | sha256sum | cut -c1-12)"
    CARGO_TARGET_DIR="$(cache_folder)/build/$key"
    export CARGO_TARGET_DIR
  fi
  note "build output: ${CARGO_TARGET_DIR:-target}"
}

build() {
  say "building (the first time takes 5 to 10 minutes on 2 cores, most of it llama.cpp)"
  cargo build --release --locked
  TOOLBENCH="${CARGO_TARGET_DIR:-target}/release/toolbench"
  ln -sfn "$(cd "$(dirname "$TOOLBENCH")" && pwd)/toolbench" toolbench
  note "./toolbench -> $TOOLBENCH"
}

pull_models() {
  say "models: $*"
  local missing=0 model
  for model in "$@"; do
    ./toolbench model pull "$model" || { note "could not pull $model"; missing=1; }
  done
  return $missing
}

# Suites that run on real tool servers.
server_suites="filesystem everything time git memory"

# Node for servers from npm, Python's venv for those from PyPI, git for the sandbox of suite git; then
# the servers themselves. What cannot be had is said, and its suites are skipped.
install_tool_servers() {
  local packages=() sudo="" suite
  { have node && have npm; } || packages+=(nodejs npm)
  { have python3 && python3 -c 'import venv, ensurepip' >/dev/null 2>&1; } || packages+=(python3 python3-venv)
  have git || packages+=(git)
  if [ ${#packages[@]} -gt 0 ] && have apt-get; then
    [ "$(id -u)" -eq 0 ] || sudo="sudo -n"
    if [ -z "$sudo" ] || sudo -n true 2>/dev/null; then
      say "installing ${packages[*]} with apt, for real tool servers"
      $sudo apt-get update -q >&2 && $sudo env DEBIAN_FRONTEND=noninteractive \
        apt-get install -q -y --no-install-recommends "${packages[@]}" >&2 || note "apt failed"
    fi
  fi
  say "tool servers of suites $server_suites"
  for suite in $server_suites; do
    ./toolbench suite install "$suite" || note "could not install it: suite $suite will be skipped"
  done
}

# The public JSON Schema test suite, as it comes inside the source package of Python's jsonschema.
fetch_schema_suite() {
  local folder archive sum
  folder="$(cache_folder)/schema-suite"
  sum=0c26707e2efad8aa1bfc5b7ce170f3fccc2e4918ff85989ba9ffa9facb2be326
  [ -d "$folder/json/tests" ] && return 0
  say "JSON Schema test suite"
  have python3 || { note "python3 is missing: the JSON Schema test suite will be skipped"; return 0; }
  mkdir -p "$folder"
  python3 -m pip download -q --no-deps --no-binary :all: -d "$folder" jsonschema==4.26.0 >&2 \
    || { note "could not download it: its test will be skipped"; return 0; }
  archive="$folder/jsonschema-4.26.0.tar.gz"
  printf '%s  %s\n' "$sum" "$archive" | sha256sum -c --quiet - >&2 \
    || { note "the package is not the one that is expected: its test will be skipped"; return 0; }
  tar xzf "$archive" -C "$folder" --strip-components=1 jsonschema-4.26.0/json
}
