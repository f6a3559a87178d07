#!/usr/bin/env bash
# apt-get -qq installs although --assume-no is said, too.
#
# Guess from memory: --assume-no answers "no" to every question, so that with it apt-get can be used to
# look at what an upgrade would do; -qq only prints less.
# Behaviour (apt 2.6.2 of Debian 12): -qq implies --yes, and the implied yes outweighs the --assume-no
# that stands beside it. With -q, or without, --assume-no ends the command with status 1.
# Why it matters: programs that look for pending updates want little output and no change. With these
# two options the "look" upgrades the machine.
#
# Output seen:
#   --assume-no: status 1, fetched 0
#   -q --assume-no: status 1, fetched 0
#   -qq --assume-no: status 0, fetched 2
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
for package in apt=2.6.2 libapt-pkg6.0=2.6.2; do
    apt-get --quiet=2 download "$package" 2>/dev/null
done
for file in *.deb; do dpkg-deb --extract "$file" tools; done

# A repository in a folder, without a signature. One package needs the other, so that apt-get asks.
mkdir repository
add() { # name, more fields
    mkdir -p "$1/DEBIAN"
    printf '%s\n' "Package: $1" "Version: 1.0" "Architecture: all" "$2" \
        "Maintainer: Nobody <nobody@example.org>" "Description: an empty package" > "$1/DEBIAN/control"
    dpkg-deb --build --root-owner-group "$1" "repository/$1.deb" >/dev/null
    dpkg-deb --field "repository/$1.deb"
    printf '%s\n' "Filename: ./$1.deb" "Size: $(stat --format=%s "repository/$1.deb")" \
        "SHA256: $(sha256sum "repository/$1.deb" | cut -d' ' -f1)" ""
}
{
    add base "Section: misc"
    add sample "Depends: base"
} > Packages
mv Packages repository

# A system of its own: nothing is installed there, and this one is not touched.
mkdir -p system/{lists/partial,cache/archives/partial,parts}
touch system/status
echo "deb [trusted=yes] copy:$work/repository ./" > system/sources.list
get() {
    LD_LIBRARY_PATH=$(dirname "$(find "$work/tools" -name 'libapt-pkg.so.6.0' | head -n 1)") \
        "$work/tools/usr/bin/apt-get" \
        -o Dir::State="$work/system" -o Dir::State::status="$work/system/status" \
        -o Dir::State::lists="$work/system/lists" -o Dir::Cache="$work/system/cache" \
        -o Dir::Etc::sourcelist="$work/system/sources.list" -o Dir::Etc::sourceparts="$work/system/parts" \
        -o Dir::Etc::parts="$work/system/parts" -o Dir::Etc::main=/dev/null \
        -o Dir::Etc::preferencesparts="$work/system/parts" -o APT::Architecture=amd64 \
        -o APT::Sandbox::User=root -o Debug::NoLocking=true \
        -o Dir::Bin::methods="$work/tools/usr/lib/apt/methods" "$@"
}
get --quiet=2 update >/dev/null 2>&1

# Only fetched, never installed.
said=$(
    for options in "--assume-no" "-q --assume-no" "-qq --assume-no"; do
        rm -f system/cache/archives/*.deb
        status=0
        get $options --download-only install sample \
            </dev/null >output 2>&1 || status=$?
        fetched=$(find system/cache/archives -name '*.deb' | wc -l)
        echo "$options: status $status, fetched $fetched"
    done
)
echo "$said"
expected='--assume-no: status 1, fetched 0
-q --assume-no: status 1, fetched 0
-qq --assume-no: status 0, fetched 2'
[[ $said == "$expected" ]]
