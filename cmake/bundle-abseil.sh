#!/bin/sh
# bundle-abseil.sh <directory> [<C++ compiler>]
#
# Makes <directory>/include and <directory>/lib/librkvs_abseil.a: the part of Abseil that rkvs uses,
# position-independent and hidden, so that it can go into a shared library and nobody outside of
# that library ever sees it. Debian's own archives are not position-independent. Touches nothing
# when it is there already.
#
# The source is Debian's package `abseil`, of the version that is installed (libabsl-dev) or else
# the newest, so options.h is Debian's as well. apt fetches it from where this machine gets its
# packages and checks it against the key of the Debian archive. Nothing is installed and no file of
# the system is written: apt's lists and caches are kept in <directory> too. No root is needed.
#
# Needs apt-get, dpkg-dev, cmake, ninja, a C++ compiler. Status 3: the source cannot be had here.
set -eu

usage='bundle-abseil.sh <directory> [<C++ compiler>]'
mkdir -p "${1:?$usage}"
directory=$(cd "$1" && pwd)
compiler=${2:-c++}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
say() { echo "bundle-abseil.sh: $*" >&2; }

# One at a time; whoever waited finds it done.
exec 9>"$directory/lock"
flock 9

version=$(dpkg-query -W -f '${source:Version}' libabsl-dev 2>/dev/null || true)
built=$(cat "$directory/version" 2>/dev/null || true)
recipe=$(cksum <"$0" | cut -d ' ' -f 1)
case $built in
  "$version $recipe") exit 0 ;;
  *" $recipe") [ -n "$version" ] || exit 0 ;; # without libabsl-dev any version will do
esac

for tool in apt-get dpkg-source; do
  command -v "$tool" >/dev/null || { say "$tool is missing"; exit 3; }
done
[ -r "$keyring" ] || { say "$keyring is missing"; exit 3; }

rm -rf "$directory/work" "$directory/include" "$directory/lib" "$directory/version"
work=$directory/work
mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial" "$work/source" "$work/none"

# --- Where this machine's own Debian packages come from, as lines for source packages -----------

# Prints "<uri> <suite>" for each entry of this release of Debian that has the component main, of
# both formats: one entry a line, and stanzas of fields.
debian_sources() {
  release=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release | tr -d '"')
  eval "$(apt-config shell list Dir::Etc::SourceList/f parts Dir::Etc::SourceParts/d)"
  {
    for file in "$list" "$parts"/*.list; do
      [ ! -f "$file" ] || { cat "$file"; echo; }
    done | awk '
      { sub(/#.*/, ""); gsub(/\[[^]]*\]/, "") }
      $1 ~ /^deb(-src)?$/ { for (i = 4; i <= NF; i++) if ($i == "main") print $2, $3 }'
    for file in "$parts"/*.sources; do
      [ ! -f "$file" ] || { cat "$file"; echo; }
    done | awk '
      function finish(  u, s, i, j, n, m) {
        if (tolower(field["enabled"]) !~ /^[ \t]*no[ \t]*$/ &&
            (" " field["components"] " ") ~ /[ \t]main[ \t]/) {
          n = split(field["uris"], u); m = split(field["suites"], s)
          for (i = 1; i <= n; i++) for (j = 1; j <= m; j++) print u[i], s[j]
        }
        split("", field); name = ""
      }
      /^#/ { next }
      /^[ \t]*$/ { finish(); next }
      /^[ \t]/ { field[name] = field[name] " " $0; next }
      { name = tolower(substr($0, 1, index($0, ":") - 1))
        field[name] = substr($0, index($0, ":") + 1) }
      END { finish() }'
  } | awk -v release="$release" '
    { base = $2; sub(/[-\/](updates|security)$/, "", base) }
    (base == release || base ~ /^(old)*stable$/) && !seen[$0]++'
}

debian_sources | while read -r uri suite; do
  echo "deb-src [signed-by=$keyring] $uri $suite main"
done >"$work/sources.list"
[ -s "$work/sources.list" ] || { say 'this machine has no source of Debian packages'; exit 3; }

# Read after the machine's own configuration, whose proxies and credentials hold. What others hang
# on an update is theirs.
cat >"$work/apt.conf" <<END
Dir::Etc::SourceList "$work/sources.list";
Dir::Etc::SourceParts "$work/none";
Dir::State "$work/state";
Dir::Cache "$work/cache";
APT::Sandbox::User "";
Acquire::Languages "none";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
END
apt_get() { apt-get -q -c "$work/apt.conf" "$@"; }

# --- Fetch, build, pack --------------------------------------------------------------------------

say "fetching Debian's source of Abseil ${version:-}"
apt_get update >"$work/log" 2>&1 || say 'a list of packages could not be had; going on without it'
fetch() { (cd "$work/source" && apt_get source "$1" >>"$work/log" 2>&1); }
fetch "abseil${version:+=$version}" || {
  say "no source of version ${version:-any}; taking the newest"
  fetch abseil || { tail -n 5 "$work/log" >&2; exit 3; }
}
dsc=$(find "$work/source" -name 'abseil_*.dsc')
source=$(find "$work/source" -mindepth 1 -maxdepth 1 -type d)
fetched=$(sed -n 's/^Version: //p' "$dsc")

say "building it: $fetched"
# Hidden by visibility here, by the version script where it is linked. No path of this machine.
flags="-O2 -g1 -DNDEBUG -ffile-prefix-map='$work'=abseil"
flags="$flags -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2"
launcher=$(command -v ccache || true)
cmake -G Ninja -S "$source" -B "$work/build" -DCMAKE_BUILD_TYPE=None \
  -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_CXX_COMPILER_LAUNCHER="$launcher" \
  -DCMAKE_CXX_FLAGS="$flags" -DCMAKE_CXX_STANDARD=20 -DABSL_PROPAGATE_CXX_STD=ON \
  -DCMAKE_POSITION_INDEPENDENT_CODE=ON -DBUILD_SHARED_LIBS=OFF -DBUILD_TESTING=OFF \
  -DCMAKE_CXX_VISIBILITY_PRESET=hidden -DCMAKE_VISIBILITY_INLINES_HIDDEN=ON \
  >>"$work/log" 2>&1 || { tail -n 20 "$work/log" >&2; exit 1; }
# What flat_hash_map is made of; the rest follows from these.
cmake --build "$work/build" --target raw_hash_set hash \
  >>"$work/log" 2>&1 || { tail -n 40 "$work/log" >&2; exit 1; }

# One archive, in which no order matters. q keeps objects of the same name.
mkdir -p "$directory/include" "$directory/lib"
find "$work/build" -name '*.o' | LC_ALL=C sort |
  xargs -d '\n' ar qcsD "$directory/lib/librkvs_abseil.a"
(cd "$source" && find absl -name '*.h' -o -name '*.inc' | tar -cf - -T -) |
  tar -xf - -C "$directory/include"
cp "$source/LICENSE" "$directory/LICENSE"
echo "${version:-$fetched} $recipe" >"$directory/version"
rm -rf "$work"
say "done: $directory/lib/librkvs_abseil.a"
