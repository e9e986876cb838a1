#!/bin/sh
# Fetches the hand tracker into an ignored folder, from where the gateway serves it: the page then needs no CDN.
set -eu
package=@mediapipe/hands@0.4.1675469240
here=$(cd "$(dirname "$0")" && pwd)
target=$here/vendor/hands
if (cd "$target" 2>/dev/null && sha256sum --check --quiet "$here/hands.sha256" 2>/dev/null); then
  echo "the hand tracker is here already: $target"
  exit 0
fi
command -v npm >/dev/null || { echo "make web needs npm: install Node.js" >&2; exit 1; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
(cd "$folder" && npm pack --silent "$package" >/dev/null && tar -xzf ./*.tgz)
mkdir -p "$target"
while read -r _ file; do cp "$folder/package/$file" "$target/$file"; done <"$here/hands.sha256"
# the package is Apache-2.0 by its package.json, and brings no text of it
cp "$here/../../LICENSE" "$target/LICENSE"
# files of the package come without the right to read them
chmod 644 "$target"/*
(cd "$target" && sha256sum --check --quiet "$here/hands.sha256")
echo "the hand tracker is in $target"
