#!/usr/bin/env bash
# dynalite 4.0.0 takes no map and no list for equal to another, not even to itself: in a condition "v = :was" with the very map or list that
# is stored fails, and "v <> :was" holds. Strings, numbers and sets are compared by value. DynamoDB compares maps and lists by value, too.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$here" dynalite@4.0.0 >/dev/null
cd "$here"
node - <<'JS'
const server = require("dynalite")({ createTableMs: 0 });
const values = { string: { S: "a" }, number: { N: "1" }, set: { SS: ["a", "b"] }, map: { M: { a: { N: "1" } } }, list: { L: [{ N: "1" }] } };
server.listen(0, "127.0.0.1", async () => {
  async function call(name, body) {
    const authorization = "AWS4-HMAC-SHA256 Credential=none/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=none";
    const headers = {
      authorization, "content-type": "application/x-amz-json-1.0", "x-amz-date": "20260101T000000Z", "x-amz-target": `DynamoDB_20120810.${name}`,
    };
    const address = `http://127.0.0.1:${server.address().port}/`;
    const answer = await fetch(address, { method: "POST", headers, body: JSON.stringify({ TableName: "orders", ...body }) });
    const told = await answer.json();
    return answer.ok ? told : told.__type.split("#")[1];
  }
  await call("CreateTable", {
    BillingMode: "PAY_PER_REQUEST", KeySchema: [{ AttributeName: "id", KeyType: "HASH" }],
    AttributeDefinitions: [{ AttributeName: "id", AttributeType: "S" }],
  });
  for (let tries = 0; tries < 100; tries++) {
    const told = await call("DescribeTable", {});
    if (told.Table && told.Table.TableStatus === "ACTIVE") break;
    await new Promise((done) => setTimeout(done, 100));
  }
  const seen = {};
  for (const [name, v] of Object.entries(values)) {
    const item = { id: { S: "a" }, v };
    await call("PutItem", { Item: item });
    const holds = async (condition) => {
      const told = await call("PutItem", { Item: item, ConditionExpression: condition, ExpressionAttributeValues: { ":was": v } });
      return told === "ConditionalCheckFailedException" ? false : typeof told === "string" ? told : true;
    };
    seen[name] = [await holds("v = :was"), await holds("v <> :was")];
    console.log(`${name} ${JSON.stringify(v)} against itself: = is ${seen[name][0]}, <> is ${seen[name][1]}`);
  }
  const equal = [true, false], never = [false, true];
  process.exit(JSON.stringify(seen) === JSON.stringify({ string: equal, number: equal, set: equal, map: never, list: never }) ? 0 : 1);
});
JS
