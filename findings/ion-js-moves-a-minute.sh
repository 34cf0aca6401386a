#!/usr/bin/env bash
# ion-js 5.2.1 writes a binary timestamp a whole minute late when its seconds lie between 59.9995 and 60: on the way to UTC they are rounded
# to milliseconds, which carries into the next minute (or day, or year), while the 59 and its fraction are written as they were. Text to text
# is right.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$here" ion-js@5.2.1 >/dev/null
cd "$here"
node - <<'JS'
const ion = require("ion-js");
const seen = {};
for (const seconds of ["58.9999", "59.999", "59.9994", "59.9996", "59.999999", "59.123456789"]) {
  const value = ion.load(`2026-12-31T23:59:${seconds}Z`);
  seen[seconds] = [ion.dumpText(value), ion.dumpText(ion.load(ion.dumpBinary(value)))];
  console.log("text to text:", seen[seconds][0], "by way of binary:", seen[seconds][1]);
}
const late = ["59.9996", "59.999999"];
const right = Object.entries(seen).every(([seconds, [text, binary]]) =>
  text === `2026-12-31T23:59:${seconds}Z` && binary === (late.includes(seconds) ? `2027-01-01T00:00:${seconds}Z` : text));
process.exit(right ? 0 : 1);
JS
