// The calculator of costs.md. Prices: list prices of us-east-1 in dollars. A test compares those of S3 with src/backstream/model/prices.py.
const PRICES = {
  put: 5.0e-6,
  get: 0.4e-6,
  storage: 0.023, // S3 Standard, a GB and month
  lambda: 0.2e-6, // an invocation; its time is left out
  pitr: 0.2, // a GB of table and month
};
const GB = 1e9;

function costs(rows, changes, itemKB, tableGB, months, batch) {
  const images = changes * 1e6 * itemKB * 1000;
  const kept = tableGB * GB + images * months;
  const segments = (changes * 1e6) / Math.max(1, batch);
  const requests = segments * PRICES.put + (rows ? changes * 1e6 * (PRICES.put + PRICES.get) : 0);
  const storage = (rows ? kept : kept / 5) / GB * PRICES.storage;
  const invocations = segments * PRICES.lambda;
  return { requests, storage, invocations, total: requests + storage + invocations };
}

function shown(dollars) {
  return "$" + dollars.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
}

function calculate(form) {
  const value = (name) => Math.max(0, Number(form.querySelector(`[name=${name}]`).value) || 0);
  const asked = [value("changes"), value("item"), value("table"), value("months"), value("batch")];
  for (const [name, rows] of [["rows", true], ["log", false]]) {
    const found = costs(rows, ...asked);
    for (const part of Object.keys(found)) {
      document.getElementById(`${name}-${part}`).textContent = shown(found[part]);
    }
  }
  document.getElementById("pitr").textContent = shown(value("table") * PRICES.pitr);
}

function begin() {
  const form = document.getElementById("calculator-form");
  if (form && !form.dataset.ready) {
    form.dataset.ready = "yes";
    form.addEventListener("input", () => calculate(form));
    calculate(form);
  }
}

if (typeof document !== "undefined") {
  document.addEventListener("DOMContentLoaded", begin);
  begin();
}
