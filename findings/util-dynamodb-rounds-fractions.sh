#!/usr/bin/env bash
# @aws-sdk/util-dynamodb 3.996.9 guards whole numbers but not fractions. unmarshall returns an integer beyond 2^53 as a BigInt, exactly, and
# refuses 1E+20 rather than be inexact. A fraction of more digits than a double has is rounded without a word, so an item read and written
# back is changed, and two members of a number set become one. wrapNumbers keeps them as text.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$here" @aws-sdk/util-dynamodb@3.996.9 @aws-sdk/client-dynamodb@3.1169.0 >/dev/null
cd "$here"
node - <<'JS'
const { marshall, unmarshall } = require("@aws-sdk/util-dynamodb");
const seen = {};
function roundTrip(name, value, options) {
  try {
    seen[name] = JSON.stringify(marshall(unmarshall({ v: value }, options)).v);
  } catch (error) {
    seen[name] = "refused";
  }
  console.log(name + ":", JSON.stringify(value), "comes back as", seen[name]);
}
const money = "12345678901234.567891", set = { NS: ["0.10000000000000000001", "0.10000000000000000002"] };
roundTrip("integer", { N: "12345678901234567890" });
roundTrip("power", { N: "1E+20" });
roundTrip("fraction", { N: money });
roundTrip("set", set);
roundTrip("wrapped", { N: money }, { wrapNumbers: true });
const expected = {
  integer: '{"N":"12345678901234567890"}', power: "refused", fraction: '{"N":"12345678901234.568"}', set: '{"NS":["0.1"]}',
  wrapped: `{"N":"${money}"}`,
};
process.exit(JSON.stringify(seen) === JSON.stringify(expected) ? 0 : 1);
JS
