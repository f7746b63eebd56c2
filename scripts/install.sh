#!/bin/sh
# Installs a toolbench release: downloads the archive for this machine, checks it against SHA256SUMS,
# and puts its files below one prefix. Needs no root, and changes nothing else.
#
# usage: install.sh [--prefix FOLDER] [--version VERSION] [--uninstall]
#
# TOOLBENCH_INSTALL_PREFIX      where it goes: bin/toolbench, lib/toolbench, share/… (~/.local)
# TOOLBENCH_INSTALL_VERSION     which release, such as 0.1.0 (the latest)
# TOOLBENCH_INSTALL_ARCHIVES    a folder or address that holds the archives and SHA256SUMS, in place of
#                               the repository's releases: for mirrors, or without a network
# TOOLBENCH_INSTALL_REPOSITORY  OWNER/NAME of the repository whose releases are taken
#
# exit codes: 0 installed, 1 not downloaded, not what SHA256SUMS says, or not written, 2 usage, or no
# archive for this machine
set -eu

# The release workflow writes the repository's own name here.
repository="${TOOLBENCH_INSTALL_REPOSITORY:-@REPOSITORY@}"
prefix="${TOOLBENCH_INSTALL_PREFIX:-${HOME:+$HOME/.local}}"
version="${TOOLBENCH_INSTALL_VERSION:-latest}"
# What an archive holds, and what uninstalling removes.
files="bin/toolbench lib/toolbench share/man/man1/toolbench.1 share/doc/toolbench
share/bash-completion/completions/toolbench share/zsh/site-functions/_toolbench
share/fish/vendor_completions.d/toolbench.fish"

say() { printf '%s\n' "$*" >&2; }
fail() { code="$1"; shift; printf 'error: %s\n' "$1" >&2; shift; for hint in "$@"; do printf '  hint: %s\n' "$hint" >&2; done; exit "$code"; }
have() { command -v "$1" >/dev/null 2>&1; }
from_source='build from source: clone the repository, then scripts/first-run (Rust 1.95 or later, cmake, a C++ compiler)'

# The archive's name for this machine; ends where there is none.
find_target() {
  system="$(uname -s)"
  machine="$(uname -m)"
  case "$system $machine" in
    "Linux x86_64" | "Linux amd64") target=x86_64-unknown-linux-gnu ;;
    "Linux aarch64" | "Linux arm64") target=aarch64-unknown-linux-gnu ;;
    "Darwin arm64") target=aarch64-apple-darwin ;;
    MINGW* | MSYS* | CYGWIN*) fail 2 "there is no archive for Windows" "run this inside WSL 2, which takes the Linux archive" ;;
    *) fail 2 "there is no archive for $system on $machine" "$from_source" ;;
  esac
  case "$target" in *linux*)
    if ! { have getconf && getconf GNU_LIBC_VERSION >/dev/null 2>&1; }; then
      fail 2 "the Linux archive needs glibc, which this system does not have (musl, as in Alpine, is another)" \
        "use a system or container image with glibc, such as debian:stable-slim" "$from_source"
    fi ;;
  esac
}

# Fails where this system's glibc is older than what the archive's BUILD file asks for.
check_glibc() {
  needed="$(sed -n 's/^glibc: //p' "$1")"
  case "$needed" in "" | none) return 0 ;; esac
  present="$(getconf GNU_LIBC_VERSION | sed 's/^glibc //')"
  older="$(printf '%s\n%s\n' "$needed" "$present" | sort -t. -k1,1n -k2,2n | head -n 1)"
  [ "$older" = "$needed" ] || fail 2 "the archive needs glibc $needed or later, and this system has $present" \
    "use a newer system or container image, such as debian:stable-slim" "$from_source"
}

# fetch NAME FILE: from a folder or an address.
fetch() {
  case "$archives" in
    http://* | https://*)
      if have curl; then
        curl --fail --silent --show-error --location --retry 3 --output "$2" "$archives/$1"
      elif have wget; then
        wget --quiet --tries 3 --output-document "$2" "$archives/$1"
      else
        fail 1 "neither curl nor wget is here" "install one, or download the archive and SHA256SUMS elsewhere and set TOOLBENCH_INSTALL_ARCHIVES to their folder"
      fi ;;
    *) cp "${archives#file://}/$1" "$2" ;;
  esac || fail 1 "cannot get $1 from $archives" "check TOOLBENCH_INSTALL_VERSION and TOOLBENCH_INSTALL_ARCHIVES, and the network"
}

sum_of() {
  if have sha256sum; then sha256sum "$1" | cut -d' ' -f1
  elif have shasum; then shasum -a 256 "$1" | cut -d' ' -f1
  elif have openssl; then openssl dgst -sha256 -r "$1" | cut -d' ' -f1
  else fail 1 "no program for SHA-256 is here: the archive cannot be checked" "install coreutils (sha256sum)"; fi
}

# The name of the archive for this machine in SHA256SUMS: of the version that is wanted, else the only one.
find_name() {
  if [ "$version" = latest ]; then
    names="$(sed -n "s/^[0-9a-f]\{64\} [ *]\(toolbench-[0-9][^ /]*-$target\.tar\.gz\)\$/\1/p" "$1")"
  else
    names="$(sed -n "s/^[0-9a-f]\{64\} [ *]\(toolbench-$version-$target\.tar\.gz\)\$/\1/p" "$1")"
  fi
  [ -n "$names" ] || fail 2 "there is no archive of version $version for $target in $archives" "$from_source"
  # A folder may hold several versions: the newest.
  name="$(printf '%s\n' "$names" | sort -t. -k1,1 -k2,2n -k3,3n | tail -n 1)"
}

# Puts one file or folder of the archive in its place by renaming, so that none is ever half there.
place() {
  [ -e "$unpacked/$1" ] || return 0
  mkdir -p "$prefix/$(dirname "$1")"
  rm -rf "$prefix/$1.new" "$prefix/$1.old"
  mv "$unpacked/$1" "$prefix/$1.new"
  if [ -d "$prefix/$1" ]; then mv "$prefix/$1" "$prefix/$1.old"; fi
  mv "$prefix/$1.new" "$prefix/$1"
  rm -rf "$prefix/$1.old"
}

uninstall() {
  for file in $files; do rm -rf "${prefix:?}/$file"; done
  say "removed toolbench from $prefix; models and settings are kept (~/.cache/toolbench, ~/.config/toolbench)"
}

main() {
  remove=no
  while [ $# -gt 0 ]; do
    case "$1" in
      --prefix | --version) [ $# -ge 2 ] || fail 2 "$1 needs a value"
        if [ "$1" = --prefix ]; then prefix="$2"; else version="$2"; fi
        shift 2 ;;
      --uninstall) remove=yes; shift ;;
      -h | --help) sed -n '2,/^set -eu/s/^# \{0,1\}//p' "$0"; exit 0 ;;
      *) fail 2 "unknown argument $1" "--prefix FOLDER, --version VERSION and --uninstall are known" ;;
    esac
  done
  version="${version#v}"
  case "$version" in *[!0-9A-Za-z.+-]*) fail 2 "\`$version\` is no version" "such as 0.1.0" ;; esac
  case "$prefix" in /*) ;; "") fail 2 "HOME is not set" "say where with --prefix FOLDER" ;; *) prefix="$PWD/$prefix" ;; esac
  if [ "$remove" = yes ]; then uninstall; return 0; fi
  find_target
  if [ -n "${TOOLBENCH_INSTALL_ARCHIVES:-}" ]; then
    archives="${TOOLBENCH_INSTALL_ARCHIVES%/}"
  else
    case "$repository" in
      @*) fail 2 "this copy of the installer does not know its repository" "set TOOLBENCH_INSTALL_REPOSITORY=OWNER/NAME, or TOOLBENCH_INSTALL_ARCHIVES to a folder or address with the archives" ;;
    esac
    if [ "$version" = latest ]; then archives="https://github.com/$repository/releases/latest/download"
    else archives="https://github.com/$repository/releases/download/v$version"; fi
  fi
  mkdir -p "$prefix" || fail 1 "cannot write to $prefix" "choose another place with --prefix FOLDER"
  work="$(mktemp -d "$prefix/.toolbench.XXXXXX")" || fail 1 "cannot write to $prefix" "choose another place with --prefix FOLDER"
  trap 'rm -rf "$work"' EXIT
  trap 'exit 130' INT TERM
  fetch SHA256SUMS "$work/SHA256SUMS"
  find_name "$work/SHA256SUMS"
  say "getting $name"
  fetch "$name" "$work/$name"
  stated="$(sed -n "s/^\([0-9a-f]\{64\}\) [ *]$name\$/\1/p" "$work/SHA256SUMS")"
  found="$(sum_of "$work/$name")"
  [ "$stated" = "$found" ] || fail 1 "$name has SHA-256 $found, and SHA256SUMS says $stated: nothing was installed" \
    "download it again; if it stays so, do not use it"
  tar -xzf "$work/$name" -C "$work" || fail 1 "cannot unpack $name"
  unpacked="$work/${name%.tar.gz}"
  check_glibc "$unpacked/share/doc/toolbench/BUILD"
  said="$("$unpacked/bin/toolbench" --version)" || fail 1 "the program of $name does not start on this machine" "$from_source"
  for file in $files; do place "$file" || fail 1 "cannot write $prefix/$file" "choose another place with --prefix FOLDER"; done
  say "installed $said in $prefix"
  case ":${PATH:-}:" in
    *":$prefix/bin:"*) say "next: toolbench doctor" ;;
    *) say "next: put it on the PATH: export PATH=\"$prefix/bin:\$PATH\", then: toolbench doctor" ;;
  esac
}

# Only here does anything happen: half a download of this script does nothing.
main "$@"
